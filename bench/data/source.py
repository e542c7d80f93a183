"""What the catalogue says of a data set: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.types import KindName


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
    kind: KindName
    description: str
    reader: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    """Of one input as stored: (channels, height, width) of images, (tokens,) of texts, (columns,) of a table."""
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


def mixture(name: str, description: str, members: tuple[Source, ...], shape: tuple[int, ...]) -> Source:
    """A set made of others of one kind, which keep their classes: `location` of `trec` becomes `trec: location`."""
    classes = tuple(f"{member.name}: {label}" for member in members for label in member.classes)
    names = tuple(member.name for member in members)
    return Source(name, members[0].kind, description, "mixture", classes, shape, members=names)
