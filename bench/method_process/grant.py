"""What is granted travels from the judge to a method's process: a pickle, and tensors in a file mapped copy-on-write.

The file has no name and lies in memory where the system offers that. A method may write to what it was granted: its
process then has its own copy of the page, and the judge's tensors stay as they are.
Handles (`bench.task.handle`) travel as numbers; what lies behind them stays with the judge.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor, nn

from bench.method_process.wire import flattened, raw
from bench.task.handle import Handle

ALIGNED = 64
"""Bytes: where torch puts tensors itself."""


@dataclass(frozen=True)
class Grant:
    """Things on their way."""

    pickled: bytes
    file: BinaryIO
    """The bytes of all tensors."""
    handles: frozenset[int]
    """Numbers of the handles among them: the process may ask these and no others."""
    size: int
    """Bytes of all tensors."""


def pack(things: object) -> Grant:
    """Write down things of any classes that the other side can import."""
    file, text = _file(), io.BytesIO()
    writer = _Writer(text, file)
    writer.dump(things)
    file.truncate(writer.size)  # the last tensor may have no entries, and still a place
    return Grant(text.getvalue(), file, frozenset(writer.handles), writer.size)


def unpack(pickled: bytes, file: int, size: int, handle: Callable[[int], Handle]) -> Any:
    """The things again, in the method's process.

    Args:
        pickled: as packed.
        file: the descriptor of the tensors' file.
        size: bytes in it.
        handle: number -> a handle that asks the judge.
    """
    mapped = mmap.mmap(file, size, access=mmap.ACCESS_COPY) if size else memoryview(bytearray())
    return _Reader(io.BytesIO(pickled), mapped, handle).load()


class _Writer(pickle.Pickler):
    def __init__(self, text: io.BytesIO, file: BinaryIO) -> None:
        super().__init__(text, protocol=5)
        self.file, self.size = file, 0
        self.handles: set[int] = set()
        self.kept: list[Tensor] = []
        """Keeps what was written, so that no later tensor has an earlier one's id."""
        self.places: dict[int, tuple[Any, ...]] = {}

    def persistent_id(self, thing: object) -> tuple[Any, ...] | None:
        if isinstance(thing, Handle):
            self.handles.add(thing.number)
            return ("handle", thing.number)
        if isinstance(thing, Tensor):
            if id(thing) not in self.places:
                self.places[id(thing)] = self.written(thing)
                self.kept.append(thing)
            return self.places[id(thing)]
        return None

    def written(self, tensor: Tensor) -> tuple[Any, ...]:
        plain = tensor.detach().cpu()
        flat, strides = flattened(plain)
        place = -(-self.size // ALIGNED) * ALIGNED
        self.file.seek(place)
        self.file.write(raw(flat))
        self.size = place + flat.numel() * flat.element_size()
        kind = "parameter" if isinstance(tensor, nn.Parameter) else "tensor"
        return (
            kind,
            len(self.places),
            place,
            flat.numel(),
            plain.dtype,
            list(plain.shape),
            strides,
            tensor.requires_grad,
            str(tensor.device),
        )


class _Reader(pickle.Unpickler):
    def __init__(self, text: io.BytesIO, mapped: Any, handle: Callable[[int], Handle]) -> None:
        super().__init__(text)
        self.mapped, self.handle = mapped, handle
        self.made: dict[int, Tensor] = {}

    def persistent_load(self, told: Any) -> object:
        kind, number, *rest = told
        if kind == "handle":
            return self.handle(number)
        if number not in self.made:
            self.made[number] = self.tensor(kind, *rest)
        return self.made[number]

    def tensor(
        self,
        kind: str,
        place: int,
        count: int,
        dtype: torch.dtype,
        shape: list[int],
        strides: list[int],
        grad: bool,
        device: str,
    ) -> Tensor:
        flat = (
            torch.frombuffer(self.mapped, dtype=dtype, count=count, offset=place)
            if count
            else torch.empty(0, dtype=dtype)
        )
        value = (flat.as_strided(shape, strides) if count else flat.view(shape)).to(device)
        return nn.Parameter(value, grad) if kind == "parameter" else value.requires_grad_(grad)


def _file() -> BinaryIO:
    """A file without a name, in memory where the system offers that."""
    if hasattr(os, "memfd_create"):
        return cast("BinaryIO", os.fdopen(os.memfd_create("grant"), "w+b"))
    return cast("BinaryIO", tempfile.TemporaryFile())
