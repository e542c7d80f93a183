"""What a scenario says of the numbers that it gives: unit, good direction, title, explanation and floor.

A metric or cost is declared where it is computed and listed by `@scenario(metrics=..., costs=...)`; boards, claims,
`check` and `show` know no more of it than that. A declaration says how a number is shown and not which it is, so it is
part of no digest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

Explanation = tuple[str, str]
"""A term, and the sentence that it begins: how to read it. Metrics that share one share the object."""


@dataclass(frozen=True)
class Metric:
    """A metric of a scenario."""

    name: str
    """One `#` in it stands for a number: `accuracy_task_#` is `accuracy_task_0`, `accuracy_task_1` and so on."""
    unit: str
    """`%`: a share of 1. `points` (of percent): a difference or a spread of shares. `count`: whole numbers. `cost`: of
    any size, and in what its name says. Any other unit (`nats`) is shown as it stands, and "" is none."""
    _: KW_ONLY
    higher_is_better: bool
    title: str = ""
    """Its name for readers, where that is not its own; `#` in it is the number of the name."""
    explain: Explanation | None = None
    """How to read it: stands under every board on which it stands."""
    floor: str = ""
    """The metric that says below what it is noise (what the upper reference's own repetition shows). It has the same
    unit and direction, and needs no declaration of its own."""
    in_table: bool = False
    """Whether it stands in the scenario's table itself, and not only among the further metrics."""
    worse_than_floor: str = ""
    """The mark of rows in which it is worse than its floor, with 95 % over seeds."""
    examples: str = ""
    """The example set whose mean correctness it is: its intervals cover the choice of examples as well."""
    derived: Callable[[Mapping[str, float]], float | None] | None = None
    """Works it out from a record's metrics, where records do not hold it; None where these are not enough."""


@dataclass(frozen=True)
class Cost:
    """A cost that only some scenarios tell; lower is better. Claims may be about it."""

    name: str
    heading: str = ""
    """Of its column in the scenario's table; without one it has none."""
    meaning: str = ""
    """The heading in full."""
    explain: Explanation | None = None
    derived: Callable[[Mapping[str, Any]], float | None] | None = None
    """As that of a metric, from a record's costs."""
    each: str = ""
    """Of a total over as many units as a row chooses: the cost of one unit. No claim may be about a ratio of totals."""


EVERYWHERE = (
    Cost("seconds"),
    Cost("tuning_seconds", "tuning s", "seconds of the trials that chose the parameters"),
)
"""What the harness tells of the cells of every scenario, beside memory, operations and samples."""


def find(name: str, metrics: Iterable[Metric], costs: Iterable[Cost] = ()) -> Metric | None:
    """What is declared of a metric, of the floor of one, or of a cost; None where nothing is."""
    told = list(metrics)
    for metric in told:
        if (number := _number(metric.name, name)) is not None:
            return _numbered(metric, number)
    for metric in told:
        if metric.floor and _number(metric.floor, name) is not None:
            return Metric(name, metric.unit, higher_is_better=metric.higher_is_better)
    if any(cost.name == name for cost in costs):
        return Metric(name, "cost", higher_is_better=False)
    return None


def undeclared(name: str) -> Metric:
    """A metric of which nothing is known but its name, such as one of a record that is older than its scenario."""
    return Metric(name, "", higher_is_better=True)


def measured(found: Iterable[str], metrics: Iterable[Metric]) -> list[Metric]:
    """The declared metrics that are found, in the order of declaration, with their numbers."""
    told = sorted(found)
    numbers = ((metric, _number(metric.name, name)) for metric in metrics for name in told)
    return [_numbered(metric, number) for metric, number in numbers if number is not None]


def names(metrics: Iterable[Metric], costs: Iterable[Cost] = ()) -> list[str]:
    """All that is declared, floors and costs included."""
    return [*dict.fromkeys(n for m in metrics for n in (m.name, m.floor) if n), *(cost.name for cost in costs)]


def _numbered(metric: Metric, number: str) -> Metric:
    changed = {field: getattr(metric, field).replace("#", number) for field in ("name", "title", "floor")}
    return replace(metric, **changed)


def _number(pattern: str, name: str) -> str | None:
    """What stands for the `#` of a pattern; "" for a pattern without one, None where the name is another."""
    before, mark, after = pattern.partition("#")
    if not mark:
        return "" if pattern == name else None
    fits = re.fullmatch(f"{re.escape(before)}([0-9]+){re.escape(after)}", name)
    return fits[1] if fits else None
