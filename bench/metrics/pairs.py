"""Agreement of all pairs of models."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

BLOCK = 8192
"""Examples compared at a time: so many predictions of two models stay in the nearest cache."""
RUN = 128
"""Examples counted in one byte: fewer than 256."""


def agreement_matrix(predictions: ArrayLike) -> NDArray[np.float64]:
    """Share of examples on which two models predict the same class, for all pairs: [M, M], 1 on the diagonal.

    Args:
        predictions: [M, N] whole numbers, one row a model.

    Raises:
        ValueError: not two axes, an empty axis, or numbers that are not integers.
    """
    p = np.asarray(predictions)
    if p.ndim != 2 or p.size == 0:
        raise ValueError(f"predictions must be [models, examples], neither of them empty, got shape {p.shape}")
    if not np.issubdtype(p.dtype, np.integer):
        raise ValueError(f"predictions must be integers, got {p.dtype}; take the argmax of logits first")
    narrow = np.uint8 if p.min() >= 0 and p.max() < 256 else np.int64
    return _same(np.ascontiguousarray(p, dtype=narrow)) / p.shape[1]


@njit(cache=True)
def _same(predictions):  # type: ignore[no-untyped-def]
    """Examples on which two models agree, int64 [M, M]."""
    models, examples = predictions.shape
    same = np.zeros((models, models), np.int64)
    for start in range(0, examples, BLOCK):
        block = predictions[:, start : start + BLOCK]
        for i in range(models):
            for j in range(i):
                same[i, j] += _equal(block[i], block[j])
    for i in range(models):
        same[i, i] = examples
        for j in range(i):
            same[j, i] = same[i, j]
    return same


@njit(cache=True)
def _equal(a, b):  # type: ignore[no-untyped-def]
    """How often two rows are equal; counted in bytes over runs of fixed length, a whole vector register at a time."""
    whole = a.size // RUN * RUN
    count = 0
    for start in range(0, whole, RUN):
        few = np.uint8(0)
        for k in range(RUN):
            few = np.uint8(few + np.uint8(a[start + k] == b[start + k]))
        count += int(few)
    for k in range(whole, a.size):
        count += a[k] == b[k]
    return count
