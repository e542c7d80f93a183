"""Sentences that every form of a board says alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from bench.leaderboard import measures
from bench.leaderboard.board import Board, DataUse, Difference, Earlier, Estimate, Row, Section, Verdict
from bench.metrics.metric import Cost, Metric
from bench.verdicts.multiplicity import told
from bench.verdicts.verdict import BOTH_SIDES, Answer


class Ranked(Protocol):
    """What has a rank: a row, or its summary."""

    @property
    def rank(self) -> int | None:
        """None of what is not ranked."""

    @property
    def rank_low(self) -> int | None:
        """The better end of its interval."""

    @property
    def rank_high(self) -> int | None:
        """The worse end."""


ROLES = {
    "lower": "lower reference",
    "upper": "upper reference",
    "reference": "reference",
    "control": "control",
    "unranked": "not ranked",
}
NOTICED = {
    "code": "returns code of unknown size",
    "larger": "larger than the board's network",
    "given": "returns a network it was given",
}
"""What is noticed of a result (`bench.running.noticing`), in words."""
CHOOSY = "skips some of its seeds"
OVERDUE = "over 3 times the processor seconds of the median row"


def more_costs(section: Section) -> list[Cost]:
    """The scenario's costs that have a column of their own and that any row has."""
    costs = [row.costs for row in section.rows if row.costs]
    return [cost for cost in section.costs if cost.heading and any(cost.name in c.more for c in costs)]


def more_metrics(section: Section) -> list[Metric]:
    """The scenario's metrics that stand in the table itself and that any row has; the headline has its own column."""
    return [metric for metric in section.measured() if metric.in_table and metric.name != section.headline]


def more_heading(section: Section, metric: Metric) -> str:
    """The heading of such a metric; " / retrained" where any row has its floor."""
    floor = " / retrained" if any(metric.floor in row.metrics for row in section.rows) else ""
    return measures.heading(metric) + floor


def more_value(row: Row, metric: Metric) -> str:
    """Its value; after the slash its floor, where it has one."""
    value, floor = row.metrics.get(metric.name), row.metrics.get(metric.floor)
    shown = measures.number(metric, value)
    return shown if value is None or floor is None else f"{shown} / {measures.number(metric, floor)}"


def data_facts(board: Board) -> list[tuple[str, str]]:
    """("data", which data set) of each set that the board stands on, with its scenarios where there are several."""
    if not any(use.used for use in board.data):
        return [("data", "no records yet")]
    if len(board.data) == 1:
        return [("data", _identity(board.data[0]))]
    scenarios: dict[str, list[str]] = {}
    for use in board.data:
        scenarios.setdefault(_identity(use), []).extend(use.scenarios)
    return [("data", f"{identity}: {', '.join(names)}") for identity, names in scenarios.items()]


def data_names(board: Board) -> str:
    """The data sets by the names that people use."""
    names = dict.fromkeys(use.used.get("variant") or use.used.get("name") for use in board.data if use.used)
    return ", ".join(filter(None, names)) or "no data yet"


def section_data(board: Board, section: Section) -> str | None:
    """The data of a section, where the board has several sets."""
    if len(board.data) == 1:
        return None
    use = board.data_of(section)
    if not use.used:
        return "It has no records yet, so its data set is not known."
    return f"Data: {_name(use)}{f', in place of {use.stand_in_for}' if use.stand_in_for else ''}."


def _identity(use: DataUse) -> str:
    if not use.used:
        return "not known (no records yet)"
    return f"{_name(use)}, fingerprint {use.used.get('fingerprint')}"


def _name(use: DataUse) -> str:
    return str(use.used.get("variant") or use.used.get("name"))


def stand_ins(board: Board) -> list[str]:
    """A warning for every data set of the suite that was not used itself."""
    warnings = []
    for use in board.data:
        if use.stand_in_for is not None:
            which = "these numbers" if len(board.data) == 1 else f"the numbers of {', '.join(use.scenarios)}"
            warnings.append(
                f"STAND-IN DATA: {which} come from {use.used.get('name')}, because {use.stand_in_for} was not "
                f"available. They say nothing about {use.stand_in_for}."
            )
    return warnings


def direction(section: Section) -> str:
    """The headline and its good direction."""
    headline = section.ranked_by
    return f"{measures.title(headline)}, {'higher' if headline.higher_is_better else 'lower'} is better"


def score(section: Section, row: Row) -> str:
    """The headline with its interval."""
    if row.headline is None:
        return row.status
    low_high = measures.interval(section.ranked_by, row.headline.low, row.headline.high)
    return f"{measures.number(section.ranked_by, row.headline.mean)} {low_high}".strip()


def against(metric: Metric, found: Difference | Estimate | None) -> str:
    """A difference with its interval."""
    if found is None:
        return "–"
    low_high = measures.interval(metric, found.low, found.high, sign=True)
    return f"{measures.number(metric, found.mean, sign=True)} {low_high}".strip()


def rank(row: Ranked) -> str:
    """The rank and its interval."""
    if row.rank is None:
        return ""
    if row.rank_low is None:
        return str(row.rank)
    return f"{row.rank} ({row.rank_low}–{row.rank_high})"


def needed(verdict: Verdict, metric: Metric) -> str:
    """What a claim asks of the difference in its metric."""
    least = "0" if verdict.margin == 0 else measures.number(metric, verdict.margin, sign=True)
    return f"> {least}" if verdict.times == 1 else f"> {least} against {verdict.times:g} times"


ANSWERS: tuple[Answer, ...] = ("holds", "fails", "equal", "undecided", "not testable here", "under-run")


SAID: dict[str, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "fails": ("fails", "fail"),
    "equal": ("is equal", "are equal"),
    "undecided": ("is undecided", "are undecided"),
    "not testable here": ("is not testable here", "are not testable here"),
    "under-run": ("is under-run", "are under-run"),
}
"""An answer, said of one claim and of several."""
MEANS: dict[str, str] = {
    "holds": "The whole interval lies above what the claim needs.",
    "fails": "The whole interval lies below what the claim needs.",
    "equal": "The whole interval lies within the range that the claim calls equal.",
    "undecided": "The interval reaches to both sides, or too few seeds have run.",
    "not testable here": "The set-up lacks what the claim requires.",
    "under-run": "The claim would fail, but the method got less than the declared share of the paper's effort.",
}
"""What an answer means."""


def answers(count: Mapping[str, int]) -> str:
    """Such as "12 claims: 5 hold, 3 fail, 4 are undecided"."""
    total = sum(count.values())
    if not total:
        return "No suite here makes a claim."
    parts = [f"{count[a]} {SAID[a][count[a] > 1]}" for a in ANSWERS if count.get(a)]
    return f"{total} claim{'s' * (total > 1)}: {', '.join(parts)}."


def counts(board: Board) -> str:
    """How many claims have each answer, and how many of the judged ones may be wrong."""
    judged = sum(v.p is not None for v in board.claims)
    wrong = f" {told(judged, board.schedule)}" if judged else ""
    return f"{answers(Counter(v.answer for v in board.claims))}{wrong}"


def looks(board: Board) -> str:
    """At how many seeds the board's claims are judged."""
    at = [f"{look.n}{' (added later)' if look.added else ''}" for look in board.schedule.looks]
    listed = ", ".join(at[:-1]) + " and " * (len(at) > 1) + at[-1]
    return (
        f"The suite judges its claims after {listed} seeds. Each verdict comes from the last of these looks that is "
        "complete."
    )


def grouped(board: Board) -> list[tuple[Answer, list[tuple[int, Verdict]]]]:
    """Answer -> its claims, each with its number in the suite, in the order of `ANSWERS`."""
    numbered = list(enumerate(board.claims, 1))
    found = ((answer, [pair for pair in numbered if pair[1].answer == answer]) for answer in ANSWERS)
    return [(answer, pairs) for answer, pairs in found if pairs]


def was(board: Board, earlier: Earlier) -> str:
    """An earlier answer, its numbers, what replaced it, and on what it hung."""
    metric = board.metric_named(earlier.scenario, earlier.metric)
    found = None if earlier.mean is None else Estimate(earlier.mean, earlier.low, earlier.high)
    numbers = f", {measures.heading(metric)} {against(metric, found)}" if found else ""
    origin = ", ".join(filter(None, (f"settings {earlier.hash}", f"commit {earlier.commit}", earlier.day)))
    return f"{earlier.answer} at {earlier.seeds} seeds{numbers}; {earlier.why} ({origin})"


def remarks(verdict: Verdict) -> list[str]:
    """Why a claim has no other answer, and what else has to be known; [] where the interval says it all."""
    reasons = [] if verdict.reason == BOTH_SIDES else [verdict.reason]
    return list(filter(None, (*reasons, *verdict.notes)))


def remark(verdict: Verdict) -> str:
    """These in one line."""
    return "; ".join(remarks(verdict))


def troubles(section: Section) -> list[tuple[str, list[str]]]:
    """(reason, labels of rows) of all that failed, was skipped or is missing."""
    found: dict[str, list[str]] = {}
    for row in section.rows:
        for reason in row.reasons:
            found.setdefault(reason, []).append(row.label)
    return list(found.items())


def provenance(board: Board) -> list[tuple[str, str]]:
    """(what, value) of where the numbers come from."""
    p = board.provenance
    commits = ", ".join(p.commits) + (" and changes that were not committed" if p.dirty else "")
    days = p.first if p.first == p.last else f"{p.first} to {p.last}"
    facts = [
        *data_facts(board),
        ("records", f"{board.records}, computed {days}" if days else str(board.records)),
        ("code", commits.strip()),
        ("environment", "; ".join(p.environments)),
        ("machine", "; ".join(p.machines)),
        ("device", "; ".join(p.devices)),
        ("versions", ", ".join(f"{package} {' and '.join(found)}" for package, found in p.versions.items())),
    ]
    return [(what, value) for what, value in facts if value]


def paper_url(paper: str | None) -> str | None:
    """The address of an arXiv citation."""
    cited = re.match(r"arXiv:([\w.-]+(?:/\w+)?)(?:\s|$)", paper or "", flags=re.ASCII)
    return f"https://arxiv.org/abs/{cited[1]}" if cited else None
