"""From the arrays as stored to the splits, sizes and channels that a suite asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bench.data.catalogue import source_of
from bench.data.draws import level, ordered_by_class
from bench.data.identity import Identity, files, identify, read, validation_size
from bench.data.images.kind import Images, need_images, of_splits
from bench.data.images.resize import to_channels, to_side
from bench.data.kinds import kind_module
from bench.data.spec import Dataset, DataSpec, Split


def load(spec: DataSpec) -> Dataset:
    """The data set (or its stand-in) as tensors on the CPU; kept, so that a second call costs nothing.

    Raises:
        DataError: as `identify`.
    """
    return _load(identify(spec))


def load_like(name: str, dataset: Dataset) -> Images:
    """Another data set of images, whole, at the channels and the size of `dataset`: a proxy.

    Raises:
        DataError: as `identify`; a proxy has no stand-in. One of the two does not hold images.
    """
    here = need_images(dataset, "only a data set of images has a proxy")
    return _load_like(identify(DataSpec(name=name)), here.shape)


@lru_cache(maxsize=4)
def _load(identity: Identity) -> Dataset:
    spec = identity.spec
    source = source_of(spec.name)
    parts = read(source, files(source, patience=0))
    rows = _rows(spec, parts.train_labels, parts.test_labels, len(source.classes))
    made: Dataset = kind_module(source.kind).dataset(_told(identity), parts, rows, identity.shape)
    return made


@lru_cache(maxsize=4)
def _load_like(identity: Identity, shape: tuple[int, int, int]) -> Images:
    channels, size, _ = shape
    own = need_images(_load(identity), "a proxy is a data set of images")
    splits = {
        part: Split(to_channels(to_side(split.inputs, size), channels), split.labels)
        for part, split in (("train", own.train), ("validation", own.validation), ("test", own.test))
    }
    return of_splits(_told(identity), splits)


def _told(identity: Identity) -> dict[str, Any]:
    """What a data set of any kind is told of itself."""
    return {
        "name": identity.spec.name,
        "variant": identity.variant,
        "fingerprint": identity.fingerprint,
        "classes": identity.classes,
    }


def _rows(spec: DataSpec, train_labels: np.ndarray, test_labels: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
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
    return {
        "train": _sorted([rows[len(rows) - n :] for rows, n in zip(left, counts, strict=True)]),
        "validation": _sorted([rows[:n] for rows, n in zip(order, held_out, strict=True)]),
        "test": _sorted([rows[:n] for rows, n in zip(tested, test_counts, strict=True)]),
    }


def _sorted(rows: list[np.ndarray]) -> np.ndarray:
    return np.sort(np.concatenate(rows))
