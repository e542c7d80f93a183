"""Texts: what a data set of them is, and what a model must know to take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.data.split import Split
from bench.data.texts.tokens import PADDING, Vocabulary
from bench.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from bench.data.parts import Parts
    from bench.data.source import Source
    from bench.types import KindName


@dataclass(frozen=True)
class TextProblem:
    """What an architecture is told of texts."""

    kind: ClassVar[KindName] = "texts"

    num_classes: int
    length: int
    """Tokens of the longest text."""
    vocabulary: int
    """Token numbers that there are, padding (0) and the unknown word (1) included."""

    @property
    def shape(self) -> tuple[int]:
        """(tokens of the longest text,)."""
        return (self.length,)


@dataclass(frozen=True)
class Texts:
    """A data set of texts as the suite asked for it; inputs are token numbers, int64 [N, L], padded with 0."""

    kind: ClassVar[KindName] = "texts"

    name: str
    variant: str
    """The name on boards: the data set's, or e.g. `mr-table` where the fingerprint is that of a known variant."""
    fingerprint: str
    """sha256 (16 hex digits) over the content of all parts as read from disk, before any subsampling."""
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    vocabulary: Vocabulary
    """That of the official training part."""

    @property
    def shape(self) -> tuple[int]:
        """(tokens of the longest text,)."""
        return (self.train.inputs.shape[1],)

    def problem(self, num_classes: int) -> TextProblem:
        """What an architecture with so many outputs is told."""
        return TextProblem(num_classes, self.shape[0], self.vocabulary.size)


def mask(tokens: Tensor) -> Tensor:
    """bool [N, L] of token numbers int64 [N, L]: true at real tokens. Exact, since no real token has the number 0."""
    return tokens != PADDING


def sized(source: Source, size: int | None) -> tuple[int, ...]:
    """(tokens,). Raises DataError where a suite asks for a size, which texts do not have."""
    if size is not None:
        raise DataError(
            f"[data] size = {size}: {source.name} holds texts of up to {source.shape[0]} tokens, which have no size in "
            "pixels: leave it out"
        )
    return source.shape


def dataset(told: dict[str, Any], parts: Parts, rows: dict[str, np.ndarray], _shape: tuple[int, ...]) -> Texts:
    """See `bench.data.kinds.Kind`."""
    import torch

    splits: dict[str, Any] = {
        part: Split(torch.from_numpy(inputs[own]), torch.from_numpy(labels[own]))
        for part, own in rows.items()
        for inputs, labels in [parts.of(part)]
    }
    return Texts(**told, **splits, vocabulary=Vocabulary(parts.words))
