"""MNIST and Fashion-MNIST: four files in the IDX format, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from bench.data.catalogue import Source, fullest, remedy
from bench.data.parts import Parts
from bench.data.remote import download, fetching
from bench.errors import DataError

SUFFIXES = (".gz", "")
LIMIT = 1 << 30
"""Bytes; no data set of this format comes near. A header that promises more is not believed."""


def files(source: Source) -> tuple[Path, ...]:
    """Images and labels of the training part, then of the test part; () where no place has all four.

    Where some are there and nothing can be fetched, `missing` tells what is not.
    """
    folder, lacking = fullest(source, SUFFIXES)
    if lacking:
        return ()
    return tuple(
        next(path for end in SUFFIXES if (path := folder / f"{name}{end}").is_file()) for name, _ in source.hashes
    )


def read(source: Source, paths: tuple[Path, ...]) -> Parts:
    """The four arrays, images with a channel axis.

    Raises:
        DataError: a file is torn, altered, or not IDX.
    """
    train_images, train_labels, test_images, test_labels = (
        read_idx(path, dims, remedy(source)) for path, dims in zip(paths, (3, 1, 3, 1), strict=True)
    )
    return Parts(
        train_images[:, None],
        train_labels.astype(np.int64),
        test_images[:, None],
        test_labels.astype(np.int64),
    )


def fetch(source: Source, patience: float) -> None:
    """Download what is missing of the four files.

    Raises:
        UnreachableError, DataError: see `bench.data.remote.fetching`.
    """
    with fetching(source):
        folder, _ = fullest(source, SUFFIXES)
        for (name, _), remote in zip(source.hashes, source.remotes, strict=True):
            if not (folder / name).is_file() and not (folder / remote.file).is_file():
                download(remote, folder / remote.file, patience)


def read_idx(path: Path, dims: int, advice: str) -> np.ndarray:
    """An IDX file of bytes -> uint8 array with `dims` axes.

    Raises:
        DataError: it is not such a file, or not whole; the message ends with the advice.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path, dims, advice)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is half-downloaded or altered ({error}); {advice}") from error


def _parse(file: IO[bytes] | gzip.GzipFile, path: Path, dims: int, advice: str) -> np.ndarray:
    magic = file.read(4)
    if magic != bytes((0, 0, 8, dims)):
        raise DataError(
            f"{path} is not an IDX file of {dims}-dimensional bytes: it begins with {magic.hex(' ')}, and should with "
            f"00 00 08 {dims:02x}; {advice}"
        )
    header = file.read(4 * dims)
    if len(header) < 4 * dims:
        raise DataError(f"{path} ends inside its header: it is half-downloaded; {advice}")
    shape = struct.unpack(f">{dims}I", header)
    expected = math.prod(shape)
    if expected > LIMIT:
        raise DataError(f"{path} is altered: its header promises {expected} bytes; {advice}")
    content = bytearray()
    while len(content) <= expected and (chunk := file.read(1 << 20)):  # no room is made for what may not come
        content += chunk
    if len(content) != expected:
        told = "more" if len(content) > expected else f"{len(content)}"
        raise DataError(
            f"{path} is half-downloaded or altered: its header promises {expected} bytes and it holds {told}; {advice}"
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
