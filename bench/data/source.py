"""What the catalogue says of a data set: plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remote:
    """A file at its official address: `file` below the data set's folder once it is in place."""

    file: str
    addresses: tuple[str, ...]
    sha256: str | None
    """None where nobody has published one: then the reader's counts of rows tell whether it is whole."""


@dataclass(frozen=True)
class Source:
    """A data set: `reader` is the module of `bench.data` that finds, reads and fetches it."""

    name: str
    description: str
    reader: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    """(channels, height, width) as stored; of texts (2, 1, tokens): high and low byte of a token's number."""
    folders: tuple[str, ...] = ()
    """Where it may lie below the data root; a download goes to the first."""
    remotes: tuple[Remote, ...] = ()
    hashes: tuple[tuple[str, str], ...] = ()
    """Official files and their hashes: where all agree, the set carries its plain name."""
    members: tuple[str, ...] = ()
    """The data sets that this one is made of."""

    @property
    def bundled(self) -> bool:
        """It needs no download, so that it can stand in for another."""
        return not self.remotes and not self.members

    @property
    def is_text(self) -> bool:
        """It holds token numbers, which have no size in pixels."""
        return self.shape[:2] == (2, 1)


def mixture(name: str, description: str, members: tuple[Source, ...], shape: tuple[int, int, int]) -> Source:
    """A set made of others, which keep their classes: class `location` of `trec` becomes `trec: location`."""
    classes = tuple(f"{member.name}: {label}" for member in members for label in member.classes)
    return Source(name, description, "mixture", classes, shape, members=tuple(member.name for member in members))
