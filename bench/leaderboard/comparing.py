"""Estimates and differences of rows, over seeds and, where correctness was kept, over test examples.

The draws of every interval depend on the names of the rows and the metric alone: a board regenerates to the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.draws import seed_of
from bench.leaderboard.board import Curve, Difference, Estimate, Picture
from bench.leaderboard.pairing import told, unpaired
from bench.metrics.metric import Metric
from bench.metrics.rank_resampling import RankShares, resampled_ranks
from bench.metrics.resampling import bootstrap_difference, bootstrap_score, t_difference, t_score
from bench.records.record import Record
from bench.verdicts.interval import Sample, sample

Seeds = Mapping[int, Record]
"""Seed -> record of one row."""
ROUNDING = 1e-6
"""A metric is the mean of an example set if it differs from it by no more."""
LEAST_GAP = 0.01
"""Between references that lie nearer to each other, no share of their gap means anything."""


def means(row: Seeds) -> dict[str, float]:
    """Mean of every metric over the seeds that have it, by name."""
    names = sorted({name for record in row.values() for name in record.metrics})
    return {m: float(_values(row, [s for s in row if m in row[s].metrics], m).mean()) for m in names}


def estimate(row: Seeds, metric: Metric) -> Estimate | None:
    """Mean and interval of a metric over the seeds that have it; None if none has."""
    seeds = [s for s in row if metric.name in row[s].metrics]
    if not seeds:
        return None
    values = _values(row, seeds, metric.name)
    correct = _correct(row, seeds, metric)
    if correct is not None:
        found = bootstrap_score(correct, seed=_draws(row, metric.name))
        return Estimate(found.mean, found.low, found.high)
    if len(seeds) > 1:
        found = t_score(values)
        return Estimate(found.mean, found.low, found.high)
    return Estimate(float(values[0]))


def mean_curves(row: Seeds) -> dict[str, Curve]:
    """Mean over seeds of every curve, at the first seed's points; where a seed was not looked at just there,
    between its own points, and not beyond them.
    """
    names = sorted({name for record in row.values() for name in record.curves})
    means = {name: _mean_curve([r.curves[name] for r in row.values() if r.curves.get(name)]) for name in names}
    return {name: curve for name, curve in means.items() if curve}


def _mean_curve(curves: Sequence[Sequence[tuple[float, float]]]) -> Curve:
    if not curves:
        return ()
    tables = [np.array(curve, dtype=np.float64) for curve in curves]
    first, last = max(t[0, 0] for t in tables), min(t[-1, 0] for t in tables)
    x = tables[0][:, 0]
    x = x[(x >= first) & (x <= last)]
    y = np.mean([np.interp(x, t[:, 0], t[:, 1]) for t in tables], axis=0)
    return tuple(zip(x.tolist(), y.tolist(), strict=True))


def pictures(row: Seeds) -> dict[str, Picture]:
    """Every picture, of the first seed that has it."""
    found: dict[str, Picture] = {}
    for seed, record in sorted(row.items()):
        for name, png in record.pictures.items():
            found.setdefault(name, Picture(seed, png))
    return dict(sorted(found.items()))


def value(record: Record, metric: str) -> float | None:
    """A metric of a record, or one of its costs; None where it has neither."""
    found = record.metrics.get(metric, record.costs.get(metric))
    return found if isinstance(found, int | float) else None


def sample_of_difference(
    better: Seeds, worse: Seeds, groups: Sequence[Sequence[int]], metric: Metric, times: float = 1.0
) -> Sample:
    """How much better one row is than `times` another at the seeds of a look, with its error by test examples.

    Args:
        better: has all these seeds.
        worse: has all these seeds.
        groups: seeds by distinct standard model (`bench.verdicts.looks.Reached.groups`).
        metric: in its good direction, positive is better.
        times: of the values of `worse`.
    """
    seeds = [seed for group in groups for seed in group]
    sign = 1 if metric.higher_is_better else -1
    values = sign * (_values(better, seeds, metric.name) - times * _values(worse, seeds, metric.name))
    x, y = _correct(better, seeds, metric), _correct(worse, seeds, metric)
    scores = None
    if times == 1.0 and x is not None and y is not None and x.shape == y.shape:
        scores = (sign * (x.astype(np.int8) - y.astype(np.int8))).astype(np.int8)
    return sample(groups, dict(zip(seeds, values.tolist(), strict=True)), scores)


def sample_of_row(row: Seeds, groups: Sequence[Sequence[int]], metric: Metric) -> Sample:
    """The metric of one row at the seeds of a look, with its error by test examples. Arguments as above."""
    seeds = [seed for group in groups for seed in group]
    values = dict(zip(seeds, _values(row, seeds, metric.name).tolist(), strict=True))
    correct = _correct(row, seeds, metric)
    return sample(groups, values, None if correct is None else correct.astype(np.int8))


def below(row: Seeds, lower: Seeds, metric: Metric) -> tuple[int, int]:
    """At how many of the seeds that both have a row is worse than its lower reference, and how many these are."""
    seeds = [s for s in row if s in lower]
    sign = 1 if metric.higher_is_better else -1
    worse = sign * (_values(row, seeds, metric.name) - _values(lower, seeds, metric.name)) < 0
    return int(np.count_nonzero(worse)), len(seeds)


def difference(better: Seeds, worse: Seeds, metric: Metric) -> Difference | None:
    """How much better one row is than another on the seeds that both have; None where there are none.

    Seeds on which they were computed in two environments or on two sets of standard models are left out, and told.
    The paired bootstrap over seeds and examples where correctness was kept, else the paired t interval over seeds;
    of a single seed without examples there is no interval.
    """
    both = [s for s in better if s in worse and all(value(r[s], metric.name) is not None for r in (better, worse))]
    apart = unpaired(*({s: row[s] for s in both} for row in (better, worse)))
    seeds = [s for s in both if s not in apart]
    if not seeds:
        return None
    label, other = (next(iter(row.values())).label for row in (better, worse))
    left_out = told(label, other, apart) if apart else ""
    sign = 1 if metric.higher_is_better else -1
    a, b = (sign * _values(row, seeds, metric.name) for row in (better, worse))
    x, y = _correct(better, seeds, metric), _correct(worse, seeds, metric)
    if x is not None and y is not None and x.shape == y.shape:
        first, second = (x, y) if metric.higher_is_better else (y, x)
        found = bootstrap_difference(first, second, seed=_draws(better, metric.name, other))
        return Difference(other, found.mean, found.low, found.high, found.p, len(seeds), True, left_out)
    if len(seeds) > 1:
        found = t_difference(a, b)
        return Difference(other, found.mean, found.low, found.high, found.p, len(seeds), False, left_out)
    return Difference(other, float((a - b).mean()), None, None, None, 1, False, left_out)


def gap_closed(row: Seeds, lower: Seeds, upper: Seeds, metric: Metric) -> float | None:
    """(row - lower) / (upper - lower) of the means over the seeds that all three have.

    None where they have none in common, or where upper is not better than lower by at least `LEAST_GAP`.
    """
    rows = (row, lower, upper)
    apart = {*unpaired(row, lower), *unpaired(row, upper)}
    seeds = [s for s in row if s not in apart and all(s in r and metric.name in r[s].metrics for r in rows)]
    if not seeds:
        return None
    score, low, high = (float(_values(r, seeds, metric.name).mean()) for r in rows)
    gap = high - low if metric.higher_is_better else low - high
    return (score - low) / (high - low) if gap >= LEAST_GAP else None


def rank_shares(rows: Sequence[Seeds], seeds: Sequence[int], metric: Metric) -> RankShares | None:
    """How sure the ranks of rows are that have a metric at all of `seeds`; None where nothing can be resampled."""
    draws = seed_of("ranks", metric.name, *sorted(f"{r[seeds[0]].scenario}/{r[seeds[0]].label}" for r in rows))
    correct = [c for c in (_correct(row, seeds, metric) for row in rows) if c is not None]
    if metric.higher_is_better and len(correct) == len(rows) and len({c.shape for c in correct}) == 1:
        return resampled_ranks(np.stack(correct), seed=draws)
    if len(seeds) < 2:
        return None
    values = np.stack([_values(row, seeds, metric.name) for row in rows])
    return resampled_ranks(values if metric.higher_is_better else -values, seed=draws)


def _values(row: Seeds, seeds: Sequence[int], metric: str) -> NDArray[np.float64]:
    return np.array([value(row[s], metric) for s in seeds], dtype=np.float64)


def _correct(row: Seeds, seeds: Sequence[int], metric: Metric) -> NDArray[np.bool_] | None:
    """bool [S, N], if the metric is the mean of an example set that all seeds kept at one length."""
    if not all(metric.examples in row[s].examples for s in seeds):
        return None
    parts = [row[s].correct(metric.examples) for s in seeds]
    if len({part.size for part in parts}) != 1 or not parts[0].size:
        return None
    stated = _values(row, seeds, metric.name)
    if any(abs(part.mean() - value) > ROUNDING for part, value in zip(parts, stated, strict=True)):
        return None
    return np.stack(parts)


def _draws(row: Seeds, metric: str, *others: str) -> int:
    record = next(iter(row.values()))
    return seed_of("interval", record.scenario, record.label, metric, *others)
