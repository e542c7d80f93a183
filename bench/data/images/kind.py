"""Images: what a data set of them is, and what a model must know to take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.data.images.resize import check_side, to_side
from bench.data.split import Split
from bench.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from bench.data.parts import Parts
    from bench.data.source import Source
    from bench.types import KindName


@dataclass(frozen=True)
class ImageProblem:
    """What an architecture is told of images."""

    kind: ClassVar[KindName] = "images"

    num_classes: int
    shape: tuple[int, int, int]
    """(channels, height, width) of an image."""
    mean: tuple[float, ...]
    """Per channel, of pixels in [0, 1]."""
    std: tuple[float, ...]


@dataclass(frozen=True)
class Images:
    """A data set of images as the suite asked for it; inputs are uint8 [N, C, H, W]."""

    kind: ClassVar[KindName] = "images"

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
    """Per channel, of the pixels of `train` in [0, 1]."""
    std: tuple[float, ...]
    """As `mean`: the standard deviation."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        c, h, w = self.train.inputs.shape[1:]
        return (c, h, w)

    def problem(self, num_classes: int) -> ImageProblem:
        """What an architecture with so many outputs is told."""
        return ImageProblem(num_classes, self.shape, self.mean, self.std)


def sized(source: Source, size: int | None) -> tuple[int, int, int]:
    """(channels, height, width) at the side that a suite asks for.

    Raises:
        DataError: mean pooling cannot give that side.
    """
    channels, side, _ = source.shape
    size = size or side
    check_side(source.name, side, size)
    return (channels, size, size)


def dataset(told: dict[str, Any], parts: Parts, rows: dict[str, np.ndarray], shape: tuple[int, ...]) -> Images:
    """See `bench.data.kinds.Kind`."""
    import torch

    # Fancy indexing copies: the arrays as stored can go, and nobody writes into a file's mapping.
    splits: dict[str, Any] = {
        part: Split(to_side(torch.from_numpy(inputs[own]), shape[-1]).contiguous(), torch.from_numpy(labels[own]))
        for part, own in rows.items()
        for inputs, labels in [parts.of(part)]
    }
    return of_splits(told, splits)


def of_splits(told: dict[str, Any], splits: dict[str, Any]) -> Images:
    """A data set of these splits, with the moments of `train`."""
    mean, std = moments(splits["train"].inputs)
    return Images(**told, **splits, mean=mean, std=std)


def moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1], from exact histograms."""
    import torch

    means, stds = [], []
    levels = torch.arange(256, dtype=torch.float64) / 255
    for channel in images.unbind(1):
        p = torch.bincount(channel.flatten().int(), minlength=256).double() / channel.numel()
        mean = (p * levels).sum()
        means.append(float(mean))
        stds.append(float((p * (levels - mean) ** 2).sum().sqrt()))
    return tuple(means), tuple(stds)


def noise_images(n: int, shape: tuple[int, int, int], generator: Any) -> Tensor:
    """uint8 [n, *shape] of independent uniform pixels, drawn from a torch generator."""
    import torch

    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator)


def need_images(data: Any, what: str) -> Images:
    """The data set itself, if it is one of images. Raises DataError, which begins with `what`, if it is not."""
    if not isinstance(data, Images):
        raise DataError(f"{what}; {data.name} holds {data.kind}")
    return data
