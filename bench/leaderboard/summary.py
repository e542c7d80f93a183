"""What pages over several suites need of a board: its rows with rank, score, cost and origin, and its claims.

`write` puts it beside the board as `<profile>.summary.json`. The front page and the methods' pages read these files
alone: they are some kilobytes a board, so it costs milliseconds, while building all boards from their records costs
half a minute.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.leaderboard import measures, wording
from bench.leaderboard.board import Board, Origin, Row, Section, Verdict

ENDING = ".summary.json"
METHODS = "methods"
"""The folder of methods' pages in a results folder."""
FORMAT = 2
"""Files of another format are not read."""


@dataclass(frozen=True)
class Entry:
    """A row."""

    label: str
    method: str
    summary: str
    """First line of the method's description."""
    family: str
    paper: str | None
    year: int | None
    role: str | None
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    score: str
    """The headline with its interval, as boards write it; the status of a row without one."""
    mean: float | None
    gap_closed: float | None
    gap_low: float | None
    gap_high: float | None
    """The score's own interval on the scale of the gap; the two references are taken as exact."""
    above: str
    """The difference from the row above, as boards write it, and that row; "" where there is none."""
    seconds: float | None
    peak_memory_mb: float | None
    gflops: float | None
    samples: float | None
    anchor: str
    """Of the row on the suite's page."""
    status: str
    reasons: tuple[str, ...]
    marks: tuple[str, ...]
    params: dict[str, Any]
    """As they are given; of a row with a search those that were chosen stand on the suite's page."""
    origins: tuple[Origin, ...]


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
    better: str
    worse: str
    answer: str
    difference: str
    """What was compared and the difference with its interval, as boards write them; "" before the first look."""
    needed: str
    seeds: int
    remark: str


@dataclass(frozen=True)
class Summary:
    """A suite at one profile."""

    suite: str
    run: str
    """What `bench run` takes for the suite."""
    title: str
    profile: str
    place: str
    """Suite, stand-ins and profile: no other board of a results folder has the same."""
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
        run=board.run,
        title=board.title,
        profile=board.profile,
        place=place(board),
        records=board.records,
        warnings=tuple(wording.stand_ins(board)),
        boards=tuple(_board(board, section) for section in board.sections),
        claims=tuple(_claim(board, v) for v in board.claims),
    )


def place(board: Board) -> str:
    """The name of a board among those of a results folder, as part of an address."""
    stand_ins = sorted({str(use.used["name"]) for use in board.data if use.stand_in_for is not None})
    return "-".join((board.suite, *stand_ins, board.profile))


def _claim(board: Board, v: Verdict) -> ClaimSummary:
    metric = board.metric_of(v)
    return ClaimSummary(
        id=v.id,
        paper=v.paper,
        says=v.says,
        scenario=v.scenario,
        better=v.better,
        worse=v.worse,
        answer=v.answer,
        difference=f"{measures.heading(metric)} {wording.against(metric, v.difference)}" if v.difference else "",
        needed=wording.needed(v, metric),
        seeds=v.seeds,
        remark=wording.remark(v),
    )


def render(board: Board) -> str:
    """The file."""
    summary = summarize(board)
    content = _rounded(asdict(summary))
    for told, one in zip(content["boards"], summary.boards, strict=True):
        for row, entry in zip(told["rows"], one.rows, strict=True):
            row |= {"params": entry.params, "origins": [list(astuple(origin)) for origin in entry.origins]}
    return _written({"format": FORMAT} | content) + "\n"


def _written(value: Any, indent: str = "\n") -> str:
    """JSON in which each row, claim and entry of a table has lines of its own, and a table without tables one line."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(part, dict | list) and part for part in parts):
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {_written(part, inner)}" for key, part in value.items()]
        return f"{{{inner}{f',{inner}'.join(lines)}{indent}}}"
    return f"[{inner}{f',{inner}'.join(_written(part, inner) for part in value)}{indent}]"


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
            BoardSummary(**board | {"rows": tuple(map(_read_entry, board["rows"]))}) for board in content.pop("boards")
        )
        claims = tuple(ClaimSummary(**claim) for claim in content.pop("claims"))
        warnings = tuple(content.pop("warnings"))
        return Summary(**content, warnings=warnings, boards=boards, claims=claims)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(
            f"{path}: no summary of a board ({type(error).__name__}: {error}); "
            f"`python -m bench leaderboard {path.parent.name.partition('@')[0]}` writes it again"
        ) from error


def _read_entry(row: dict[str, Any]) -> Entry:
    lists = {name: tuple(row[name]) for name in ("reasons", "marks")}
    return Entry(**row | lists | {"origins": tuple(Origin(*origin) for origin in row["origins"])})


def _board(board: Board, section: Section) -> BoardSummary:
    used = board.data_of(section).used
    return BoardSummary(
        name=section.name,
        kind=section.kind,
        title=section.title,
        data=str(used.get("variant") or used.get("name") or ""),
        score=measures.heading(section.ranked_by),
        rows=tuple(
            _entry(section, row, anchor) for row, anchor in zip(section.rows, row_anchors(section), strict=True)
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


def cells_anchor(board: str, row: str) -> str:
    """Where a row's cells stand on its method's page: the board's `place`, and the row's anchor on the board."""
    return f"{board}-{row}"


def method_address(board: str, method: str, row: str) -> str:
    """The address of a row's cells from the suite's page."""
    return f"../{METHODS}/{method}.html#{cells_anchor(board, row)}"


def _entry(section: Section, row: Row, anchor: str) -> Entry:
    gap_low, gap_high = _gap_interval(section, row)
    return Entry(
        label=row.label,
        method=row.method,
        summary=row.summary,
        family=row.family,
        paper=row.paper,
        year=row.year,
        role=row.role,
        rank=row.rank,
        rank_low=row.rank_low,
        rank_high=row.rank_high,
        score=wording.score(section, row),
        mean=row.headline.mean if row.headline else None,
        gap_closed=row.gap_closed,
        gap_low=gap_low,
        gap_high=gap_high,
        above=_above(section, row),
        seconds=row.costs.seconds if row.costs else None,
        peak_memory_mb=row.costs.peak_memory_mb if row.costs else None,
        gflops=row.costs.gflops if row.costs else None,
        samples=row.costs.samples if row.costs else None,
        anchor=anchor,
        status=row.status,
        reasons=row.reasons,
        marks=row.marks,
        params=row.params,
        origins=row.origins,
    )


def _above(section: Section, row: Row) -> str:
    if row.above is None:
        return ""
    p = f", p {measures.p_value(row.above.p)}" if row.above.p is not None else ""
    return f"{wording.against(section.ranked_by, row.above)} vs {row.above.other}{p}"


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
