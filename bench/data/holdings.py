"""What lies here, for `python -m bench data`: looked at, fetched, or read again from the first byte to the last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.catalogue import SOURCES, Source, places, remedy, source_of
from bench.data.identity import Facts, examine, facts_of, files, reader_of
from bench.errors import DataError

PATIENCE_S = 30.0
"""Who asks for a download waits longer than a run that has a stand-in."""


@dataclass(frozen=True)
class Holding:
    """A data set as it lies here."""

    name: str
    description: str
    folder: Path | None
    """Where it is, or would go; None for one that is made on first use and was not yet."""
    found: bool
    size: int = 0
    """Bytes on disk."""
    variant: str | None = None
    fingerprint: str | None = None
    problem: str | None = None
    """What is wrong with it, and what to do."""


def inventory() -> list[Holding]:
    """Every data set there is, in the order of the catalogue; nothing is fetched or made."""
    return [_look(source) for source in SOURCES.values()]


def fetch(name: str) -> Holding:
    """Bring a data set here if it is not, checked by hash.

    Raises:
        DataError: it is unknown, damaged, or its official address does not give it.
    """
    source = source_of(name)
    return _holding(source, files(source, PATIENCE_S), examine(source, PATIENCE_S))


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


def _look(source: Source) -> Holding:
    try:
        paths = reader_of(source).files(source)
        if paths:
            return _holding(source, paths, examine(source))
        return Holding(source.name, source.description, _home(source), found=False, problem=_absent(source))
    except DataError as error:
        return Holding(source.name, source.description, _home(source), found=False, problem=str(error))


def _holding(source: Source, paths: tuple[Path, ...], facts: Facts) -> Holding:
    size = sum(path.stat().st_size for path in paths)
    variant = facts.variant(source)
    return Holding(source.name, source.description, paths[0].parent, True, size, variant, facts.fingerprint)


def _home(source: Source) -> Path | None:
    return next(iter(places(source)), None)


def _absent(source: Source) -> str:
    if source.bundled:
        return f"{source.name} is made on first use, or by `python -m bench data fetch {source.name}`"
    where = " or ".join(map(str, places(source)))
    return f"{source.name} is not, or not wholly, in {where}; {remedy(source)}"
