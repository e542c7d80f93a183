"""Files are written whole or not at all: the one writer of boards and of standard models."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from bench.errors import BenchError


def write_whole(path: Path, content: bytes) -> None:
    """Write through a file beside `path`, fsync, and rename: a reader sees the old file or the new one.

    Raises:
        BenchError: the disk is full, or the folder cannot be written; it names the file, and nothing is left behind.
    """
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BenchError(
                f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
            ) from error
        raise
