"""Several boards in two tables: how many claims of each suite are decided, and how each paper fares.

A paper may fail here because its claim is narrow, or because this set-up is not its own. Boards that are as near to a
paper's own setting as the machine allows say so (`setting_of` of a scenario), and tell the two apart.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.leaderboard import wording
from bench.leaderboard.board import Board, Verdict
from bench.leaderboard.markdown import table
from bench.verdicts.looks import LONG
from bench.verdicts.verdict import Answer

NO_LOOK, NEVER = "no look yet", "more"
"""What an undecided claim is filed under whose seeds are not known, or are more than any look has."""
SEEDS = (
    "Behind `undecided`: the look at which 80 % of such claims would be decided, were the mean and deviation of now "
    "the true ones."
)
HOURS = (
    "Hours are those of rows that had less than their paper's effort, at that effort and at the seeds of a first look, "
    "if time grows as the effort does."
)


@dataclass(frozen=True)
class Tally:
    """The answers to the claims of one board."""

    suite: str
    claims: int
    answers: dict[Answer, int]
    seeds: dict[str, int]
    """Number of seeds of a look, `more` or `no look yet` -> the undecided claims that would take so many."""


@dataclass(frozen=True)
class Paper:
    """The answers to the claims of one paper, over all boards."""

    paper: str
    rows: tuple[str, ...]
    """Labels of the rows that are said to be better."""
    suites: tuple[str, ...]
    own: dict[Answer, int]
    """On boards near the paper's own setting."""
    here: dict[Answer, int]
    """On all others."""
    stands: str
    """What both say of it."""
    hours: float | None
    """What rows with less than their paper's effort would take at it, at the seeds of a first look; None where no claim
    declares an effort that a row lacks."""


def tallies(boards: Mapping[str, Board]) -> tuple[Tally, ...]:
    """One for each board, by the name of its suite."""
    return tuple(_tally(name, board) for name, board in boards.items())


def papers(boards: Mapping[str, Board]) -> tuple[Paper, ...]:
    """One for each paper that a claim cites, those with failing claims first."""
    found: dict[str, list[tuple[str, Verdict]]] = {}
    for name, board in boards.items():
        for verdict in board.claims:
            if wording.paper_url(verdict.paper):
                found.setdefault(verdict.paper, []).append((name, verdict))
    read = [_paper(paper, claims) for paper, claims in found.items()]
    return tuple(sorted(read, key=lambda p: (-p.here.get("fails", 0), p.paper)))


def stands(own: Mapping[Answer, int], here: Mapping[Answer, int]) -> str:
    """What the answers near a paper's own setting, and those of all other boards, say of it.

    Args:
        own: answer -> how many claims; {} where its setting was not tried.
        here: as `own`.
    """
    there = _one_of(own)
    if not own:
        return f"{_one_of(here)} here, own setting not tried"
    if there == "fails":
        return f"not reproduced near its setting (ours or theirs: unknown), {_one_of(here)} here"
    if there != "holds":
        return f"{there} near its setting, {_one_of(here)} here"
    limit = " (a limit found)" if here.get("fails") else ""
    return f"reproduced near its setting, {_one_of(here)} here{limit}"


def lines(boards: Mapping[str, Board]) -> Iterator[str]:
    """Both tables in Markdown."""
    yield from _counts(tallies(boards))
    yield ""
    yield from _standing(papers(boards))


def as_data(boards: Mapping[str, Board]) -> dict[str, Any]:
    """Both tables as JSON-ready data."""
    return {
        "suites": [dataclasses.asdict(tally) for tally in tallies(boards)],
        "papers": [dataclasses.asdict(paper) for paper in papers(boards)],
    }


def _tally(name: str, board: Board) -> Tally:
    undecided = [v for v in board.claims if v.answer == "undecided"]
    count = Counter(_filed(v) for v in undecided)
    return Tally(name, len(board.claims), _answers(board.claims), {key: count[key] for key in _columns() if count[key]})


def _columns() -> tuple[str, ...]:
    return (*map(str, LONG[1:]), NEVER, NO_LOOK)


def _filed(verdict: Verdict) -> str:
    """The look that would decide an undecided claim."""
    if not verdict.seeds:
        return NO_LOOK
    needed = verdict.seeds_needed
    return next((str(n) for n in LONG[1:] if needed is not None and verdict.seeds < n and needed <= n), NEVER)


def _answers(claims: Iterable[Verdict]) -> dict[Answer, int]:
    count = Counter(v.answer for v in claims)
    return {answer: count[answer] for answer in wording.ANSWERS if count[answer]}


def _paper(paper: str, claims: Sequence[tuple[str, Verdict]]) -> Paper:
    verdicts = [verdict for _, verdict in claims]
    own = _answers(v for v in verdicts if v.own_setting)
    here = _answers(v for v in verdicts if not v.own_setting)
    hours = {(name, v.scenario, v.better): v.hours for name, v in claims if v.hours is not None}
    return Paper(
        paper=paper,
        rows=tuple(dict.fromkeys(v.better for v in verdicts)),
        suites=tuple(dict.fromkeys(name for name, _ in claims)),
        own=own,
        here=here,
        stands=stands(own, here),
        hours=sum(hours.values()) if hours else None,
    )


def _one_of(answers: Mapping[Answer, int]) -> str:
    """The answers that decide, in a word or two; else the most frequent other one."""
    if not answers:
        return "no claim"
    decided = [answer for answer in ("holds", "fails", "equal") if answers.get(answer)]
    return " and ".join(decided) or max(answers, key=lambda answer: answers[answer])


def _counts(found: Sequence[Tally]) -> list[str]:
    total = Tally(
        "all",
        sum(t.claims for t in found),
        {a: n for a in wording.ANSWERS if (n := sum(t.answers.get(a, 0) for t in found))},
        {key: n for key in _columns() if (n := sum(t.seeds.get(key, 0) for t in found))},
    )
    answers: list[Answer] = [a for a in wording.ANSWERS if a != "undecided"]
    answers.append("undecided")  # next to the seeds that it would take
    head = ["suite", "claims", *answers, *(f"at {key}" if key.isdigit() else key for key in _columns())]
    body = [
        [
            f"`{t.suite}`",
            str(t.claims),
            *(str(t.answers.get(a, 0)) for a in answers),
            *(str(t.seeds.get(key, 0)) for key in _columns()),
        ]
        for t in (*found, total)
    ]
    return [
        *table(head, body, "l" + "r" * (len(head) - 1)).split("\n"),
        "",
        SEEDS,
    ]


def _standing(found: Sequence[Paper]) -> list[str]:
    head = ["paper", "rows", "near its own setting", "here", "stands", "hours at its effort"]
    body = [
        [p.paper, ", ".join(f"`{row}`" for row in p.rows), _told(p.own), _told(p.here), p.stands, _hours(p.hours)]
        for p in found
    ]
    return [*table(head, body, "lllllr").split("\n"), "", HOURS]


def _told(answers: Mapping[Answer, int]) -> str:
    return ", ".join(f"{count} {answer}" for answer, count in answers.items()) or "–"


def _hours(hours: float | None) -> str:
    return "–" if hours is None else f"{hours:.1f}" if hours >= 0.05 else "< 0.1"
