"""Tables that scikit-learn brings along, with a training and a test part of our own: the package names none."""

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
    """The numbers as they were measured; a fifth of every class (rounded) is the test part, drawn with a fixed seed."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{source.name}")()
    columns, labels = bunch.data.astype(np.float32), bunch.target.astype(np.int64)
    test = held_out(labels, len(source.classes), TEST_SHARE, f"{source.name} test part")
    return Parts(columns[~test], labels[~test], columns[test], labels[test])
