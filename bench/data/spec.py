"""What a suite says about data, and what it gets: plain data, no reading and no torch needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.schema.settings import Settings
from bench.types import Count

if TYPE_CHECKING:
    from torch import Tensor


class DataSpec(Settings):
    """Which data set, how much of it, and at which size."""

    name: str
    """A data set of `python -m bench data list`."""
    train: Count | None = None
    """Training images (class-balanced, seeded by nothing: the same for all seeds); all that is left, if unset."""
    validation: Count | None = None
    """Held out of the official training part for choosing hyperparameters; a tenth if unset."""
    test: Count | None = None
    """Test images; all, if unset."""
    size: Count | None = None
    """Side in pixels after mean pooling (or padding and replication upwards); as it is, if unset."""
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


@dataclass(frozen=True)
class Split:
    """`images` uint8 [N, C, H, W] and `labels` int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A data set as the suite asked for it.

    `mean` and `std` (per channel, of pixels in [0, 1]) are those of `train`.
    """

    name: str
    variant: str
    """The name on boards: the data set's, or e.g. `cifar10-jpeg` where the fingerprint is that of a known variant."""
    fingerprint: str
    """sha256 (16 hex digits) over the content of all parts as read from disk, before any subsampling."""
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        c, h, w = self.train.images.shape[1:]
        return (c, h, w)

    def identity(self) -> dict[str, Any]:
        """What a record keeps of it: name, variant, fingerprint."""
        return {"name": self.name, "variant": self.variant, "fingerprint": self.fingerprint}
