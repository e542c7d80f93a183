"""`compact`: take records that others have replaced out of a results file, into an archive beside it or away."""

from __future__ import annotations

from pathlib import Path

from bench.counting import counting
from bench.errors import BenchError
from bench.models.files import write_atomically
from bench.plan import asked_of
from bench.records import conflicts
from bench.store import Store
from bench.suite import Suite


def archive_of(path: Path) -> Path:
    """Where replaced records of a results file are kept."""
    return path.with_name(f"{path.stem}.old.jsonl")


def compact(suite: Suite, path: Path, *, drop: bool) -> tuple[int, int]:
    """Leave one record a cell.

    Args:
        suite: whose results these are; it says which of several questions counts.
        path: a results file.
        drop: forget what was replaced, in place of moving it to `<profile>.old.jsonl`.

    Returns:
        How many records are left, and how many were taken out.

    Raises:
        BenchError: a line is damaged, or two records contradict each other: nothing is changed.
    """
    store = Store(path)
    with store.lock():
        content = store.content()
        if faults := [*content.faults, *conflicts(content.records)]:
            raise BenchError("\n".join([*faults, f"{path} is left as it is: mend or remove these lines first"]))
        keys = {cell.key for cells in asked_of(suite, content.records).values() for cell in cells}
        kept = counting(content.records, keys)
        left = {id(record) for record in kept}
        replaced = [record for record in content.records if id(record) not in left]
        if replaced and not drop:
            archive = archive_of(path)
            before = archive.read_bytes() if archive.is_file() else b""
            write_atomically(archive, before + b"".join(r.line().encode() + b"\n" for r in replaced))
        if replaced:
            write_atomically(path, b"".join(record.line().encode() + b"\n" for record in kept))
    return len(kept), len(replaced)
