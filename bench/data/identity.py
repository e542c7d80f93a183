"""Which data a suite will really see: found, fetched or stood in for, with its variant and fingerprint."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from bench.data.catalogue import SOURCES, Source, source_of
from bench.data.kinds import kind_module
from bench.data.known import KNOWN
from bench.data.parts import Parts, check
from bench.data.remote import UnreachableError
from bench.data.spec import DataSpec
from bench.errors import DataError
from bench.paths import cache_root

PATIENCE_S = 3.0
"""Without a network, a run goes on with its stand-in after so long at most."""


class Reader(Protocol):
    """What a module that reads one kind of data set offers."""

    def files(self, source: Source, /) -> tuple[Path, ...]:
        """The files it is made of; () where it is not here. Raises DataError where it can never be."""

    def read(self, source: Source, paths: tuple[Path, ...], /) -> Parts:
        """Its arrays. Raises DataError where a file is damaged."""

    def fetch(self, source: Source, patience: float, /) -> None:
        """Bring it here, waiting `patience` seconds for an answer. Raises UnreachableError without a network."""


@dataclass(frozen=True)
class Facts:
    """What is remembered of files for as long as they do not change."""

    fingerprint: str
    official: bool
    train: int
    test: int

    def variant(self, source: Source) -> str:
        """The plain name for the official content, a known variant's name, else name and fingerprint."""
        if self.official:
            return source.name
        return KNOWN.get(self.fingerprint, f"{source.name}-{self.fingerprint[:6]}")


@dataclass(frozen=True)
class Identity:
    """The data a suite will see. `spec` is the stand-in's where `stand_in_for` names the set that is missing."""

    spec: DataSpec
    """Without its `offline` entry: what is left decides the data."""
    variant: str
    fingerprint: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    """Of one input, at the size that the suite asks for."""
    stand_in_for: str | None = None
    reason: str = ""
    """Why there is a stand-in."""


def identify(spec: DataSpec) -> Identity:
    """Find out which data `spec` stands for; what is not here is fetched, or stood in for where `offline` says so.

    Cheap once the files have been read: their fingerprint is remembered until one of them changes.

    Raises:
        DataError: the set is unknown, damaged, or can be neither found nor fetched; sizes that it cannot give.
    """
    source = source_of(spec.name)
    other = stand_in(spec)
    try:
        facts = examine(source)
    except UnreachableError as error:
        if other is None:
            raise
        facts = examine(other)
        return _identity(_shrunk(spec, facts), other, facts, missing=spec.name, reason=str(error))
    return _identity(spec, source, facts)


def examine(source: Source, patience: float = PATIENCE_S) -> Facts:
    """Fingerprint and sizes of a data set, which is fetched if it is not here.

    Raises:
        DataError: it is damaged; `UnreachableError`: it is neither here nor at its address.
    """
    paths = files(source, patience)
    stamp = _stamp(paths)
    memory = cache_root() / "fingerprints" / f"{source.name}-{stamp}.json"
    facts = _recall(memory)
    if facts is None:
        facts = facts_of(source, paths)
        if stamp == _stamp(paths):  # nothing changed while it was read
            _remember(memory, facts)
    return facts


def files(source: Source, patience: float) -> tuple[Path, ...]:
    """The files of a data set, which is fetched if it is not here."""
    reader = reader_of(source)
    paths = reader.files(source)
    if not paths:
        reader.fetch(source, patience)
        paths = reader.files(source)
    return paths


def read(source: Source, paths: tuple[Path, ...]) -> Parts:
    """The arrays of a data set, checked against the catalogue. Raises DataError where a file is damaged."""
    return check(reader_of(source).read(source, paths), source, paths[0].parent)


def facts_of(source: Source, paths: tuple[Path, ...]) -> Facts:
    """The facts, from the files themselves."""
    parts = read(source, paths)
    return Facts(parts.fingerprint(), _official(source, paths), len(parts.train_labels), len(parts.test_labels))


def reader_of(source: Source) -> Reader:
    """The module that reads this data set."""
    return cast("Reader", import_module(f"bench.data.{source.reader}"))


def validation_size(spec: DataSpec, train: int) -> int:
    """Validation rows of `train` official training rows: a tenth, unless the spec says."""
    return spec.validation if spec.validation is not None else train // 10


def _official(source: Source, paths: tuple[Path, ...]) -> bool:
    """Whether the unpacked files have the published hashes."""
    for path, (_, expected) in zip(paths, source.hashes, strict=False):
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            if hashlib.file_digest(file, "md5" if len(expected) == 32 else "sha256").hexdigest() != expected:
                return False
    return bool(source.hashes)


def _identity(spec: DataSpec, source: Source, facts: Facts, missing: str | None = None, reason: str = "") -> Identity:
    held_out = validation_size(spec, facts.train)
    if held_out + (spec.train or 1) > facts.train:
        raise DataError(
            f"[data] asks for {spec.train or 'some'} training and {held_out} validation rows and {source.name} has "
            f"{facts.train} for both: train and validation may be that together"
        )
    if spec.test is not None and spec.test > facts.test:
        raise DataError(f"[data] asks for {spec.test} test rows and {source.name} has {facts.test}")
    shape = sized(source, spec.size)
    # `offline` decides nothing about the data that are here: equal data, equal specs, equal models.
    spec = spec.model_copy(update={"name": source.name, "offline": None})
    return Identity(spec, facts.variant(source), facts.fingerprint, source.classes, shape, missing, reason)


def sized(source: Source, size: int | None) -> tuple[int, ...]:
    """The shape of one input at the size that a suite asks for. Raises DataError where the set cannot be so."""
    return kind_module(source.kind).sized(source, size)


def stand_in(spec: DataSpec) -> Source | None:
    """What stands in for a missing data set, if anything. Raises DataError where that is unknown or not bundled."""
    if spec.offline is None:
        return None
    source = source_of(spec.offline)
    if not source.bundled:
        able = ", ".join(s.name for s in SOURCES.values() if s.bundled)
        raise DataError(f"[data] offline = {spec.offline!r} would need a download itself; {able} do not")
    return source


def _shrunk(spec: DataSpec, facts: Facts) -> DataSpec:
    """The sizes that the suite asks of its own data set, cut to what the stand-in has."""
    held_out = validation_size(spec, facts.train)
    if held_out + (spec.train or 1) > facts.train:
        held_out = min(held_out, facts.train // 10)
    cut = {"validation": held_out if spec.validation is not None else None}
    cut["train"] = min(spec.train, facts.train - held_out) if spec.train is not None else None
    cut["test"] = min(spec.test, facts.test) if spec.test is not None else None
    return spec.model_copy(update=cut)


def _stamp(paths: tuple[Path, ...]) -> str:
    """Changes whenever one of the files, or the code that reads them, does."""
    watched = (*paths, *sorted(Path(__file__).parent.rglob("*.py")))
    seen = [
        (str(path.absolute()), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
        for path in watched
        for s in [path.stat()]
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:32]


def _recall(memory: Path) -> Facts | None:
    try:
        return Facts(**json.loads(memory.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _remember(memory: Path, facts: Facts) -> None:
    # Remembering only saves time: a full disk or a read-only home does not stop a run.
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False) as file:
            json.dump(asdict(facts), file)
        Path(file.name).replace(memory)
