"""`compact`: take records that others have replaced out of a results file, into an archive beside it or away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from bench.atomic import write_whole
from bench.errors import BenchError
from bench.records.counting import counting
from bench.records.record import Record, conflicts
from bench.records.store import ARCHIVE, Store


def archive_of(path: Path) -> Path:
    """Where replaced records of a results file are kept."""
    return path.with_name(f"{path.stem}{ARCHIVE}")


def compact(path: Path, asked: Callable[[Sequence[Record]], Collection[str]], *, drop: bool) -> tuple[int, int]:
    """Leave one record a cell.

    Args:
        path: a results file.
        asked: out of its records, the keys that the suite asks for: they say which of several questions counts.
        drop: forget what was replaced, in place of moving it to `<profile>.old.jsonl`.

    Returns:
        How many records are left, and how many were taken out.

    Raises:
        BenchError: a line is damaged, or two records contradict each other: no record is moved.
    """
    store = Store(path)
    with store.lock():
        store.set_torn_line_aside()
        content = store.content()
        if faults := [*content.faults, *conflicts(content.records)]:
            raise BenchError("\n".join([*faults, f"{path} is left as it is: mend or remove these lines first"]))
        kept = counting(content.records, asked(content.records))
        left = {id(record) for record in kept}
        replaced = [record for record in content.records if id(record) not in left]
        if replaced and not drop:
            _archive(archive_of(path), replaced, like=path)
        if replaced:
            _write(path, _lines(kept), like=path)
    return len(kept), len(replaced)


def _archive(path: Path, replaced: Iterable[Record], like: Path) -> None:
    """Add records, but those that are there since an earlier `compact` was killed before it shortened the file."""
    before = path.read_bytes() if path.is_file() else b""
    known = set(before.splitlines(keepends=True))
    _write(path, [*([before] if before else []), *(line for line in _lines(replaced) if line not in known)], like)


def _lines(records: Iterable[Record]) -> list[bytes]:
    return [record.line().encode() + b"\n" for record in records]


def _write(path: Path, lines: Iterable[bytes], like: Path) -> None:
    mode = like.stat().st_mode
    write_whole(path, b"".join(lines))
    path.chmod(mode)
