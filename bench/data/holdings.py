"""What lies here, for `python -m bench data`: looked at, fetched, or read again from the first byte to the last."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.data.catalogue import Source, missing, places, remedy, source_of
from bench.data.identity import Facts, examine, facts_of, files, reader_of
from bench.errors import DataError

FETCH_PATIENCE_S = 30.0
"""Who asks for a download waits longer than a run that has a stand-in."""


@dataclass(frozen=True)
class Holding:
    """A data set as it lies here."""

    name: str
    variant: str
    fingerprint: str
    bytes: int
    folder: Path

    def __str__(self) -> str:
        megabytes = self.bytes / 1e6
        return f"{self.name}: variant {self.variant}, {self.fingerprint}, {megabytes:.1f} MB in {self.folder}"


def describe(name: str) -> dict[str, Any]:
    """What is here of a data set, ready for JSON; nothing is fetched or made.

    `name`, `kind`, `found`; with `variant`, `fingerprint`, `bytes` and `folder` where it is here and whole, else with
    `problem`: what is wrong and what to do.

    Raises:
        DataError: there is no such data set.
    """
    source = source_of(name)
    try:
        paths = reader_of(source).files(source)
        if not paths:
            return {"name": name, "kind": source.kind, "found": False, "problem": _absent(source)}
        holding = _holding(source, paths, examine(source))
    except DataError as error:
        return {"name": name, "kind": source.kind, "found": False, "problem": str(error)}
    return {"name": name, "kind": source.kind, "found": True, **asdict(holding), "folder": str(holding.folder)}


def fetch(name: str) -> Holding:
    """Bring a data set here if it is not, checked by hash.

    Raises:
        DataError: it is unknown, damaged, or its official address does not give it.
    """
    source = source_of(name)
    return _holding(source, files(source, FETCH_PATIENCE_S), examine(source))


def verify(name: str) -> Holding:
    """Read and hash every byte again, whatever is remembered. The variant says whether it is the official content.

    Raises:
        DataError: it is unknown, not here, or damaged.
    """
    source = source_of(name)
    paths = reader_of(source).files(source)
    if not paths:
        raise DataError(_absent(source))
    return _holding(source, paths, facts_of(source, paths))


def _holding(source: Source, paths: tuple[Path, ...], facts: Facts) -> Holding:
    size = sum(path.stat().st_size for path in paths)
    return Holding(source.name, facts.variant(source), facts.fingerprint, size, paths[0].parent)


def _absent(source: Source) -> str:
    if source.bundled:
        return f"{source.name} is made on first use, or by `python -m bench data fetch {source.name}`"
    for member in map(source_of, source.members):
        if not reader_of(member).files(member):
            return f"{source.name} lacks {member.name}: {_absent(member)}"
    where = " or ".join(map(str, places(source)))
    partly = missing(source, ("", ".gz"))
    return f"{source.name} is not, or not wholly, in {where}; {f'{partly}; ' if partly else ''}{remedy(source)}"
