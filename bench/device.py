"""Device, memory format and mixed precision, handled here and nowhere else."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError
from bench.types import STORED, KindName

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Device:
    """Where a cell computes. `bf16` is autocast, on a GPU only: on a CPU it is slower than fp32."""

    name: str = "cpu"
    precision: Precision = "fp32"
    threads: int = 1

    @property
    def torch(self) -> torch.device:
        """The torch device."""
        import torch

        return torch.device(self.name)

    def autocast(self) -> AbstractContextManager[object]:
        """Context of a forward pass under this device's precision."""
        import torch

        if self.precision == "bf16" and self.torch.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, convolutions in channels_last."""
        import torch

        return model.to(self.torch).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def resolve(name: str, precision: Precision, threads: int) -> Device:
    """Turn `auto` into what is here.

    Raises:
        BenchError: CUDA was asked for and there is none.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise BenchError(f"device {name!r} was asked for and torch sees no GPU; use --device cpu")
    return Device(name, precision, threads)


def kind_of(inputs: Tensor) -> KindName:
    """The kind of stored inputs, by their dtype: code that holds inputs and no data set asks this, never the shape.

    Raises:
        BenchError: no kind stores inputs of this dtype.
    """
    dtype = str(inputs.dtype).removeprefix("torch.")
    for kind, stored in STORED.items():
        if stored == dtype:
            return kind
    told = ", ".join(f"{kind} {stored}" for kind, stored in STORED.items())
    raise BenchError(f"inputs of {dtype} {tuple(inputs.shape)} are stored inputs of no kind; the kinds store {told}")


def as_input(inputs: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Stored inputs of any kind -> what a standard model takes: a new tensor, which may be changed.

    Images uint8 [B, C, H, W] become floats in [0, 1], channels_last; the columns of a table, float32 [B, D], stay as
    they are; so do token numbers, int64 [B, L].

    Args:
        inputs: of one kind (`kind_of`).
        dtype: of the floats, where it is not float32; token numbers have none.

    Raises:
        BenchError: inputs of no kind.
    """
    import torch

    kind = kind_of(inputs)
    if kind == "texts":
        return inputs.clone()
    if kind == "tables":
        return inputs.to(dtype or torch.float32, copy=True)
    pixels = inputs.float().div_(255).contiguous(memory_format=torch.channels_last)
    return pixels if dtype is None else pixels.to(dtype)
