"""Tables: what a data set of columns of numbers is, and what a model must know to take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.data.split import Split
from bench.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from bench.data.parts import Parts
    from bench.data.source import Source
    from bench.types import KindName


@dataclass(frozen=True)
class TableProblem:
    """What an architecture is told of a table."""

    kind: ClassVar[KindName] = "tables"

    num_classes: int
    columns: int

    @property
    def shape(self) -> tuple[int]:
        """(columns,)."""
        return (self.columns,)


@dataclass(frozen=True)
class Table:
    """A table as the suite asked for it; inputs are float32 [N, D], each column standardised.

    A column has mean 0 and standard deviation 1 over `train`; one that is constant there is 0 wherever it has that
    value. The official arrays, and so the fingerprint, hold the numbers as they were measured.
    """

    kind: ClassVar[KindName] = "tables"

    name: str
    variant: str
    """The name on boards."""
    fingerprint: str
    """sha256 (16 hex digits) over the content of all parts as read from disk, before any subsampling."""
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    @property
    def shape(self) -> tuple[int]:
        """(columns,)."""
        return (self.train.inputs.shape[1],)

    def problem(self, num_classes: int) -> TableProblem:
        """What an architecture with so many outputs is told."""
        return TableProblem(num_classes, self.shape[0])


def sized(source: Source, size: int | None) -> tuple[int, ...]:
    """(columns,). Raises DataError where a suite asks for a size, which a table does not have."""
    if size is not None:
        raise DataError(
            f"[data] size = {size}: {source.name} is a table of {source.shape[0]} columns, which have no size in "
            "pixels: leave it out"
        )
    return source.shape


def dataset(told: dict[str, Any], parts: Parts, rows: dict[str, np.ndarray], _shape: tuple[int, ...]) -> Table:
    """See `bench.data.kinds.Kind`."""
    import numpy as np
    import torch

    trained = parts.of("train")[0][rows["train"]].astype(np.float64)
    mean, std = trained.mean(0), trained.std(0)
    std[std == 0] = 1
    splits: dict[str, Any] = {
        part: Split(
            torch.from_numpy(((inputs[own] - mean) / std).astype(np.float32)),
            torch.from_numpy(labels[own]),
        )
        for part, own in rows.items()
        for inputs, labels in [parts.of(part)]
    }
    return Table(**told, **splits)
