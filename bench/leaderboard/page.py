"""A board as one HTML file that needs no other file and no host; the layout is in `page.html.jinja`.

The page reads well without its script. With it, tables sort and filter.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import jinja2

from bench.leaderboard import chart, columns, measures, pareto, path_chart, plot, reading, tuned, wording
from bench.leaderboard.board import Board, Row, Section, Verdict
from bench.leaderboard.plot import Axis, Mark
from bench.leaderboard.summary import method_address, place, row_anchors, summarize
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
    left_out: int
    """Rows whose pictures find no room on the page."""


@dataclass(frozen=True)
class Seen:
    """What was seen beside the scores."""

    charts: tuple[chart.Chart, ...]
    paths: tuple[path_chart.Figure, ...]
    galleries: tuple[Gallery, ...]


@dataclass(frozen=True)
class ShownSection:
    """A section with all that its part of the page needs."""

    section: Section
    data: str
    table: columns.Table
    further: columns.Table
    marks: tuple[str, ...]
    """Those that all rows have."""
    ids: tuple[str, ...]
    """Anchors of the rows."""
    methods: tuple[str, ...]
    """Addresses of the rows' cells on the pages of their methods."""
    plot: Plotted
    fronts: tuple[pareto.Front, ...]
    seen: Seen


PICTURE_WIDTH = 400
"""Pictures are enlarged by a whole number, up to about this many pixels."""
PICTURES = 600_000
"""Characters of all pictures of a page in base64, so that the page stays below 1.5 MB."""


def render(board: Board) -> str:
    """The whole page."""
    limit = _gallery_limit(board)
    return template("page.html.jinja").render(
        board=board,
        summary=summarize(board),
        claims=_plot_claims(board),
        sections=[_shown_section(board, section, limit) for section in board.sections],
        filters=_filters(board),
        colours=chart.COLOURS if any(map(_has_more, board.sections)) else 0,
    )


def template(name: str) -> jinja2.Template:
    """A page's layout, with what all layouts use."""
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
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
            "css": _asset("common.css"),
            "script": _asset("common.js"),
            "pareto_script": _asset("pareto.js"),
        }
    )
    return environment


def _asset(name: str) -> str:
    """A style sheet or script of ours, which layouts write as it stands."""
    return files("bench.leaderboard").joinpath(name).read_text(encoding="utf-8")


def _shown_section(board: Board, section: Section, limit: int | None) -> ShownSection:
    used = board.data_of(section).used
    table = columns.main_table(section)
    return ShownSection(
        section=section,
        data=str(used.get("variant") or used.get("name") or ""),
        table=table,
        further=columns.further_table(section),
        marks=columns.marks_of_all(section),
        ids=row_anchors(section),
        methods=tuple(
            method_address(place(board), row.method, anchor)
            for row, anchor in zip(section.rows, row_anchors(section), strict=True)
        ),
        plot=_plot_section(section),
        fronts=pareto.fronts(section, (column.name for column in table.columns)),
        seen=_seen(section, limit),
    )


def _filters(board: Board) -> list[tuple[str, list[str]]]:
    """(what rows and boards can be filtered by, its values), of those that have several."""
    rows = [row for section in board.sections for row in section.rows]
    values = {
        "family": {row.family for row in rows},
        "access": {access for row in rows for access in row.access},
        "year": {str(row.year) for row in rows if row.year},
        "data": {str(use.used.get("variant") or use.used.get("name") or "") for use in board.data},
    }
    return [(name, sorted(found - {""})) for name, found in values.items() if len(found - {""}) > 1]


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


def _seen(section: Section, limit: int | None) -> Seen:
    names = sorted({name for row in section.rows for name in row.pictures})
    return Seen(
        tuple(chart.charts(section)),
        tuple(path_chart.figures(section)),
        tuple(_gallery(section, name, limit) for name in names),
    )


def _gallery(section: Section, name: str, limit: int | None) -> Gallery:
    rows = [row for row in section.rows if name in row.pictures]
    kept = rows[:limit]
    title = name.replace("_", " ").capitalize()
    return Gallery(title, tuple(_shown(row, name) for row in kept), len(rows) - len(kept))


def _gallery_limit(board: Board) -> int | None:
    """How many rows, from the top of its table, a gallery may show so that all fit `PICTURES`; None: all rows."""
    galleries = [
        [len(row.pictures[name].png) for row in section.rows if name in row.pictures]
        for section in board.sections
        for name in {name for row in section.rows for name in row.pictures}
    ]
    longest = max(map(len, galleries), default=0)
    for limit in range(longest, 0, -1):
        if sum(sum(sizes[:limit]) for sizes in galleries) <= PICTURES:
            return None if limit == longest else limit
    return 0 if galleries else None


def _shown(row: Row, name: str) -> Shown:
    picture = row.pictures[name]
    width, height = png.size(base64.b64decode(picture.png))
    scale = max(1, PICTURE_WIDTH // width)
    return Shown(row.label, picture.seed, picture.png, scale * width, scale * height)
