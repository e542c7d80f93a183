"""shapes32 and shapes40: drawn on first use (see `bench.data.images.drawing`), then kept in the cache folder."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from filelock import FileLock

from bench.data import draws
from bench.data.catalogue import Source
from bench.data.images import drawing
from bench.data.parts import ARRAYS, Parts
from bench.errors import DataError
from bench.paths import cache_root

ROWS = {"shapes32": (12_000, 2_000), "shapes40": (20_000, 4_000)}
"""Set -> its training and test images."""


def files(source: Source) -> tuple[Path, ...]:
    """The file that holds the images; () where they are not drawn yet."""
    path = _home(source)
    return (path,) if path.is_file() else ()


def read(source: Source, paths: tuple[Path, ...]) -> Parts:
    """The images; a file that is not as it was written is recognised, and drawn again.

    Raises:
        DataError: it cannot be written again.
    """
    (path,) = paths
    return _stored(path) or _drawn(source.name, path)


def fetch(source: Source, _patience: float) -> None:
    """Draw all images and keep them; no network is needed.

    Raises:
        DataError: the cache folder cannot be written.
    """
    _drawn(source.name, _home(source))


def _home(source: Source) -> Path:
    """Named by the code that draws: another version of it draws its own file."""
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (drawing, draws))
    return cache_root() / f"{source.name}-{hashlib.sha256(code).hexdigest()[:8]}.npz"


def _drawn(name: str, path: Path) -> Parts:
    """Draw into the file, unless another process just did."""
    train, test = ROWS[name]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            parts = _stored(path)
            if parts is None:
                parts = Parts(*drawing.draw(name, "train", train), *drawing.draw(name, "test", test))
                _store(path, parts)
            return parts
    except OSError as error:
        raise DataError(f"{name} is drawn into {path.parent}, which cannot be written: {error}") from error


def _stored(path: Path) -> Parts | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            parts = Parts(*(content[name] for name in ARRAYS))
            return parts if str(content["fingerprint"]) == parts.fingerprint() else None
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile):
        return None


def _store(path: Path, parts: Parts) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        try:
            np.savez(file, allow_pickle=False, fingerprint=np.array(parts.fingerprint()), **parts.arrays())
        except OSError:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)
