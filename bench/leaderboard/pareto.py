"""Cost against quality: which ranked rows no other ranked row beats in both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.leaderboard.board import Section

COSTS = {
    "seconds": "seconds",
    "peak_memory_mb": "MB of memory",
    "gflops": "GFLOPs",
    "samples": "samples sent through the given models",
}
"""Costs that a front is drawn for, by the names of their columns, and what they are called."""
LEAST_ROWS = 2
"""Ranked rows with a cost; a front of fewer says nothing."""


@dataclass(frozen=True)
class Front:
    """The ranked rows that no other one beats in score and cost at once."""

    cost: str
    """The name of the cost's column."""
    title: str
    labels: tuple[str, ...]
    """The cheapest first."""


def fronts(section: Section, columns: Iterable[str]) -> tuple[Front, ...]:
    """One for each cost among `columns`, by means over seeds; rows whose cost was not seen are left out."""
    shown = set(columns)
    found = []
    for cost, title in COSTS.items():
        points = list(_points(section, cost))
        if cost in shown and len(points) >= LEAST_ROWS:
            found.append(Front(cost, title, _unbeaten(points)))
    return tuple(found)


def _points(section: Section, cost: str) -> Iterator[tuple[float, float, str]]:
    """(cost, minus the score in its good direction, label) of each ranked row."""
    sign = 1 if section.ranked_by.higher_is_better else -1
    for row in section.rows:
        value = getattr(row.costs, cost, None)
        if row.rank is not None and row.headline is not None and value is not None:
            yield value, -sign * row.headline.mean, row.label


def _unbeaten(points: Iterable[tuple[float, float, str]]) -> tuple[str, ...]:
    """Labels from the cheapest on, each better than all before; of equal ones the first."""
    best, labels = math.inf, []
    for _, score, label in sorted(points):
        if score < best:
            best = score
            labels.append(label)
    return tuple(labels)
