"""scikit-learn's bundled digits, with a training and a test part of its own: the package names none."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench.data.catalogue import Source
from bench.data.draws import ordered_by_class
from bench.data.parts import Parts
from bench.errors import DataError

TEST_SHARE = 0.2


def files(source: Source) -> tuple[Path, ...]:
    """What changes when the installed scikit-learn does; found without importing it.

    Raises:
        DataError: scikit-learn is not installed.
    """
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError(f"data set {source.name!r} comes with scikit-learn, which is not installed")
    return (Path(spec.origin),)


def read(source: Source, _paths: tuple[Path, ...]) -> Parts:
    """Pixels 0..16 become 0..255; a fifth of every class (rounded) is the test part, drawn with a fixed seed."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for rows in ordered_by_class(labels, len(source.classes), "digits test part"):
        test[rows[: round(TEST_SHARE * len(rows))]] = True
    return Parts(images[~test], labels[~test], images[test], labels[test])
