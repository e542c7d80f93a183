"""One safetensors file: what it holds, and tensors read at their place.

The library checks a file. Tensors are read, and not mapped: what is mapped stays in memory as long as the file is
open, and a merge would seem to hold all of its models.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.checkpoints.dtypes import KNOWN, SIZES, bytes_of
from bench.errors import CheckpointError

POINTER = b"version https://git-lfs.github.com/spec/"
"""How the text file begins that Git LFS leaves in the place of a large one."""


def contents(path: Path) -> dict[str, tuple[str, tuple[int, ...], int]]:
    """Name -> dtype as safetensors calls it, shape, and the byte at which the tensor begins.

    Raises:
        CheckpointError: it is no whole safetensors file, a Git LFS pointer, or holds a dtype that is not known here.
    """
    refuse_pointer(path)
    try:
        with safe_open(path, framework="pt"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or cut short: {error}") from error
    header.pop("__metadata__", None)
    for name, about in header.items():
        if about["dtype"] not in KNOWN:
            raise CheckpointError(
                f"{path}: {name!r} is of dtype {about['dtype']}; {', '.join(KNOWN)} are known here. Quantised weights "
                "have to be restored to one of the first four before"
            )
    return {
        name: (about["dtype"], tuple(about["shape"]), 8 + length + about["data_offsets"][0])
        for name, about in header.items()
    }


def read(path: Path, start: int, dtype: str, shape: tuple[int, ...], rows: slice | None) -> Tensor:
    """The tensor that begins at byte `start`, or these rows of it. Raises CheckpointError where the file is another."""
    if rows is not None:
        first, last, _ = rows.indices(shape[0])
        start, shape = start + first * math.prod(shape[1:]) * SIZES[dtype], (last - first, *shape[1:])
    tensor = torch.empty(shape, dtype=KNOWN[dtype])
    left = bytes_of(tensor)
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            while left:
                if not (count := file.readinto(left)):
                    raise OSError("it has become shorter")
                left = left[count:]
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    return tensor


def refuse_pointer(path: Path) -> None:
    """Raise CheckpointError where a weight file is what Git LFS leaves in its place."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(POINTER))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if begins == POINTER:
        folder = os.fspath(path.parent)
        raise CheckpointError(f"{path}: is a Git LFS pointer, and not the weights; run `git lfs pull` in {folder}")
