"""Small data sets on disk, a home of their own, and no way to the network."""

from __future__ import annotations

import gzip
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data.catalogue import SOURCES

CLOSED = "http://127.0.0.1:9"
"""The discard port: a connection is refused at once."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """BENCH_DATA and BENCH_CACHE are empty folders, and every address is closed."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for name, source in SOURCES.items():
        remotes = tuple(replace(remote, addresses=(f"{CLOSED}/{remote.file}",)) for remote in source.remotes)
        monkeypatch.setitem(SOURCES, name, replace(source, remotes=remotes))
    return tmp_path / "data"


@pytest.fixture
def cifar(home: Path) -> Path:
    """CIFAR-10 in its official layout with 40 images a batch."""
    return write_cifar(home / "cifar-10-batches-py", 40)


@pytest.fixture
def mnist(home: Path) -> Path:
    """MNIST with 200 training images (gzipped) and 40 test images (unpacked)."""
    folder = home / "mnist"
    rng = np.random.default_rng(1)
    for part, n, suffix in (("train", 200, ".gz"), ("t10k", 40, "")):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", (np.arange(n) % 10).astype(np.uint8))
    return folder


def write_cifar(folder: Path, rows: int) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"):
        data = rng.integers(0, 256, (rows, 3072), dtype=np.uint8)
        batch = {b"data": data, b"labels": [i % 10 for i in range(rows)]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=4))
    return folder


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
