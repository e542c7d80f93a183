"""scikit-learn's bundled digits, with a training and a test part of its own: the package names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.bundled import files
from bench.data.draws import held_out
from bench.data.parts import Parts

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.source import Source

__all__ = ["files", "read"]

TEST_SHARE = 0.2


def read(source: Source, _paths: tuple[Path, ...]) -> Parts:
    """Pixels 0..16 become 0..255; a fifth of every class (rounded) is the test part, drawn with a fixed seed."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    test = held_out(labels, len(source.classes), TEST_SHARE, "digits test part")
    return Parts(images[~test], labels[~test], images[test], labels[test])
