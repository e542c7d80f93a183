"""Sets made of other sets: `texts` of all corpora with one vocabulary, `pictures` of four image sets.

Every member keeps its classes, which get numbers of their own in the order of the members, so that groups of the
mixture's classes are the members. Of each member so many training and test rows are drawn, evenly over its classes,
with a fixed seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.data.catalogue import SOURCES, Source
from bench.data.draws import level, ordered_by_class
from bench.data.identity import read as read_parts
from bench.data.identity import reader_of
from bench.data.parts import Parts
from bench.data.remote import UnreachableError
from bench.data.texts import corpus
from bench.data.texts.tokens import tokens

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Rows that are drawn of each member."""

    train: int
    test: int


LIMITS = {"texts": Limits(4000, 800), "pictures": Limits(6000, 1000)}


def members(source: Source) -> list[Source]:
    """The sets that this one is made of."""
    return [SOURCES[name] for name in source.members]


def files(source: Source) -> tuple[Path, ...]:
    """The files of all members; () where one of them is missing."""
    found = [reader_of(member).files(member) for member in members(source)]
    return tuple(dict.fromkeys(path for paths in found for path in paths)) if all(found) else ()


def fetch(source: Source, patience: float) -> None:
    """Fetch what is missing.

    Raises:
        UnreachableError, DataError: of the first member that cannot be brought here.
    """
    for member in members(source):
        reader = reader_of(member)
        if not reader.files(member):
            try:
                reader.fetch(member, patience)
            except UnreachableError as error:
                raise UnreachableError(f"{source.name} lacks {member.name}: {error}") from error


def read(source: Source, _paths: tuple[Path, ...]) -> Parts:
    """The drawn rows of all members. Raises DataError where a file of one is damaged."""
    return _texts(source) if source.kind == "texts" else _pictures(source)


def _texts(source: Source) -> Parts:
    limits = LIMITS[source.name]
    train: list[list[str]] = []
    test: list[list[str]] = []
    labels: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    first = 0
    for member in members(source):
        whole = corpus.read_texts(member, reader_of(member).files(member))
        for part, all_texts, all_labels, into, most, own in (
            ("train", whole.train, whole.train_labels, train, limits.train, labels[0]),
            ("test", whole.test, whole.test_labels, test, limits.test, labels[1]),
        ):
            rows = drawn(all_labels, len(member.classes), most, source.name, member.name, part)
            into += [tokens(all_texts[row]) for row in rows]
            own.append(all_labels[rows] + first)
        first += len(member.classes)
    return corpus.as_parts(train, np.concatenate(labels[0]), test, np.concatenate(labels[1]), source.shape[-1])


def _pictures(source: Source) -> Parts:
    import torch

    from bench.data.images.resize import to_channels, to_side

    limits = LIMITS[source.name]
    channels, side, _ = source.shape
    arrays: tuple[list[np.ndarray], ...] = ([], [], [], [])
    first = 0
    for member in members(source):
        whole = read_parts(member, reader_of(member).files(member))
        for k, (part, images, labels, most) in enumerate(
            (
                ("train", whole.train_inputs, whole.train_labels, limits.train),
                ("test", whole.test_inputs, whole.test_labels, limits.test),
            )
        ):
            rows = drawn(labels, len(member.classes), most, source.name, member.name, part)
            fitted = to_channels(to_side(torch.from_numpy(images[rows]), side), channels)
            arrays[2 * k].append(fitted.numpy())
            arrays[2 * k + 1].append(labels[rows] + first)
        first += len(member.classes)
    train, train_labels, test, test_labels = (np.concatenate(each) for each in arrays)
    return Parts(train, train_labels, test, test_labels)


def drawn(labels: np.ndarray, num_classes: int, most: int, *axes: object) -> np.ndarray:
    """Sorted rows of `labels` [N]: at most so many, as evenly over the classes as their sizes allow."""
    order = ordered_by_class(labels, num_classes, *axes)
    counts = level(min(most, len(labels)), [len(rows) for rows in order])
    return np.sort(np.concatenate([rows[:n] for rows, n in zip(order, counts, strict=True)]))
