"""From the arrays as stored to the splits, sizes and channels that a suite asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.data.catalogue import source_of
from bench.data.draws import level, ordered_by_class
from bench.data.identity import Identity, files, identify, read, validation_size
from bench.data.images.resize import to_channels, to_side
from bench.data.spec import Dataset, DataSpec, Split

if TYPE_CHECKING:
    from torch import Tensor


def load(spec: DataSpec) -> Dataset:
    """The data set (or its stand-in) as uint8 tensors on the CPU; kept, so that a second call costs nothing.

    Raises:
        DataError: as `identify`.
    """
    return _load(identify(spec))


def load_like(name: str, dataset: Dataset) -> Dataset:
    """Another data set, whole, at the channels and the size of `dataset`: a proxy.

    Raises:
        DataError: as `identify`; a proxy has no stand-in.
    """
    return _load_like(identify(DataSpec(name=name)), dataset.shape)


def noise_images(n: int, shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """uint8 [n, *shape] of independent uniform pixels."""
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator)


@lru_cache(maxsize=4)
def _load(identity: Identity) -> Dataset:
    spec = identity.spec
    source = source_of(spec.name)
    parts = read(source, files(source, patience=0))
    train, validation, test = _rows(spec, parts.train_labels, parts.test_labels, len(source.classes))
    size = identity.shape[-1]
    return _dataset(
        identity,
        _split(parts.train_images, parts.train_labels, train, size),
        _split(parts.train_images, parts.train_labels, validation, size),
        _split(parts.test_images, parts.test_labels, test, size),
    )


@lru_cache(maxsize=4)
def _load_like(identity: Identity, shape: tuple[int, int, int]) -> Dataset:
    channels, size, _ = shape
    train, validation, test = (
        Split(to_channels(to_side(split.images, size), channels), split.labels)
        for own in [_load(identity)]
        for split in (own.train, own.validation, own.test)
    )
    return _dataset(identity, train, validation, test)


def _dataset(identity: Identity, train: Split, validation: Split, test: Split) -> Dataset:
    mean, std = _moments(train.images)
    return Dataset(
        identity.spec.name,
        identity.variant,
        identity.fingerprint,
        identity.classes,
        train,
        validation,
        test,
        mean,
        std,
    )


def _rows(
    spec: DataSpec, train_labels: np.ndarray, test_labels: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the training, validation and test splits, sorted; the first two are of the official training part.

    Validation takes the head of every class's order and training its tail: more of one never changes the other,
    and a smaller subsample lies inside a larger one.
    """
    order = ordered_by_class(train_labels, num_classes, spec.name, "train")
    held_out = level(validation_size(spec, len(train_labels)), [len(rows) for rows in order])
    left = [rows[n:] for rows, n in zip(order, held_out, strict=True)]
    total = sum(map(len, left)) if spec.train is None else spec.train
    counts = level(total, [len(rows) for rows in left])
    tested = ordered_by_class(test_labels, num_classes, spec.name, "test")
    test_counts = level(len(test_labels) if spec.test is None else spec.test, [len(rows) for rows in tested])
    return (
        _sorted([rows[len(rows) - n :] for rows, n in zip(left, counts, strict=True)]),
        _sorted([rows[:n] for rows, n in zip(order, held_out, strict=True)]),
        _sorted([rows[:n] for rows, n in zip(tested, test_counts, strict=True)]),
    )


def _sorted(rows: list[np.ndarray]) -> np.ndarray:
    return np.sort(np.concatenate(rows))


def _split(images: np.ndarray, labels: np.ndarray, rows: np.ndarray, size: int) -> Split:
    # Fancy indexing copies: the arrays as stored can go, and nobody writes into a file's mapping.
    return Split(to_side(torch.from_numpy(images[rows]), size).contiguous(), torch.from_numpy(labels[rows]))


def _moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1], from exact histograms."""
    means, stds = [], []
    levels = torch.arange(256, dtype=torch.float64) / 255
    for channel in images.unbind(1):
        p = torch.bincount(channel.flatten().int(), minlength=256).double() / channel.numel()
        mean = (p * levels).sum()
        means.append(float(mean))
        stds.append(float((p * (levels - mean) ** 2).sum().sqrt()))
    return tuple(means), tuple(stds)
