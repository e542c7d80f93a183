"""What a front page needs of a board, and no more: who leads where, at what cost, and how claims were answered.

`write` puts it beside the board as `<profile>.summary.json`. The front page reads these files alone: they are some
kilobytes a board, so it costs milliseconds, while building all boards from their records costs half a minute.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.leaderboard import measures, wording
from bench.leaderboard.board import Board, Row, Section

ENDING = ".summary.json"
FORMAT = 1
"""Files of another format are not read."""


@dataclass(frozen=True)
class Entry:
    """A row with a result."""

    label: str
    method: str
    family: str
    paper: str | None
    year: int | None
    role: str | None
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    score: str
    """The headline with its interval, as boards write it."""
    gap_closed: float | None
    gap_low: float | None
    gap_high: float | None
    """The score's own interval on the scale of the gap; the two references are taken as exact."""
    seconds: float | None
    anchor: str
    """Of the row on the suite's page."""


@dataclass(frozen=True)
class BoardSummary:
    """One scenario."""

    name: str
    kind: str
    title: str
    data: str
    score: str
    """Heading of the scores: name and unit."""
    rows: tuple[Entry, ...]

    @property
    def leader(self) -> Entry | None:
        """The ranked row with the best mean; None where nothing is ranked."""
        return next((row for row in self.rows if row.rank == 1), None)

    @property
    def tied(self) -> tuple[str, ...]:
        """Labels of all rows whose rank interval reaches the first rank; at least the leader's."""
        leader = self.leader
        reach = tuple(row.label for row in self.rows if row.rank is not None and row.rank_low == 1)
        return reach or ((leader.label,) if leader else ())

    @property
    def clear(self) -> bool:
        """Whether the leader has rivals, and none of them may be first."""
        return len(self.tied) == 1 and sum(row.rank is not None for row in self.rows) > 1

    @property
    def may_be_first(self) -> str:
        """How many rows may be first, in words."""
        if sum(row.rank is not None for row in self.rows) == 1:
            return "only row"
        return f"{len(self.tied)} row{'s' * (len(self.tied) > 1)}"


@dataclass(frozen=True)
class ClaimSummary:
    """One claim and its answer."""

    id: str
    paper: str
    says: str
    scenario: str
    answer: str


@dataclass(frozen=True)
class Summary:
    """A suite at one profile."""

    suite: str
    title: str
    profile: str
    records: int
    warnings: tuple[str, ...]
    """Of stand-in data."""
    boards: tuple[BoardSummary, ...]
    claims: tuple[ClaimSummary, ...]

    @property
    def answers(self) -> dict[str, int]:
        """Answer -> number of claims, in the order of `wording.ANSWERS`; answers that do not occur are left out."""
        count = Counter(claim.answer for claim in self.claims)
        return {answer: count[answer] for answer in wording.ANSWERS if count[answer]}


def summarize(board: Board) -> Summary:
    """The summary of a board."""
    return Summary(
        suite=board.suite,
        title=board.title,
        profile=board.profile,
        records=board.records,
        warnings=tuple(wording.stand_ins(board)),
        boards=tuple(_board(board, section) for section in board.sections),
        claims=tuple(ClaimSummary(v.id, v.paper, v.says, v.scenario, v.answer) for v in board.claims),
    )


def render(board: Board) -> str:
    """The file."""
    return json.dumps({"format": FORMAT} | _rounded(asdict(summarize(board))), indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> Summary | None:
    """The summary in a file; None where it has another format.

    Raises:
        BenchError: the file cannot be read, or is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            return None
        boards = tuple(
            BoardSummary(**board | {"rows": tuple(Entry(**row) for row in board["rows"])})
            for board in content.pop("boards")
        )
        claims = tuple(ClaimSummary(**claim) for claim in content.pop("claims"))
        warnings = tuple(content.pop("warnings"))
        return Summary(**content, warnings=warnings, boards=boards, claims=claims)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(
            f"{path}: no summary of a board ({type(error).__name__}: {error}); "
            f"`python -m bench leaderboard {path.parent.name.partition('@')[0]}` writes it again"
        ) from error


def _board(board: Board, section: Section) -> BoardSummary:
    used = board.data_of(section).used
    return BoardSummary(
        name=section.name,
        kind=section.kind,
        title=section.title,
        data=str(used.get("variant") or used.get("name") or ""),
        score=measures.heading(section.ranked_by),
        rows=tuple(
            _entry(section, row, anchor)
            for row, anchor in zip(section.rows, row_anchors(section), strict=True)
            if row.headline is not None
        ),
    )


def row_anchors(section: Section) -> tuple[str, ...]:
    """The anchor of each row on the suite's page: `r-SCENARIO-LABEL`, with dashes for other characters."""
    found: Counter[str] = Counter()
    anchors = []
    for row in section.rows:
        name = f"r-{section.name}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', row.label).strip('-')}"
        found[name] += 1
        anchors.append(name if found[name] == 1 else f"{name}-{found[name]}")
    return tuple(anchors)


def _entry(section: Section, row: Row, anchor: str) -> Entry:
    gap_low, gap_high = _gap_interval(section, row)
    return Entry(
        label=row.label,
        method=row.method,
        family=row.family,
        paper=row.paper,
        year=row.year,
        role=row.role,
        rank=row.rank,
        rank_low=row.rank_low,
        rank_high=row.rank_high,
        score=wording.score(section, row),
        gap_closed=row.gap_closed,
        gap_low=gap_low,
        gap_high=gap_high,
        seconds=row.costs.seconds if row.costs else None,
        anchor=anchor,
    )


def _gap_interval(section: Section, row: Row) -> tuple[float | None, float | None]:
    means = {r.label: r.headline.mean for r in section.rows if r.headline is not None}
    lower, upper, found = means.get(section.lower), means.get(section.upper), row.headline
    if found is None or row.gap_closed is None or found.low is None or found.high is None:
        return None, None
    if lower is None or upper is None or upper == lower:
        return None, None
    ends = sorted(row.gap_closed + (end - found.mean) / (upper - lower) for end in (found.low, found.high))
    return ends[0], ends[1]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4) + 0.0
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
