"""What a suite says about data, and what it gets: plain data, no reading and no torch needed."""

from __future__ import annotations

from typing import Any, Literal

from bench.data.images.kind import Images
from bench.data.split import Split
from bench.data.tables.kind import Table
from bench.data.texts.kind import Texts
from bench.schema.settings import Settings
from bench.types import Count

__all__ = ["DataSpec", "Dataset", "Images", "Rows", "Split", "Table", "Texts", "identity_of"]


class DataSpec(Settings):
    """Which data set, how much of it, and at which size."""

    name: str
    """A data set of `python -m bench data list`."""
    train: Count | None = None
    """Training rows (class-balanced, seeded by nothing: the same for all seeds); all that is left, if unset."""
    validation: Count | None = None
    """Held out of the official training part for choosing hyperparameters; a tenth if unset."""
    test: Count | None = None
    """Test rows; all, if unset."""
    size: Count | None = None
    """Images: side in pixels after mean pooling (or padding and replication upwards); as it is, if unset."""
    offline: str | None = None
    """Data set that needs no download, run in place of this one where there is neither disk copy nor network."""


class Rows(Settings):
    """A named part of the training split: a pure function of the labels, so a suite's plan can name it."""

    kind: Literal["all", "classes", "random", "disjoint", "dirichlet", "personal", "without"] = "all"
    """`disjoint`: the classes fall into `parts` groups, in order (0-4 | 5-9) for seed 0, in a drawn order else;
    `personal`: part 0 owns one class, part 1 has none of it."""
    part: int = 0
    """Which of the parts. Parts share no row; of `disjoint`, `dirichlet` and `personal` they cover all."""
    parts: Count = 1
    """`disjoint`, `dirichlet`: how many there are."""
    classes: tuple[int, ...] = ()
    """`classes`: rows of these classes only; `personal`: the one class."""
    share: float = 1.0
    """`random`: share of every class; `personal`: share of the other classes' rows that the owner of the class gets."""
    alpha: float = 0.5
    """`dirichlet`: concentration of the label skew."""
    seed: int = 0
    of: Rows | None = None
    """Taken inside this part (indices still refer to the whole training split)."""
    minus: Rows | None = None
    """`without`: all rows of `of` (or of the split) but these."""


Dataset = Images | Texts | Table
"""A data set as the suite asked for it. Whatever its kind it has a name, a variant, a fingerprint, classes, the splits
`train`, `validation` and `test`, the `shape` of one input, and `problem(num_classes)`: what a model must know."""


def identity_of(dataset: Dataset) -> dict[str, Any]:
    """What a record keeps of a data set: name, variant, fingerprint."""
    return {"name": dataset.name, "variant": dataset.variant, "fingerprint": dataset.fingerprint}
