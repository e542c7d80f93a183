"""How sure an attack's success is: bootstrap intervals of its AUC and of its true-positive rate at few false ones.

Members and non-members are resampled with replacement, each side by itself (how many there are of either was decided,
not drawn). Scores are sorted once; a resample is how often each example was drawn, and one pass in that order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from bench.metrics.checks import binary, check_resampling, numbers, same_shape
from bench.metrics.draws import below, generator
from bench.metrics.ranks import auc, tpr_at_fpr
from bench.metrics.resampling import LEVEL

DRAWS = 2_000


@dataclass(frozen=True)
class Estimate:
    """A number with its percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AttackIntervals:
    """What an attack reaches, and between what bounds with other examples of the same kind."""

    auc: Estimate
    tpr: Estimate
    """At the false-positive rate that was asked for."""


def attack_intervals(
    scores: ArrayLike, member: ArrayLike, *, seed: int, fpr: float = 0.01, level: float = LEVEL, draws: int = DRAWS
) -> AttackIntervals:
    """AUC and TPR at `fpr`, as `ranks.auc` and `ranks.tpr_at_fpr` define them, with intervals over examples.

    Models are not resampled: the interval speaks of one attack on one model. With n non-members a rate of `fpr` is
    floor(fpr n) examples, so a true-positive rate at 1 % wants a hundred at least.

    Args:
        scores: [N], higher means member.
        member: bool [N].
        seed: of the draws; equal arguments give equal results.
        fpr: false-positive rate, in [0, 1].
        level: share of the intervals.
        draws: resamples.

    Raises:
        ValueError: unequal lengths, NaN, members or non-members only, or shares outside of their range.
    """
    s, m = numbers(scores, "scores"), binary(member, "member")
    same_shape(s, m, "scores and member")
    check_resampling(level, draws)
    values = auc(s, m), tpr_at_fpr(s, m, fpr)
    negatives = int(m.size - np.count_nonzero(m))
    # Counted by the comparison that the rate is defined by: fpr * n may be rounded past a whole number.
    allowed = int(np.count_nonzero(np.arange(1, negatives + 1) / negatives <= fpr))
    order = np.argsort(-s, kind="stable")
    last = np.append(s[order][1:] != s[order][:-1], True)
    resampled = _resampled(m[order], last, allowed, draws, seed)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2], axis=1)
    found = [Estimate(float(v), float(a), float(b)) for v, a, b in zip(values, low, high, strict=True)]
    return AttackIntervals(*found)


@njit(cache=True)
def _resampled(member, last, allowed, draws, seed):  # type: ignore[no-untyped-def]
    """AUC and TPR [2, draws] of examples in descending order; `last` ends a run of equal scores."""
    state = generator(seed)
    n = member.size
    places = np.empty(n, np.int64)  # members first, then the others: what is drawn from
    positives, k = 0, n
    for i in range(n):
        if member[i]:
            places[positives] = i
            positives += 1
        else:
            k -= 1
            places[k] = i
    negatives = n - positives
    times, found = np.empty(n, np.int64), np.empty((2, draws))
    for d in range(draws):
        times[:] = 0
        for _ in range(positives):
            times[places[below(state, positives)]] += 1
        for _ in range(negatives):
            times[places[positives + np.int64(below(state, negatives))]] += 1
        halves = true = false = run_true = run_false = called = 0
        for i in range(n):
            if member[i]:
                run_true += times[i]
            else:
                run_false += times[i]
            if last[i]:
                # Every negative of the run has `true` members above it, and those of the run beside it.
                halves += run_false * (2 * true + run_true)
                true, false = true + run_true, false + run_false
                if false <= allowed:
                    called = true
                run_true = run_false = 0
        found[0, d] = halves / (2.0 * positives * negatives)
        found[1, d] = called / positives
    return found
