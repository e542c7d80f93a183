"""Line charts as numbers: a value over the budget or the trials, one line a row, each named where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.leaderboard import curves, measures, plot
from bench.leaderboard.board import Row, Section

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 880.0, 40.0, 640.0, 10.0, 34.0
"""Pixels: the whole, the edges of the axes from the left, the space above and below them. Names stand to the right."""
LEAST_HEIGHT = 280.0
NAME_HEIGHT, ROW_HEIGHT = 14.0, 18.0
"""Least distance of names, and what each row adds to the height of a chart of many."""
COLOURS = 7
"""Rows beyond so many have them again, with another dash."""
DASHES = ("", "7 3", "7 3 1 3")


@dataclass(frozen=True)
class Line:
    """One row's curve, in pixels from the upper left corner."""

    label: str
    colour: str
    """A class of the page: `c0` to `c6`, or the role of a reference."""
    dash: str
    points: str
    """Of an SVG polyline."""
    end: tuple[float, float]
    name_y: float
    """Where the name's middle stands, clear of other names."""


@dataclass(frozen=True)
class Chart:
    """All lines of one curve, and the axes."""

    unit: str
    """Of the values, as it stands behind the title."""
    title: str
    over: str
    """What the horizontal axis goes along."""
    share: str
    """What stands at it."""
    height: float
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]

    @property
    def floor(self) -> float:
        """Pixels from above to the lower axis."""
        return self.height - BOTTOM


def charts(section: Section) -> list[Chart]:
    """A chart for each curve that ranked rows, or the lower and upper references, have; ways are `path_chart`'s."""
    rows = shown_rows(section)
    names = sorted({name for row in rows.values() for name in row.curves} - curves.ON_THE_WAY)
    return [_chart(name, section, rows) for name in names]


def shown_rows(section: Section) -> dict[str, Row]:
    """Label -> row, of those whose curves are drawn, in the order of the table."""
    return {row.label: row for row in section.rows if row.curves and row.role != "reference"}


def _chart(name: str, section: Section, rows: Mapping[str, Row]) -> Chart:
    told = curves.axes(name, section)
    own = {label: row.curves[name] for label, row in rows.items() if name in row.curves}
    values = [y for curve in own.values() for _, y in curve]
    low, high = min(values), max(values)
    pad = 0.04 * (high - low) or 0.01
    low, high = low - pad, high + pad
    height = max(LEAST_HEIGHT, TOP + BOTTOM + ROW_HEIGHT * len(own))

    def x(share: float) -> float:
        return round(LEFT + share * (RIGHT - LEFT), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (height - TOP - BOTTOM), 1)

    drawn = {label: [(x(share), y(value)) for share, value in curve] for label, curve in own.items()}
    name_ys = apart([points[-1][1] for points in drawn.values()], NAME_HEIGHT, TOP, height - BOTTOM)
    looks = styles(rows)
    lines = (
        Line(label, *looks[label], " ".join(f"{a},{b}" for a, b in points), points[-1], name_y)
        for (label, points), name_y in zip(drawn.items(), name_ys, strict=True)
    )
    return Chart(
        unit=measures.unit(told.metric),
        title=told.title,
        over=told.over,
        share=told.share,
        height=height,
        x_ticks=tuple((x(percent / 100), str(percent)) for percent in (0, 25, 50, 75, 100)),
        y_ticks=tuple((y(value), text) for value, text in plot.ticks(told.metric.unit, low, high, parts=6)),
        lines=tuple(lines),
    )


def styles(rows: Mapping[str, Row]) -> dict[str, tuple[str, str]]:
    """Label -> (colour, dash): references by their role, the others in the order of the table."""
    ranked = [label for label, row in rows.items() if row.role is None]
    found = {label: (f"c{i % COLOURS}", DASHES[i // COLOURS % len(DASHES)]) for i, label in enumerate(ranked)}
    return found | {label: (row.role, "2 3") for label, row in rows.items() if row.role is not None}


def apart(wanted: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, in their order, at least `distance` apart and between `low` and `high`.

    Places that would overlap stand in a block around the mean of what they want. `low` to `high` must have the room.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[list[int]] = []

    def top(block: list[int]) -> float:
        extent = distance * (len(block) - 1)
        middle = sum(wanted[i] for i in block) / len(block)
        return min(max(middle - extent / 2, low), high - extent)

    for i in order:
        blocks.append([i])
        while len(blocks) > 1 and top(blocks[-2]) + distance * len(blocks[-2]) > top(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    places = {i: top(block) + distance * k for block in blocks for k, i in enumerate(block)}
    return [round(places[i], 1) for i in range(len(wanted))]
