"""Official files from the network: whole and checked by hash before they are put in place, or not at all."""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bench.data.catalogue import missing, places, remedy
from bench.errors import DataError
from bench.paths import data_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.data.catalogue import Remote, Source

STALL_S = 30.0
"""A transfer that stands still for so long has ended."""
_CHUNK = 1 << 20
_log = logging.getLogger(__name__)


class UnreachableError(DataError):
    """A data set that is not here and that its official address did not give."""


@contextmanager
def fetching(source: Source) -> Iterator[None]:
    """Alone among all processes, with the data root in place; what went wrong is told with its remedy.

    Raises:
        UnreachableError: the addresses did not answer, or the data root cannot be written.
        DataError: what came is not the official file, or the disk is full.
    """
    from filelock import FileLock

    where = " or ".join(map(str, places(source)))
    try:
        data_root().mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_root() / f".{source.name}.lock")
        lock.acquire()
    except OSError as error:
        raise UnreachableError(
            f"data set {source.name!r} is not in {where}, and {data_root()} cannot be written "
            f"({error.strerror or error}); {remedy(source)}"
        ) from error
    try:
        yield
    except _SilenceError as error:
        raise UnreachableError(
            f"data set {source.name!r} is not (or not wholly) in {where}, and could not be fetched: {error}; "
            f"{_partly(source)}{remedy(source)}"
        ) from error
    except OSError as error:
        raise DataError(f"data set {source.name!r} could not be written to {data_root()}: {error}") from error
    finally:
        lock.release()


def _partly(source: Source) -> str:
    told = missing(source, ("", ".gz"))
    return f"{told}; " if told else ""


def download(remote: Remote, target: Path, patience: float) -> None:
    """Bring one file to `target`. What came of an interrupted transfer is kept beside it and gone on from.

    Args:
        remote: its addresses, tried in order, and its hash.
        target: where it goes, by an atomic rename, once the hash agrees. A file that is there already is checked.
        patience: seconds to wait for answers, shared among the addresses.

    Raises:
        DataError: the file at `target`, or every one that came, has another hash.
    """
    if target.is_file():
        if remote.sha256 not in (None, sha256_of(target)):
            raise DataError(f"{target} is half-downloaded or altered (its sha256 is not the official one): delete it")
        return
    part = target.with_name(f"{target.name}.part")
    silent, altered = [], []
    for address in remote.addresses:
        try:
            if _receive(address, part, patience / len(remote.addresses), remote.sha256):
                part.replace(target)
                return
            altered.append(address)
        except _SilenceError as error:
            silent.append(f"{address}: {error}")
    if altered:
        raise DataError(
            f"what {' and '.join(altered)} sent as {target.name} is not the official file (its sha256 differs from "
            f"{remote.sha256}); nothing was put into {target.parent}. Is there a proxy or a login page in between?"
        )
    raise _SilenceError("; ".join(silent))


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _SilenceError(Exception):
    """An address that did not answer, refused, or fell silent."""


def _receive(address: str, part: Path, patience: float, sha256: str | None) -> bool:
    """Fill `part` and say whether it is the official file, as far as there is a hash.

    One that went on from a wrong beginning starts again.
    """
    while True:
        resumed = part.is_file() and part.stat().st_size > 0
        _log.info("%s %s", "going on with" if resumed else "downloading", address)
        _transfer(address, part, patience)
        if sha256 in (None, sha256_of(part)):
            return True
        part.unlink()
        if not resumed:
            return False


def _transfer(address: str, part: Path, patience: float) -> None:
    have = part.stat().st_size if part.is_file() else 0
    request = Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = _answer(request, patience)
    except HTTPError as error:
        error.close()
        if error.code == 416:  # nothing is left to send: the hash decides
            return
        raise _SilenceError(f"HTTP {error.code} {error.reason}") from error
    # Only now: an address that does not answer leaves no empty folder behind.
    part.parent.mkdir(parents=True, exist_ok=True)
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        length = response.headers.get("Content-Length")
        left = int(length) if length else None
        while chunk := _read(response):
            file.write(chunk)
            left = None if left is None else left - len(chunk)
        if left:
            raise _SilenceError(f"the transfer ended {left} bytes early")


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _SilenceError(f"the transfer broke off ({error})") from error


def _answer(request: Request, patience: float) -> HTTPResponse:
    """Open an address, waiting `patience` seconds in all: a time limit of a socket does not cover the name server."""
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urlopen(request, timeout=STALL_S))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=patience)
    except queue.Empty:
        raise _SilenceError(f"no answer within {patience:g} s") from None
    if isinstance(answer, HTTPError):
        raise answer
    if isinstance(answer, (OSError, HTTPException)):
        raise _SilenceError(str(getattr(answer, "reason", answer))) from answer
    if isinstance(answer, Exception):
        raise answer
    return answer
