"""Archives of corpora: single files out of a .zip or a .tar.gz, each put in place whole or not at all."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

from filelock import FileLock

from bench.data.remote import download
from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.data.source import Remote


def bring(remote: Remote, archive: Path, folder: Path, names: Iterable[str], patience: float) -> None:
    """Download an archive and unpack some of its files. It stays: several sets may come out of it.

    Args:
        remote: where it comes from.
        archive: where it is put.
        folder: where the files go.
        names: their paths below `folder`; in the archive they may lie in any folder.
        patience: seconds to wait for an answer.

    Raises:
        DataError: it is not such an archive, is not whole, or lacks a file.
    """
    with FileLock(archive.with_name(f".{archive.name}.lock")):
        download(remote, archive, patience)
        unpack(archive, folder, names)


def unpack(archive: Path, folder: Path, names: Iterable[str]) -> None:
    """Write these files, and nothing else that the archive may hold, into the folder. Raises DataError as `bring`."""
    try:
        contents = {name: _content(archive, name) for name in names}
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive} is half-downloaded or no archive ({error}); delete it") from error
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(content)
        part.replace(path)


def _content(archive: Path, name: str) -> bytes:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            return opened.read(_place(archive, name, opened.namelist()))
    with tarfile.open(archive) as tar:
        file = tar.extractfile(_place(archive, name, tar.getnames()))
        if file is None:
            raise DataError(f"{archive}: {name} is not a file; delete the archive")
        with file:
            return file.read()


def _place(archive: Path, name: str, members: list[str]) -> str:
    found = [member for member in members if f"/{member}".endswith(f"/{name}")]
    if not found:
        raise DataError(f"{archive} holds no {name}: it is another archive; delete it")
    return min(found, key=len)  # a copy in `__MACOSX` or `original` lies deeper
