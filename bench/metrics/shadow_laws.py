"""What shadow models say of each example: centre and spread of a number over those that saw it and those that did not.

The two sides are ragged: every example has its own numbers of either. Kernels in one pass over the examples; a plain
version stands in the tests.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bench.metrics.checks import binary, same_shape

POOLED_BELOW = 64
"""Shadow models; from here on every example has widths of its own (Carlini et al. 2022, arXiv:2112.03570)."""
NARROWEST = 1e-30
"""Added to every width, as in their released code: a model that is sure in floating point has none."""

Array = NDArray[np.float64]

OUT, IN = 0, 1
"""Which models: those that did not see an example, and those that did; `known` is the number of its side."""


def examples_first(shadows: ArrayLike, seen: ArrayLike, targets: int) -> tuple[Array, NDArray[np.bool_], bool]:
    """Examples first, [n, m] both, and whether the shadows that attack are too few for widths of their own."""
    values, known = np.asarray(shadows, dtype=np.float64), binary(seen, "seen", ndim=2).view(np.bool_)
    same_shape(values, known, "shadows and seen")
    if not np.isfinite(values).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(values))} of the shadows' {values.size} numbers are NaN or infinite; "
            "log_odds gives finite ones"
        )
    pooled = len(values) - 1 + targets < POOLED_BELOW
    return np.ascontiguousarray(values.T), np.ascontiguousarray(known.T), pooled


def require(count: NDArray[np.int64], least: int, did: str) -> None:
    """Raises ValueError where fewer than `least` models `did` ("saw", "did not see") an example; `count` is [n]."""
    if (few := np.flatnonzero(count < least)).size:
        raise ValueError(
            f"{count[few[0]]} models {did} example {few[0]}; {least} are needed ({few.size} examples have too few)"
        )


def width(squares: Array, count: Array, pooled: bool) -> Array:
    """Standard deviations from sums of squares about the mean, each divided by its count.

    One for all examples where `pooled` (axis 0 kept, of length 1), divided by the degrees of freedom; see `lira`.
    """
    if not pooled:
        return np.asarray(np.sqrt(squares / count) + NARROWEST)
    free = np.asarray(count - 1).sum(0, keepdims=True)
    if (free <= 0).any():
        raise ValueError("no example has two models on one side: how much models vary cannot be told")
    return np.asarray(np.sqrt(squares.sum(0, keepdims=True) / free) + NARROWEST)


@njit(cache=True)
def _parted(values, known):  # type: ignore[no-untyped-def]
    """The numbers of one example [m], OUT in ascending order and then IN, and how many are OUT."""
    out = np.empty_like(values)
    m = values.size
    low, high = 0, m
    for j in range(m):
        if known[j]:
            high -= 1
            out[high] = values[j]
        else:
            out[low] = values[j]
            low += 1
    out[:low].sort()
    out[low:].sort()
    return out, low


@njit(cache=True)
def middle(ordered):  # type: ignore[no-untyped-def]
    """The median; 0 of nothing."""
    k = ordered.size
    if k == 0:
        return 0.0
    return ordered[k // 2] if k % 2 else 0.5 * (ordered[k // 2 - 1] + ordered[k // 2])


@njit(cache=True)
def moments(values, known):  # type: ignore[no-untyped-def]
    """Median, sum of squares about the mean, and number of models of either side, [2, n] each."""
    n = len(values)
    median, squares, count = np.zeros((2, n)), np.zeros((2, n)), np.zeros((2, n))
    for i in range(n):
        ordered, low = _parted(values[i], known[i])
        for side in range(2):
            part = ordered[low:] if side else ordered[:low]
            centre = middle(part)
            first = second = 0.0
            for x in part:  # about the median, so that equal numbers have a deviation of exactly 0
                first += x - centre
                second += (x - centre) ** 2
            median[side, i], count[side, i] = centre, part.size
            if part.size:
                squares[side, i] = max(0.0, second - first**2 / part.size)
    return median, squares, count


@njit(cache=True)
def without_each(values, known):  # type: ignore[no-untyped-def]
    """Median and sum of squares [n, m] of each model's own side without it; a side holds two at least."""
    median, squares = np.empty_like(values), np.empty_like(values)
    for i in range(len(values)):
        ordered, low = _parted(values[i], known[i])
        centres, sums = np.zeros(2), np.zeros((2, 2))
        for side in range(2):
            part = ordered[low:] if side else ordered[:low]
            centres[side] = middle(part)
            for x in part:
                sums[side, 0] += x - centres[side]
                sums[side, 1] += (x - centres[side]) ** 2
        for j in range(values.shape[1]):
            x, side = values[i, j], int(known[i, j])
            part = ordered[low:] if side else ordered[:low]
            left = part.size - 1
            a, b = (left - 1) // 2, left // 2  # the middle places; those from x on move up by one
            median[i, j] = 0.5 * (part[a + (x <= part[a])] + part[b + (x <= part[b])])
            first, second = sums[side, 0] - (x - centres[side]), sums[side, 1] - (x - centres[side]) ** 2
            squares[i, j] = max(0.0, second - first**2 / left)
    return median, squares
