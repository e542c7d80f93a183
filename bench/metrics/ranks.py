"""Metrics of an order: ranks, area under the ROC curve, true positives at few false ones, Kendall's tau."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bench.metrics.checks import binary, numbers, same_shape
from bench.metrics.sorting import argsort_keys, order_key, sort_keys


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks 1..N of values [N], the smallest first; equal values share the mean of their ranks (mid-ranks).

    Raises:
        ValueError: no values, or NaN.
    """
    return _average_ranks(numbers(values, "values").view(np.uint64))


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve: P(score of a positive > of a negative) + half of P(equal), by mid-ranks.

    Args:
        scores: [N], higher means positive; infinities are in order.
        positive: [N] bool or 0/1.

    Raises:
        ValueError: unequal lengths, NaN, or only one of the two classes.

    Mann and Whitney (1947). The count is one of whole halves: exact up to the last division.
    """
    s, p = _scored(scores, positive)
    return float(auc_of_bits(s.view(np.uint64), p))


def tpr_at_fpr(scores: ArrayLike, positive: ArrayLike, fpr: float) -> float:
    """The largest true-positive rate among thresholds whose false-positive rate is <= `fpr`.

    A threshold t calls every score >= t positive, so equal scores are called together; one above all
    scores is among them. Nothing is interpolated (Carlini et al., arXiv:2112.03570, section IV).

    Args:
        scores: [N], higher means positive.
        positive: [N] bool or 0/1.
        fpr: in [0, 1].

    Raises:
        ValueError: unequal lengths, NaN, only one of the two classes, or fpr outside of [0, 1].
    """
    s, p = _scored(scores, positive)
    if not 0 <= fpr <= 1:
        raise ValueError(f"fpr must lie in [0, 1], got {fpr}")
    hit = p.astype(bool)
    negatives, positives = s[~hit], s[hit]
    n = negatives.size
    allowed = int(fpr * n)
    while (allowed + 1) / n <= fpr:  # fpr * n may be rounded down past a whole number, or up
        allowed += 1
    while allowed / n > fpr:
        allowed -= 1
    if allowed >= n:
        return 1.0
    # The best threshold lies just above the first negative that is one too many.
    barrier = np.partition(negatives, n - 1 - allowed)[n - 1 - allowed]
    return float(np.count_nonzero(positives > barrier) / positives.size)


def kendall_tau(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b of two scorings of the same N things, in [-1, 1], in O(N log N).

    tau_b = (concordant - discordant) / sqrt((pairs - pairs tied in a) (pairs - pairs tied in b))

    Raises:
        ValueError: unequal lengths, fewer than two things, NaN, or all values of a or of b equal (undefined).

    Kendall (1945); discordant pairs are the exchanges of a merge sort (Knight, JASA 1966).
    """
    x, y = numbers(a, "a"), numbers(b, "b")
    same_shape(x, y, "a and b")
    for values, name in ((x, "a"), (y, "b")):
        if values.min() == values.max():
            raise ValueError(f"Kendall's tau is undefined: all {values.size} values of {name} are equal")
    return float(_tau_b(x.view(np.uint64), y.view(np.uint64)))


def _scored(scores: ArrayLike, positive: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    s, p = numbers(scores, "scores"), binary(positive, "positive")
    same_shape(s, p, "scores and positive")
    count = int(np.count_nonzero(p))
    if count in (0, p.size):
        raise ValueError(f"positive must hold both classes, got {count} positives of {p.size}")
    return s, p


@njit(cache=True)
def _keys(bits):  # type: ignore[no-untyped-def]
    keys = np.empty_like(bits)
    for i in range(bits.size):
        keys[i] = order_key(bits[i])
    return keys


@njit(cache=True)
def _average_ranks(bits):  # type: ignore[no-untyped-def]
    keys, index = argsort_keys(_keys(bits))
    ranks = np.empty(keys.size)
    start = 0
    while start < keys.size:
        end = start + 1
        while end < keys.size and keys[end] == keys[start]:
            end += 1
        for i in range(start, end):
            ranks[index[i]] = (start + 1 + end) / 2
        start = end
    return ranks


@njit(cache=True)
def auc_of_bits(bits, positive):  # type: ignore[no-untyped-def]
    """`auc` for kernels, unchecked: of float64 scores by their bit patterns uint64 [N], and `positive` bool [N]."""
    n = bits.size
    split = np.empty_like(bits)
    p, q = 0, n  # positives from the front, negatives from the back, without a branch on the label
    for i in range(n):
        key = order_key(bits[i])
        split[p] = key
        split[q - 1] = key
        p += positive[i]
        q -= 1 - positive[i]
    positives, negatives = sort_keys(split[:p].copy()), sort_keys(split[p:].copy())
    halves = below = upto = 0  # negatives below this positive, and not above it
    for key in positives:
        while below < negatives.size and negatives[below] < key:
            below += 1
        upto = max(upto, below)
        while upto < negatives.size and negatives[upto] == key:
            upto += 1
        halves += below + upto
    return halves / (2.0 * positives.size * negatives.size)


@njit(cache=True)
def _tau_b(x, y):  # type: ignore[no-untyped-def]
    n = x.size
    by_y, index = argsort_keys(_keys(y))
    rank = np.empty(n, np.int32)  # dense: equal values, equal rank
    level, run, tied_y = 0, 0, 0
    for i in range(n):
        if i and by_y[i] != by_y[i - 1]:
            level, run = level + 1, 0
        tied_y += run
        run += 1
        rank[index[i]] = level
    # y is sorted already, and the sort is stable: within equal x, y ascends.
    keys = np.empty_like(x)
    for i in range(n):
        keys[i] = order_key(x[index[i]])
    by_x, place = argsort_keys(keys)
    sequence = np.empty(n, np.int32)
    run_x, run_both, tied_x, tied_both = 0, 0, 0, 0
    for i in range(n):
        sequence[i] = rank[index[place[i]]]
        if i and by_x[i] != by_x[i - 1]:
            run_x = run_both = 0
        elif i and sequence[i] != sequence[i - 1]:
            run_both = 0
        tied_x += run_x
        tied_both += run_both
        run_x += 1
        run_both += 1
    discordant = _inversions(sequence)
    pairs = n * (n - 1) // 2
    signed = pairs - tied_x - tied_y + tied_both - 2 * discordant
    return min(1.0, max(-1.0, signed / np.sqrt(float(pairs - tied_x) * float(pairs - tied_y))))


@njit(cache=True)
def _inversions(values):  # type: ignore[no-untyped-def]
    """Pairs i < j with values[i] > values[j], by a bottom-up merge sort (`values` ends up sorted)."""
    n, block = values.size, 16
    total = 0
    for low in range(0, n, block):
        for i in range(low + 1, min(low + block, n)):
            v, j = values[i], i
            while j > low and values[j - 1] > v:
                values[j] = values[j - 1]
                j -= 1
            values[j] = v
            total += i - j
    source, target, width = values, np.empty_like(values), block
    while width < n:
        for low in range(0, n, 2 * width):
            middle, high = min(low + width, n), min(low + 2 * width, n)
            i, j, k = low, middle, low
            while i < middle and j < high:  # without a branch on the comparison, which nothing could predict
                left, right = source[i], source[j]
                later = left > right
                target[k] = right if later else left
                total += (middle - i) * later
                j += later
                i += not later
                k += 1
            target[k : k + middle - i] = source[i:middle]
            k += middle - i
            target[k : k + high - j] = source[j:high]
        source, target = target, source
        width *= 2
    return total
