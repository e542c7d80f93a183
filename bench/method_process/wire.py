"""Messages between the judge and a method's process: JSON, and the bytes of tensors behind it.

Both sides speak it. The judge alone may send pickles, by `bench.method_process.grant`: it trusts nothing that comes
from a method's process but data.
"""

from __future__ import annotations

import json
import math
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from bench.errors import BadResult
from bench.method_process.forms import Packed

VERSION = 1
"""Of the messages. Both sides are of one package; a process of another one is refused."""
LARGEST = 2**34
"""Bytes of a message."""


def send(connection: Connection, message: dict[str, Any], packed: Packed | None = None) -> None:
    """Send a message of plain JSON values, and a thing with it (`forms.pack`)."""
    tensors = [] if packed is None else packed.tensors
    layouts, parts = [], []
    for tensor in tensors:
        flat, strides = flattened(tensor)
        layouts.append([str(tensor.dtype).removeprefix("torch."), list(tensor.shape), strides])
        parts.append(raw(flat))
    head = message | {"tensors": layouts} | ({} if packed is None else {"form": packed.text})
    connection.send_bytes(json.dumps(head).encode())
    for part in parts:
        connection.send_bytes(part)


def receive(connection: Connection) -> tuple[dict[str, Any], Packed | None]:
    """The next message, and the thing that came with it.

    Raises:
        BadResult: it is none of these messages.
        EOFError: the other side is gone.
    """
    try:
        head = json.loads(connection.recv_bytes(LARGEST))
        tensors = [_tensor(connection, *layout) for layout in head.pop("tensors")]
        text = head.pop("form", None)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RuntimeError, RecursionError) as error:
        raise BadResult(f"the method's process sent what is no message: {error!r}") from error
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise EOFError from error
        raise BadResult(f"the method's process sent a message of more than {LARGEST} bytes") from error
    return head, None if text is None else Packed(text, tensors)


def count(message: dict[str, Any], name: str) -> int:
    """A whole number that a message tells.

    Raises:
        BadResult: it tells none.
    """
    told = message.get(name)
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        raise BadResult(f"the method's process sent {name} = {told!r}, which is no count")
    return told


def names(message: dict[str, Any], name: str) -> list[str]:
    """Texts that a message tells.

    Raises:
        BadResult: it tells none.
    """
    told = message.get(name)
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise BadResult(f"the method's process sent {name} = {told!r}, which are no names")
    return told


def _tensor(connection: Connection, dtype: str, shape: list[int], strides: list[int]) -> Tensor:
    kind, count = getattr(torch, dtype), math.prod(shape)
    if not isinstance(kind, torch.dtype) or min(shape, default=0) < 0 or len(shape) != len(strides):
        raise ValueError(f"a tensor of {dtype} {shape} in steps of {strides}")
    raw = connection.recv_bytes(count * kind.itemsize)
    if len(raw) != count * kind.itemsize:
        raise ValueError(f"{len(raw)} bytes for a tensor of {dtype} {shape}")
    if count == 0:
        return torch.empty(shape, dtype=kind)
    flat = torch.frombuffer(bytearray(raw), dtype=kind).clone()  # into memory aligned as torch aligns it
    return flat.as_strided(shape, strides)


def raw(flat: Tensor) -> memoryview:
    """The bytes of entries [N], not copied."""
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def flattened(tensor: Tensor) -> tuple[Tensor, list[int]]:
    """The entries of a tensor as they lie in memory [N], and its strides there.

    What is in channels_last stays so on the other side: other strides are other kernels, with other last digits.
    """
    order = sorted(range(tensor.ndim), key=lambda axis: (-tensor.stride()[axis], axis))
    dense = tensor.permute(order)
    if not dense.is_contiguous():  # it has gaps, or entries that are the same
        return tensor.contiguous().reshape(-1), list(tensor.contiguous().stride())
    return dense.reshape(-1), list(tensor.stride())
