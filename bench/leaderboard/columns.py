"""The columns of a board's tables. Page, Markdown and CSV all write these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.leaderboard import measures, tuned, wording
from bench.leaderboard.board import Costs, Difference, Row, Section
from bench.metrics.metric import Metric

NARROW = 12
"""A table in Markdown has at most so many columns."""
FIXED = ("rank", "method", "score")
"""These stay in a table, even where all rows hold one value."""


@dataclass(frozen=True)
class Cell:
    """What one row holds in one column."""

    text: str
    detail: str = ""
    """Its interval."""
    sorts_by: float | None = None
    """A number; None sorts last. Columns of text sort by the text."""
    title: str = ""
    """More about it, on hover."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Its numbers, by the CSV's column."""

    @property
    def full(self) -> str:
        """Text and interval."""
        return f"{self.text} {self.detail}".strip()


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    heading: str
    help: str
    """One sentence for people who do not know the column."""
    cells: tuple[Cell, ...]
    """One a row, in order."""
    weight: int
    """How much it matters; a narrow table keeps the weightiest columns."""
    text: bool = False
    """It holds text, which is aligned to the left."""
    descends: bool = False
    """Its first sorting puts the largest number on top."""


@dataclass(frozen=True)
class Table:
    """Rows and columns, as people see them."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    """Those in which rows differ."""
    same: tuple[tuple[str, str], ...]
    """(heading, value) of those in which all rows with a result hold one value."""
    empty: tuple[str, ...]
    """Headings of those that hold nothing."""

    def narrow(self) -> tuple[tuple[Column, ...], tuple[str, ...]]:
        """The weightiest columns, as many as Markdown takes, in order; and the headings of the others."""
        kept = {c.name for c in sorted(self.columns, key=lambda c: -c.weight)[:NARROW]}
        return (
            tuple(c for c in self.columns if c.name in kept),
            tuple(c.heading for c in self.columns if c.name not in kept),
        )


def main_table(section: Section) -> Table:
    """Ranks, scores, differences and costs of a scenario's rows."""
    return _folded(section.rows, columns(section))


def marks_of_all(section: Section) -> tuple[str, ...]:
    """Marks that all rows with a result have, several rows at least: one line says them once."""
    scored = [row for row in section.rows if row.headline is not None]
    if len(scored) < 2:
        return ()
    return tuple(mark for mark in scored[0].marks if all(mark in row.marks for row in scored))


def further_table(section: Section) -> Table:
    """Means over seeds of all metrics that do not stand in the main table, of the rows that have any."""
    rows = tuple(row for row in section.rows if row.metrics)
    return _folded(rows, [_method(section, rows), *further(section, rows)])


def columns(section: Section) -> list[Column]:
    """All columns of the main table, constant ones included."""
    rows, headline = section.rows, section.ranked_by
    beside = tuned.beside_default(section)
    better = headline.higher_is_better
    found = [
        _column("rank", "rank", _rank, rows, 100),
        _method(section, rows),
        Column(
            "score",
            f"{measures.heading(headline)} (95 %)",
            _score_help(section),
            _scores(section),
            98,
            descends=better,
        ),
    ]
    if beside:
        untuned, gains = tuned.HEADINGS
        found += [
            Column(
                "untuned",
                untuned,
                HELP["untuned"],
                tuple(_untuned(section, row) for row in rows),
                80,
                descends=better,
            ),
            Column("gained", gains, HELP["gained"], tuple(_gained(headline, row) for row in rows), 81, descends=True),
        ]
    found.append(_column("gap_closed", "gap closed", _gap, rows, 90))
    found += [
        Column(
            f"metric.{metric.name}",
            wording.more_heading(section, metric),
            _metric_help(metric),
            tuple(_with_floor(row, metric) for row in rows),
            70,
            descends=metric.higher_is_better,
        )
        for metric in wording.more_metrics(section)
    ]
    found += [
        Column(
            "above",
            "vs row above (95 %)",
            HELP["above"],
            tuple(_above(headline, row) for row in rows),
            85,
            descends=True,
        ),
        _column("p", "p", _p, rows, 75),
        _column("first", "first", _first, rows, 40),
        _column("seeds", "seeds", _seeds, rows, 60),
        _column("seconds", "seconds", _cost("seconds", lambda c: c.seconds), rows, 88),
        _column("peak_memory_mb", "MB", _cost("peak_memory_mb", lambda c: c.peak_memory_mb), rows, 72),
        _column("gflops", "GFLOPs", _cost("gflops", lambda c: c.gflops), rows, 50),
        _column("samples", "samples", _samples, rows, 65),
    ]
    for cost in wording.more_costs(section):
        cells = tuple(_more_cost(cost.name, row) for row in rows)
        found.append(Column(cost.name, cost.heading, f"{_capital(cost.meaning)}, mean over seeds.", cells, 30))
    return found


def further(section: Section, rows: tuple[Row, ...]) -> list[Column]:
    """All metrics that are neither the headline nor in the main table."""
    there = {section.headline, *(metric.name for metric in wording.more_metrics(section))}
    names = sorted({name for row in rows for name in row.metrics} - there)
    return [_metric_column(section.metric(name), rows) for name in names]


def data_of(section: Section) -> list[dict[str, Any]]:
    """Row by row, all numbers of the main table and of the further metrics, by the CSV's columns."""
    all_columns = [*columns(section), *further(section, section.rows)]
    lines: list[dict[str, Any]] = [{} for _ in section.rows]
    for column in all_columns:
        for line, cell in zip(lines, column.cells, strict=True):
            line |= cell.data
    return lines


HELP = {
    "rank": (
        "The rank by the mean score. The brackets give its 95 % interval. References have no rank: they mark the scale."
    ),
    "method": (
        "The row's label. It links to the method's page: paper, hyperparameters, cells, reruns. Tags mark references "
        "and rows with a caveat."
    ),
    "untuned": "The score of the same row without its search, on the board of defaults.",
    "gained": "The score with tuning less the score without, with its 95 % interval.",
    "gap_closed": (
        "How far the row comes from the lower reference (0 %) to the upper one (100 %). It compares across boards."
    ),
    "above": "The score of this row less that of the row above, with its 95 % interval. Positive means better.",
    "p": "The two-sided p-value of no difference from the row above.",
    "first": "The share of resamples in which this row is the best.",
    "seeds": "The number of seeds with a result.",
    "seconds": "Wall-clock seconds of the method itself, mean over seeds.",
    "peak_memory_mb": "Growth of memory at its peak, in MB. Empty where any seed shows less than 1 MB.",
    "gflops": "Operations of convolutions and linear layers, forward and backward, in units of 1e9.",
    "samples": "Inputs sent through all given models together.",
}


def _folded(rows: tuple[Row, ...], found: Iterable[Column]) -> Table:
    """A table without the columns in which all rows that have a result hold one value."""
    kept, same, empty = [], [], []
    for column in found:
        texts = {c.full for c, row in zip(column.cells, rows, strict=True) if row.headline is not None}
        if column.name in FIXED or len(texts) > 1:
            kept.append(column)
        elif texts <= {"–", ""}:
            empty.append(column.heading)
        else:
            same.append((column.heading, next(iter(texts))))
    return Table(rows, tuple(kept), tuple(same), tuple(empty))


def _column(name: str, heading: str, cell: Callable[[Row], Cell], rows: Iterable[Row], weight: int) -> Column:
    descends = name in ("gap_closed", "first", "seeds")
    return Column(name, heading, HELP[name], tuple(map(cell, rows)), weight, descends=descends)


def _method(section: Section, rows: tuple[Row, ...]) -> Column:
    cells = tuple(Cell(row.label, title=row.summary, data=_identity(section, row)) for row in rows)
    return Column("method", "method", HELP["method"], cells, 99, text=True)


def _identity(section: Section, row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {key: getattr(row, key) for key in ("label", "method", "role", "status")}
    told |= {"family": row.family, "access": " ".join(row.access), "paper": row.paper, "year": row.year}
    if row.search:
        told |= {"trials": section.trials, "chosen": dict(row.chosen)}
    return told


def _rank(row: Row) -> Cell:
    data = {"rank": row.rank, "rank_low": row.rank_low, "rank_high": row.rank_high}
    return Cell(wording.rank(row), sorts_by=row.rank, data=data)


def _score_help(section: Section) -> str:
    return f"The score that ranks the rows, mean over seeds, with its 95 % interval: {wording.direction(section)}."


def _scores(section: Section) -> tuple[Cell, ...]:
    return tuple(_score(section.ranked_by, row) for row in section.rows)


def _score(metric: Metric, row: Row) -> Cell:
    found = row.headline
    if found is None:
        return Cell(row.status)
    data = {"mean": found.mean, "low": found.low, "high": found.high, f"metric.{metric.name}": found.mean}
    return Cell(
        measures.number(metric, found.mean),
        measures.interval(metric, found.low, found.high),
        sorts_by=found.mean,
        data=data,
    )


def _difference(metric: Metric, found: Difference | None, data: Mapping[str, Any]) -> Cell:
    if found is None:
        return Cell("–")
    mean = measures.number(metric, found.mean, sign=True)
    return Cell(mean, measures.interval(metric, found.low, found.high, sign=True), found.mean, data=data)


def _above(metric: Metric, row: Row) -> Cell:
    found = row.above
    if found is None:
        return Cell("–")
    data = {"above": found.other, "difference": found.mean}
    return _difference(metric, found, data | {"difference_low": found.low, "difference_high": found.high})


def _untuned(section: Section, row: Row) -> Cell:
    mean = row.default.mean if row.default else None
    return Cell(tuned.default(section, row), sorts_by=mean, data={"untuned": mean} if row.gained else {})


def _gained(metric: Metric, row: Row) -> Cell:
    found = row.gained
    if found is None or row.default is None:
        return Cell("–")
    data = {"gained": found.mean, "gained_low": found.low, "gained_high": found.high}
    return _difference(metric, found, data)


def _gap(row: Row) -> Cell:
    return Cell(measures.percent(row.gap_closed), sorts_by=row.gap_closed, data={"gap_closed": row.gap_closed})


def _p(row: Row) -> Cell:
    p = row.above.p if row.above else None
    return Cell(measures.p_value(p), sorts_by=p, data={"p": p})


def _first(row: Row) -> Cell:
    return Cell(measures.percent(row.first) if row.rank else "", sorts_by=row.first, data={"first": row.first})


def _seeds(row: Row) -> Cell:
    told = " ".join(map(str, row.seeds))
    return Cell(str(len(row.seeds)), sorts_by=len(row.seeds), title=f"seeds {told}", data={"seeds": told})


def _cost(name: str, of: Callable[[Costs], float | None]) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        value = of(row.costs) if row.costs else None
        return Cell(measures.quantity(value), sorts_by=value, data={name: value})

    return cell


def _samples(row: Row) -> Cell:
    value = row.costs.samples if row.costs else None
    by_model = sorted(row.costs.samples_of.items()) if row.costs else []
    title = ", ".join(f"{name}: {measures.quantity(count)}" for name, count in by_model)
    return Cell(measures.quantity(value), sorts_by=value, title=title, data={"samples": value})


def _more_cost(name: str, row: Row) -> Cell:
    value = row.costs.more.get(name) if row.costs else None
    return Cell(measures.quantity(value), sorts_by=value, data={name: value})


def _metric_help(metric: Metric) -> str:
    better = "Higher" if metric.higher_is_better else "Lower"
    told = f"{_capital(measures.title(metric))}, mean over seeds. {better} is better."
    return f"{told} After the slash: the same number for retrained models." if metric.floor else told


def _metric_column(metric: Metric, rows: Iterable[Row]) -> Column:
    cells = tuple(_value(row, metric) for row in rows)
    help_ = _metric_help(metric)
    return Column(f"metric.{metric.name}", measures.heading(metric), help_, cells, 10, descends=metric.higher_is_better)


def _value(row: Row, metric: Metric) -> Cell:
    value = row.metrics.get(metric.name)
    data = {} if value is None else {f"metric.{metric.name}": value}
    return Cell(measures.number(metric, value), sorts_by=value, data=data)


def _with_floor(row: Row, metric: Metric) -> Cell:
    value = row.metrics.get(metric.name)
    data = {} if value is None else {f"metric.{metric.name}": value}
    return Cell(wording.more_value(row, metric), sorts_by=value, data=data)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
