"""CIFAR-10 in its official python layout: five training batches and a test batch, pickled."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np

from bench.data.catalogue import Source, fullest, missing, places, remedy
from bench.data.parts import Parts
from bench.data.remote import download, fetching
from bench.data.unpickle import load_arrays
from bench.errors import DataError
from bench.paths import data_root


def files(source: Source) -> tuple[Path, ...]:
    """The batch files in the official order; () where none is there.

    Raises:
        DataError: some of them are there and some are not.
    """
    folder, lacking = fullest(source)
    if len(lacking) == len(source.hashes):
        return ()
    if lacking:
        raise DataError(f"{missing(source)}: {source.name} is not whole; {remedy(source)}")
    return tuple(folder / name for name, _ in source.hashes)


def read(source: Source, paths: tuple[Path, ...]) -> Parts:
    """All batches.

    Raises:
        DataError: a batch is torn, altered, or would run code.
    """
    batches = [_batch(source, path) for path in paths]
    images, labels = zip(*batches, strict=True)
    return Parts(np.concatenate(images[:-1]), np.concatenate(labels[:-1]), images[-1], labels[-1])


def fetch(source: Source, patience: float) -> None:
    """Download the archive, and put its batches in place by one rename.

    Raises:
        UnreachableError, DataError: see `bench.data.remote.fetching`.
    """
    (remote,) = source.remotes
    archive = data_root() / remote.file
    with fetching(source):
        if files(source):  # another process was faster
            return
        download(remote, archive, patience)
        with tempfile.TemporaryDirectory(dir=data_root(), prefix=f".{source.name}-") as place:
            unpack(archive, source, Path(place) / "whole")
            (Path(place) / "whole").rename(places(source)[0])
        archive.unlink()


def unpack(archive: Path, source: Source, folder: Path) -> None:
    """Write the data set's own files, and nothing else that an archive may hold, into a new folder.

    Raises:
        DataError: the archive is not one, or lacks a file.
    """
    folder.mkdir()
    try:
        with tarfile.open(archive) as tar:
            for name in (*(name for name, _ in source.hashes), "batches.meta"):
                content = tar.extractfile(f"{source.folders[0]}/{name}")
                if content is None:
                    raise DataError(f"{archive}: {name} is not a file; delete the archive")
                with content, (folder / name).open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, KeyError, EOFError, zlib.error) as error:
        raise DataError(f"{archive} is not the archive of {source.name} ({error}); delete it") from error


def _batch(source: Source, path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = load_arrays(path)
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__} and should hold a dict; {remedy(source)}")
    batch = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    data, labels = batch.get("data"), batch.get("labels")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,):
        raise DataError(f"{path}: 'data' should be uint8 [N, 3072]; {remedy(source)}")
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if not isinstance(labels, list | tuple) or not all(_is_whole(label) for label in labels):
        raise DataError(f"{path}: 'labels' should be a list of whole numbers; {remedy(source)}")
    if len(labels) != len(data):
        raise DataError(f"{path}: {len(data)} images and {len(labels)} labels; {remedy(source)}")
    return data.reshape(-1, *source.shape), np.array(labels, dtype=np.int64)


def _is_whole(label: object) -> bool:
    return isinstance(label, int | np.integer) and not isinstance(label, bool)
