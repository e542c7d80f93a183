"""How safetensors calls the dtypes of tensors, which of them hold weights, and which are only carried along."""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHTS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Dtypes that are computed with."""

CARRIED = {
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Dtypes of counters, indices and masks: they are copied, and never averaged."""

KNOWN = WEIGHTS | CARRIED
CODES = {dtype: code for code, dtype in KNOWN.items()}
SIZES = {code: dtype.itemsize for code, dtype in KNOWN.items()}
"""Bytes of one entry."""

NAMES = {str(dtype).removeprefix("torch."): code for code, dtype in WEIGHTS.items()}
"""`float32` and its like -> what safetensors calls it."""


def finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite; one pass, and no copy."""
    if not tensor.numel():
        return True
    low, high = tensor.aminmax()
    return bool((low - low + high - high == 0).item())


def bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor, to be read or written; of no length where it has no entry."""
    if not tensor.numel():
        return memoryview(b"")
    return memoryview(tensor.view(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
