"""Intervals and tests over seeds and test examples: a hierarchical paired bootstrap of 0/1 scores, and t intervals.

The score of a row is x[s, n] in {0, 1} for seed s of S and test example n of N, all seeds tested on the same examples
(of a difference of two rows it is a[s, n] - b[s, n] in {-1, 0, 1}). Seeds and examples are both samples, and the mean
is uncertain by both:

    x[s, n] = mean + seed[s] + example[n] + rest[s, n]

**Examples** are many: they are resampled with replacement, one draw for all seeds and both rows. Only the sum of an
example over the seeds counts, and that takes 2 S + 1 values at most: a resample is a multinomial draw over so many
outcomes, not a loop over N examples.

**Seeds** are few, and resampling them fails: the variance of a mean of resampled seeds is (S - 1) / S of what it
should be, its law has no tails (with three seeds one resample in nine is a single seed three times, and none lies
beyond), and a 95 % interval covers 75 % where seeds matter most. In the place of resampled seeds stands Student's t
with S - 1 degrees of freedom, scaled by the spread of the seeds' means: what is known of a mean of S numbers.

The means of examples also carry a part of `rest`, which the spread of the seeds has paid for already. That part is
taken out by the two-way analysis of variance (`shrink`). One seed says nothing about seeds: its interval speaks of
the test examples only.

Where the seeds' test sets differ (examples of one place have nothing in common), `shrink` goes to 0 by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bench.metrics.checks import binary, check_resampling, numbers, same_shape
from bench.metrics.draws import binomial, factorial_tables, generator

LEVEL = 0.95
DRAWS = 10_000


@dataclass(frozen=True)
class Interval:
    """A mean (or a difference of two) with its interval, and the two-sided p-value of its being 0."""

    mean: float
    low: float
    high: float
    p: float
    seeds: int


def bootstrap_score(correct: ArrayLike, *, seed: int, level: float = LEVEL, draws: int = DRAWS) -> Interval:
    """Mean and interval of a 0/1 score over seeds and examples (see the head of this file).

    Args:
        correct: bool or 0/1 [S, N].
        seed: of the draws; equal arguments give equal results.
        level: share of the interval.
        draws: resamples.

    Raises:
        ValueError: not two axes, an empty one, other numbers than 0 and 1, a level outside of (0, 1), draws < 1.
    """
    scores = binary(correct, "correct", ndim=2).astype(np.int8)
    return _interval(scores, (0, 1), seed, level, draws)


def bootstrap_difference(
    a: ArrayLike, b: ArrayLike, *, seed: int, level: float = LEVEL, draws: int = DRAWS
) -> Interval:
    """Mean, interval and p-value of the paired difference of two 0/1 scores, a - b.

    Args:
        a: bool or 0/1 [S, N].
        b: the same seeds and examples of the other row.
        seed: of the draws.
        level: share of the interval.
        draws: resamples; no p-value lies below 2 / (draws + 1).

    Raises:
        ValueError: as `bootstrap_score`, or unequal shapes.
    """
    first, second = binary(a, "a", ndim=2), binary(b, "b", ndim=2)
    same_shape(first, second, "a and b")
    scores = first.view(np.int8) - second.view(np.int8)
    return _interval(scores, (-1, 1), seed, level, draws)


def t_score(values: ArrayLike, *, level: float = LEVEL) -> Interval:
    """Mean, Student's t interval and p-value of one number a seed.

    Args:
        values: [S].
        level: share of the interval.

    Raises:
        ValueError: fewer than two seeds, NaN or infinity.
    """
    from scipy.special import stdtr, stdtrit

    x = numbers(values, "values")
    if x.size < 2 or not np.isfinite(x).all():
        raise ValueError(f"an interval over seeds needs two finite values or more, got {x.tolist()}")
    check_resampling(level, draws=1)
    mean, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(x.size)
    half = float(stdtrit(x.size - 1, (1 + level) / 2)) * error
    t = abs(mean) / error if error else (math.inf if mean else 0.0)
    p = 2 * float(stdtr(x.size - 1, -t))
    return Interval(mean, mean - half, mean + half, p, x.size)


def t_difference(a: ArrayLike, b: ArrayLike) -> Interval:
    """`t_score` of the paired difference a - b of one number a seed each [S]."""
    first, second = numbers(a, "a"), numbers(b, "b")
    same_shape(first, second, "a and b")
    return t_score(first - second)


def _interval(scores: NDArray[np.int8], possible: tuple[int, int], seed: int, level: float, draws: int) -> Interval:
    check_resampling(level, draws)
    resampled = _bootstrap(scores, seed, draws)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2]).clip(*possible)
    side = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    p = min(1.0, 2 * (int(side) + 1) / (draws + 1))
    return Interval(int(scores.sum(dtype=np.int64)) / scores.size, float(low), float(high), p, len(scores))


def _bootstrap(scores: NDArray[np.int8], seed: int, draws: int) -> NDArray[np.float64]:
    """Resampled means [draws] of scores [S, N] in {-1, 0, 1}."""
    seeds = len(scores)
    values, counts = np.unique(scores.sum(0, dtype=np.int64), return_counts=True)
    order = np.argsort(counts, kind="stable")  # what is left over after the rarer outcomes needs no draw
    resampled = _resampled_sums(values[order], counts[order], draws, seed) / scores.size
    mean = int(values @ counts) / scores.size
    resampled += (shrink(*mean_squares(scores)) - 1) * (resampled - mean)
    if seeds > 1:
        # The t numbers come in order, and the resamples they are added to at random: a stratified sample.
        resampled += _t_numbers(seeds - 1, draws) * (float(scores.mean(1).std(ddof=1)) / math.sqrt(seeds))
    return resampled


def mean_squares(scores: NDArray[np.int8]) -> tuple[float, float]:
    """Mean squares between examples and of the rest, both as the variance of an example's mean over the seeds.

    The two-way analysis of variance of numbers -1, 0, 1 [S, N] from their exact sums; of one seed the rest
    is 0.
    """
    seeds, examples = scores.shape
    by_example, by_seed = scores.sum(0, dtype=np.int64), scores.sum(1, dtype=np.int64)
    total, squares = int(by_seed.sum()), int(np.count_nonzero(scores))
    of_examples, of_seeds = int(by_example @ by_example), int(by_seed @ by_seed)
    between = (examples * of_examples - total**2) / (examples * seeds**2 * max(1, examples - 1))
    if seeds == 1 or examples == 1:
        return between, 0.0
    rest = seeds * examples * squares - seeds * of_seeds - examples * of_examples + total**2
    return between, rest / (seeds**2 * examples * (seeds - 1) * (examples - 1))


def shrink(between: float, rest: float) -> float:
    """Factor on the deviations of resampled examples that leaves the variance of `example[n]` alone."""
    return math.sqrt(max(0.0, 1 - rest / between)) if between > 0 else 0.0


@cache
def _t_numbers(freedom: int, draws: int) -> NDArray[np.float64]:
    """Student's t at the middles of `draws` equally likely strata."""
    from scipy.special import stdtrit

    numbers = stdtrit(freedom, (np.arange(draws) + 0.5) / draws)
    numbers.flags.writeable = False
    return numbers


@njit(cache=True)
def _resampled_sums(values, counts, draws, seed):  # type: ignore[no-untyped-def]
    """Sums of N values drawn with replacement from N, of which counts[k] are values[k]."""
    state = generator(seed)
    total = counts.sum()
    tables = factorial_tables(total)
    out = np.empty(draws)
    for d in range(draws):
        trials, left, sum_ = total, total, 0
        for k in range(values.size - 1):
            drawn = binomial(state, trials, counts[k] / left, tables)
            sum_ += drawn * values[k]
            trials -= drawn
            left -= counts[k]
        out[d] = sum_ + trials * values[-1]
    return out
