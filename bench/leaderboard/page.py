"""A board as one HTML file that needs nothing else: no script, no other host; the layout is in `page.html.jinja`."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import jinja2

from bench.leaderboard import chart, measures, path_chart, plot, reading, tuned, wording
from bench.leaderboard.board import Board, Row, Section, Verdict
from bench.leaderboard.plot import Axis, Mark
from bench.records import png

SIGNS = {"holds": "✓", "fails": "✗", "equal": "=", "undecided": "≈", "not testable here": "–", "under-run": "…"}


@dataclass(frozen=True)
class Plotted:
    """A section (or the claims) with what its interval plot needs."""

    axis: Axis | None
    marks: dict[str, Mark]
    lines: tuple[tuple[str, float], ...] = ()
    """(role, pixels) of vertical lines: the references."""


@dataclass(frozen=True)
class Shown:
    """A row's picture, with its size on the page."""

    label: str
    seed: int
    png: str
    """In base64."""
    width: int
    height: int


@dataclass(frozen=True)
class Gallery:
    """What all rows of a scenario show of one thing."""

    title: str
    pictures: tuple[Shown, ...]


@dataclass(frozen=True)
class Seen:
    """What was seen beside the scores."""

    charts: tuple[chart.Chart, ...]
    paths: tuple[path_chart.Figure, ...]
    galleries: tuple[Gallery, ...]


PICTURE_WIDTH = 400
"""Pictures are enlarged by a whole number, up to about so many pixels."""


def render(board: Board) -> str:
    """The whole page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bench.leaderboard", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        {
            "m": measures,
            "w": wording,
            "r": reading,
            "t": tuned,
            "c": chart,
            "pc": path_chart,
            "width": plot.WIDTH,
            "signs": SIGNS,
        }
    )
    template = environment.get_template("page.html.jinja")
    return template.render(
        board=board,
        claims=_plot_claims(board),
        sections=[(s, _plot_section(s), _further(s), _seen(s)) for s in board.sections],
        colours=chart.COLOURS if any(map(_has_more, board.sections)) else 0,
    )


def _has_more(section: Section) -> bool:
    """Whether there is more of it than scores and the usual costs."""
    return bool(wording.more_costs(section)) or any(row.curves or row.pictures for row in section.rows)


def _plot_claims(board: Board) -> Plotted:
    """Differences less what is needed, on one axis; of shares only, which have one unit."""
    shares = [v for v in board.claims if measures.is_share(board.metric_of(v).unit)]
    bars = {v.id: _less_margin(v) for v in shares if v.difference}
    if not bars:
        return Plotted(None, {})
    axis = plot.axis("points", bars.values(), also=(0.0,))
    marks = {name: axis.mark(*bar) for name, bar in bars.items()}
    return Plotted(axis, marks, (("zero", axis.x(0.0)),))


def _less_margin(v: Verdict) -> tuple[float, float | None, float | None]:
    found = v.difference
    assert found is not None
    ends = [None if end is None else end - v.margin for end in (found.low, found.high)]
    return (found.mean - v.margin, ends[0], ends[1])


def _plot_section(section: Section) -> Plotted:
    scored = {row.label: row for row in section.rows if row.headline is not None}
    if not scored:
        return Plotted(None, {})
    bars = {label: _bar(row) for label, row in scored.items()}
    axis = plot.axis(section.ranked_by.unit, bars.values())
    lines = tuple((row.role, axis.x(bars[label][0])) for label, row in scored.items() if row.role in ("lower", "upper"))
    return Plotted(axis, {label: axis.mark(*bar) for label, bar in bars.items()}, lines)


def _bar(row: Row) -> tuple[float, float | None, float | None]:
    assert row.headline is not None
    return (row.headline.mean, row.headline.low, row.headline.high)


def _further(section: Section) -> dict[str, Any]:
    """All other metrics, and the rows that have any."""
    rows = [row for row in section.rows if row.metrics]
    names = sorted({name for row in rows for name in row.metrics} - {section.headline})
    return {"metrics": [section.metric(name) for name in names], "rows": rows if names else []}


def _seen(section: Section) -> Seen:
    names = sorted({name for row in section.rows for name in row.pictures})
    galleries = (
        Gallery(name.replace("_", " ").capitalize(), tuple(_shown(r, name) for r in section.rows if name in r.pictures))
        for name in names
    )
    return Seen(tuple(chart.charts(section)), tuple(path_chart.figures(section)), tuple(galleries))


def _shown(row: Row, name: str) -> Shown:
    picture = row.pictures[name]
    width, height = png.size(base64.b64decode(picture.png))
    scale = max(1, PICTURE_WIDTH // width)
    return Shown(row.label, picture.seed, picture.png, scale * width, scale * height)
