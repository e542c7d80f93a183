"""A safetensors file that is written piece by piece, in any order, by several threads; it is there when it is whole."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from bench.checkpoints.dtypes import KNOWN, SIZES, bytes_of
from bench.errors import CheckpointError


class SafetensorsWriter:
    """Room for tensors of known shapes in a file beside `path`; the last entry written puts it in its place."""

    def __init__(
        self, path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]
    ) -> None:
        """Lay out the file.

        Args:
            path: where it will be.
            tensors: name -> dtype as safetensors calls it, and shape.
            metadata: what stands in its header.

        Raises:
            CheckpointError: the disk has no room for it, or the folder cannot be written.
        """
        self.path = path
        self._part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}
        header: dict[str, object] = {"__metadata__": dict(metadata)}
        end = 0
        for name in sorted(tensors, key=lambda name: (-SIZES[tensors[name][0]], name)):  # so that each lies aligned
            dtype, shape = tensors[name]
            self._places[name], start = end, end
            end += SIZES[dtype] * math.prod(shape)
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        self._tensors, self._left, self._done = dict(tensors), end, False
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        self._begin = 8 + len(text)
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._part.open("xb") as file:
                file.write(len(text).to_bytes(8, "little") + text)
                file.truncate(self._begin + end)
        self._finish(0)

    def write(self, name: str, value: Tensor, row: int = 0) -> None:
        """Write a tensor of the dtype that was laid out, or rows of it from `row` on; each entry is written once.

        Raises:
            CheckpointError: the disk is full.
        """
        dtype, shape = self._tensors[name]
        assert value.dtype == KNOWN[dtype], f"{name!r} was laid out as {dtype}"
        if not value.numel():
            return
        start = self._begin + self._places[name] + row * SIZES[dtype] * math.prod(shape[1:])
        left = bytes_of(value.contiguous())
        with self._told(), self._part.open("r+b", buffering=0) as file:
            file.seek(start)
            while left:
                left = left[file.write(left) or 0 :]
        self._finish(value.nbytes)

    def discard(self) -> None:
        """Leave nothing behind; of no effect on a file that is in its place."""
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _finish(self, written: int) -> None:
        with self._lock:
            self._left -= written
            if self._left or self._done:
                return
            self._done = True
        with self._told():
            with self._part.open("r+b") as file:
                os.fsync(file.fileno())
            self._part.replace(self.path)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"cannot write {self.path}: {error.strerror or error}; free some space or choose another folder"
            ) from error
