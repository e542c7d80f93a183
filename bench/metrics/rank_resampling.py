"""How sure an order of rows is: their ranks when seeds and test examples are drawn again (see `resampling`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bench.metrics.checks import binary, check_resampling
from bench.metrics.draws import below, generator, normal
from bench.metrics.resampling import LEVEL, mean_squares, shrink

DRAWS = 1_000
CHUNK = 2**19
"""Multiplicities held at a time (4 MB)."""


@dataclass(frozen=True)
class RankShares:
    """How sure the order of M rows is."""

    first: NDArray[np.float64]
    """[M], share of the resamples in which the row is best; rows that tie for it share it."""
    low: NDArray[np.int64]
    """[M], best rank of the interval of share `LEVEL`, 1 the best."""
    high: NDArray[np.int64]
    """[M], worst rank of the interval."""


def resampled_ranks(scores: ArrayLike, *, seed: int, draws: int = DRAWS) -> RankShares:
    """Ranks of rows under joint resampling: each resample draws seeds and examples once, for all rows.

    Seeds enter by normal weights over Student's scale, examples by drawing with replacement; means and spread are
    those of `bootstrap_difference`, with one factor `shrink` for all rows.

    Args:
        scores: 0/1 [M, S, N], or any numbers [M, S] where there are no examples; higher is better.
        seed: of the draws.
        draws: resamples.

    Raises:
        ValueError: other shapes, an empty axis, [M, 1] (nothing to resample), NaN or infinity.
    """
    check_resampling(LEVEL, draws)
    x = np.asarray(scores)
    if x.ndim == 3:
        hits = binary(x, "scores", ndim=3)
        means = hits.mean(2)
        parts = [mean_squares(row.view(np.int8)) for row in hits]
        factor = shrink(sum(p[0] for p in parts), sum(p[1] for p in parts))
        sums = hits.sum(1, dtype=np.float64)
        drawn = _joint_sums(sums, draws, seed) - sums.sum(1)
        deviations = drawn * (factor / hits[0].size)
    elif x.ndim == 2 and x.size and x.shape[1] > 1 and np.isfinite(x).all():
        means, deviations = x.astype(np.float64), np.zeros((draws, len(x)))
    else:
        raise ValueError(f"finite scores [M, S, N], or [M, S] of two seeds or more, are needed, got shape {x.shape}")
    counts, first = _rank_counts(means, deviations, seed)
    share = counts.cumsum(1) / draws
    tail = (1 - LEVEL) / 2
    return RankShares(first / draws, (share < tail).sum(1) + 1, np.minimum((share < 1 - tail).sum(1) + 1, len(x)))


def _joint_sums(sums: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Sums [draws, M] over examples drawn with replacement, the same draws for all rows of `sums` [M, N].

    The sums are whole numbers, so the product is exact in whatever order a BLAS adds.
    """
    state, examples = generator(seed), sums.shape[1]
    exact = np.float32 if sums.max(initial=0) * examples < 2**24 else np.float64
    sums = np.ascontiguousarray(sums.T, dtype=exact)
    size = max(1, CHUNK // examples)
    sizes = [min(size, draws - d) for d in range(0, draws, size)]
    return np.concatenate([_multiplicities(state, n, examples).astype(exact) @ sums for n in sizes])


@njit(cache=True)
def _multiplicities(state, draws, examples):  # type: ignore[no-untyped-def]
    """How often each example is drawn, int32 [draws, examples]."""
    times = np.zeros((draws, examples), np.int32)
    for d in range(draws):
        row = times[d]
        for _ in range(examples):
            row[below(state, examples)] += 1
    return times


@njit(cache=True)
def _rank_counts(means, deviations, seed):  # type: ignore[no-untyped-def]
    """How often each row has each rank [M, M], and how often it is first [M] (shared on ties).

    means [M, S] are the rows' scores of each seed, deviations [draws, M] what resampled examples add.
    """
    rows, seeds = means.shape
    state = generator(~seed)
    mean = np.empty(rows)
    for m in range(rows):
        mean[m] = means[m].mean()
    counts, first = np.zeros((rows, rows), np.int64), np.zeros(rows)
    for d in range(deviations.shape[0]):
        score = mean + deviations[d]
        if seeds > 1:
            scale = 0.0
            for _ in range(seeds - 1):
                scale += normal(state) ** 2
            # A mean of S numbers varies by 1/S of their variance, which S - 1 deviations measure.
            scale = math.sqrt((seeds - 1) / scale / (seeds * (seeds - 1)))
            for s in range(seeds):
                weight = normal(state) * scale
                for m in range(rows):
                    score[m] += weight * (means[m, s] - mean[m])
        ties = np.count_nonzero(score == score.max())
        for m in range(rows):
            better = np.count_nonzero(score > score[m])
            counts[m, better] += 1
            if better == 0:
                first[m] += 1 / ties
    return counts, first
