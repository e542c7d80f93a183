"""The front of a results folder, from the summaries beside its boards.

It opens no records. A board is built from hundreds of records and resampled, which costs seconds; its summary
(`bench.leaderboard.summary`) is written at that time, and the front costs milliseconds after every run of any suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.leaderboard import markdown, measures, wording
from bench.leaderboard.page import template
from bench.leaderboard.summary import ENDING, BoardSummary, ClaimSummary, Entry, Summary, read

MARK = "<!-- bench leaderboard writes this file -->"
"""The first line of `README.md`, and the line after the doctype of pages. Other files are left alone."""
LATE = ("smoke",)
"""Profiles that are shown only where a suite has no other."""
EARLY = ("gpu", "cpu")
"""Profiles that are shown before others, the first one first."""


@dataclass(frozen=True)
class Suite:
    """One folder of results, at the profile that the front shows."""

    folder: str
    summary: Summary
    others: tuple[Summary, ...]
    """At its other profiles that have a board."""

    @property
    def page(self) -> str:
        """The address of its page, from the front."""
        return f"{self.folder}/{self.summary.profile}.html"

    @property
    def shown(self) -> tuple[Summary, ...]:
        """At the profiles that methods' pages show: all but the late ones, unless there is no other."""
        return (self.summary, *(other for other in self.others if other.profile not in LATE))

    @property
    def answers(self) -> list[Answer]:
        """One for each kind of scenario."""
        return answers(self.summary)


@dataclass(frozen=True)
class Answer:
    """The one-sentence answer of a suite's boards of one kind: `label`, then `text`."""

    kind: str
    label: str
    """"" where no row is ranked."""
    text: str
    anchor: str
    """Of the row that the sentence quotes."""


@dataclass(frozen=True)
class Place:
    """One cell of a heat map."""

    entry: Entry
    link: str
    about: str

    @property
    def spread(self) -> int | None:
        """Half the width of the interval, in points of the gap."""
        e = self.entry
        return None if e.gap_low is None or e.gap_high is None else round(50 * (e.gap_high - e.gap_low))

    @property
    def shade(self) -> str:
        """A style: green for a gap that is closed, red for a row below the lower reference."""
        gap = self.entry.gap_closed or 0.0
        colour = "heat" if gap >= 0 else "cold"
        return f"background: rgba(var(--{colour}), {min(abs(gap), 1.0) * 0.55:.2f})"


@dataclass(frozen=True)
class HeatMap:
    """Method x scenario, of all boards of one kind."""

    kind: str
    columns: tuple[tuple[str, BoardSummary], ...]
    """(page, board)."""
    suites: tuple[str, ...]
    """The suite of each column."""
    rows: tuple[tuple[Entry, tuple[Place | None, ...]], ...]
    """(any of the row's entries, its cells), the greatest mean gap first."""


@dataclass(frozen=True)
class Front:
    """All that the front shows."""

    suites: tuple[Suite, ...]
    heat_maps: tuple[HeatMap, ...]
    missing: tuple[str, ...]
    """Why folders with records are not shown."""

    @property
    def methods(self) -> list[Entry]:
        """Any entry of each method that has a row at any profile, by family and name."""
        found: dict[str, Entry] = {}
        for suite in self.suites:
            for summary in (suite.summary, *suite.others):
                for board in summary.boards:
                    for entry in board.rows:
                        found.setdefault(entry.method, entry)
        return sorted(found.values(), key=lambda entry: (entry.family, entry.method))

    @property
    def claims(self) -> list[tuple[Suite, ClaimSummary]]:
        """All claims, by paper."""
        found = [(suite, claim) for suite in self.suites for claim in suite.summary.claims]
        return sorted(found, key=lambda pair: (pair[1].paper, pair[0].folder))

    @property
    def counts(self) -> dict[str, int]:
        """Answer -> number of claims of all suites."""
        return count_answers(claim.answer for _, claim in self.claims)


def collect(results: Path) -> Front:
    """Read all summaries of a results folder, one profile a suite."""
    suites, missing = [], []
    for folder in sorted(path for path in results.glob("*") if path.is_dir()):
        found, faults = _summaries(folder)
        missing += faults
        if not found:
            if any(folder.glob("*.jsonl")) and not faults:
                name = folder.name.partition("@")[0]
                missing.append(f"{folder.name}: no summary of a board; `python -m bench leaderboard {name}` writes it")
            continue
        first, *others = sorted(found, key=lambda summary: _order(summary.profile))
        suites.append(Suite(folder.name, first, tuple(others)))
    return Front(tuple(suites), tuple(_heat_maps(suites)), tuple(missing))


def _summaries(folder: Path) -> tuple[list[Summary], list[str]]:
    found, faults = [], []
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            summary = read(path)
        except BenchError as error:
            faults.append(str(error).replace(str(path), f"{folder.name}/{path.name}"))
            continue
        if summary is not None:
            found.append(summary)
    return found, faults


def _order(profile: str) -> tuple[int, str]:
    if profile in EARLY:
        return EARLY.index(profile), profile
    return len(EARLY) + (profile in LATE), profile


def answers(summary: Summary) -> list[Answer]:
    """One for each kind of scenario, in the order of a suite's boards."""
    kinds = dict.fromkeys(board.kind for board in summary.boards)
    return [answer(kind, [board for board in summary.boards if board.kind == kind]) for kind in kinds]


def answer(kind: str, boards: Sequence[BoardSummary]) -> Answer:
    """Which row is first on most of these boards, how clearly, and with what score and cost on one of them."""
    led = [(board, leader) for board in boards if (leader := board.leader) is not None]
    if not led:
        return Answer(kind, "", f"No {kind} row is ranked yet.", "")
    firsts: dict[str, list[tuple[BoardSummary, Entry]]] = {}
    for board, leader in led:
        firsts.setdefault(leader.label, []).append((board, leader))

    def strength(label: str) -> tuple[int, int, float]:
        own = firsts[label]
        gaps = [entry.gap_closed or 0.0 for _, entry in own]
        return len(own), sum(board.clear for board, _ in own), sum(gaps) / len(gaps)

    label = max(sorted(firsts), key=strength)
    own = firsts[label]
    clear = [pair for pair in own if pair[0].clear]
    board, entry = (clear or own)[0]
    if len(boards) == 1:
        where = f"is first on the {kind} board"
        lead = "clearly" if clear else f"but {len(board.tied)} rows may be"
        lead = "as its only ranked row" if board.may_be_first == "only row" else lead
    else:
        where = f"is first on {len(own)} of {len(boards)} {kind} boards"
        lead = f"clearly on {len(clear)}" if clear else "nowhere clearly"
    cost = "" if entry.seconds is None else f" in {measures.quantity(entry.seconds)} s"
    return Answer(kind, label, f"{where}, {lead}. On {board.name}: {entry.score} ({board.score}){cost}.", entry.anchor)


def _heat_maps(suites: Sequence[Suite]) -> list[HeatMap]:
    boards: dict[str, list[tuple[Suite, BoardSummary]]] = {}
    for suite in suites:
        for board in suite.summary.boards:
            if any(_is_shown(row) for row in board.rows):
                boards.setdefault(board.kind, []).append((suite, board))
    return [_heat_map(kind, found) for kind, found in sorted(boards.items())]


def _is_shown(row: Entry) -> bool:
    return row.role is None and row.gap_closed is not None


def _heat_map(kind: str, boards: Sequence[tuple[Suite, BoardSummary]]) -> HeatMap:
    cells: dict[str, dict[int, Place]] = {}
    for number, (suite, board) in enumerate(boards):
        for row in filter(_is_shown, board.rows):
            place = Place(row, f"{suite.page}#{row.anchor}", _about(suite, board, row))
            cells.setdefault(row.label, {})[number] = place

    def mean(label: str) -> float:
        gaps = [min(max(place.entry.gap_closed or 0.0, -1.0), 1.0) for place in cells[label].values()]
        return sum(gaps) / len(gaps)

    rows = [
        (next(iter(found.values())).entry, tuple(found.get(number) for number in range(len(boards))))
        for label in sorted(cells, key=lambda label: (-mean(label), label))
        for found in (cells[label],)
    ]
    columns = tuple((suite.page, board) for suite, board in boards)
    return HeatMap(kind, columns, tuple(suite.folder for suite, _ in boards), tuple(rows))


def _about(suite: Suite, board: BoardSummary, row: Entry) -> str:
    """What a cell says on hover."""
    told = f"{row.label} on {suite.folder}/{board.name}: gap closed {measures.percent(row.gap_closed)}"
    if row.gap_low is not None:
        told += f" ({measures.percent(row.gap_low)} to {measures.percent(row.gap_high)})"
    told += f", score {row.score} ({board.score})"
    if row.rank is not None:
        told += f", rank {row.rank}" + (f" ({row.rank_low}–{row.rank_high})" if row.rank_low else "")
    return told + (f", {measures.quantity(row.seconds)} s" if row.seconds is not None else "")


def count_answers(found: Iterable[str]) -> dict[str, int]:
    """Answer -> number, in the order of `wording.ANSWERS`; those that do not occur are left out."""
    count = Counter(found)
    return {name: count[name] for name in wording.ANSWERS if count[name]}


def render_page(front: Front) -> str:
    """`index.html`."""
    return template("front.html.jinja").render(front=front, mark=MARK, plural=measures.count)


def render_markdown(front: Front) -> str:
    """`README.md`."""
    parts = [MARK, "# Results", f"{wording.answers(front.counts)} The [page](index.html) shows the same with a search."]
    parts += [_card(suite) for suite in front.suites]
    if front.claims:
        parts += ["## Paper by paper", _papers(front)]
    if front.missing:
        parts += ["## Not shown", "\n".join(f"- {markdown.plain_text(line)}" for line in front.missing)]
    return "\n\n".join(parts) + "\n"


def _card(suite: Suite) -> str:
    summary, page = suite.summary, f"{suite.folder}/{suite.summary.profile}.md"
    lines = [f"## {markdown.plain_text(summary.title)}", f"[Boards]({page}), [page]({suite.page})."]
    lines[-1] += f" {wording.answers(summary.answers)}"
    lines += [f"> **{markdown.plain_text(warning)}**" for warning in summary.warnings]
    told = [f"- {f'`{a.label}` ' if a.label else ''}{markdown.plain_text(a.text)}" for a in suite.answers]
    return "\n\n".join([*lines, "\n".join(told), markdown.leaders(summary.boards, page)])


def _papers(front: Front) -> str:
    papers: dict[str, list[str]] = {}
    for _, claim in front.claims:
        papers.setdefault(claim.paper, []).append(claim.answer)
    rows = []
    for paper, answers in papers.items():
        count = count_answers(answers)
        numbers = [str(count.get(a, "")) for a in wording.ANSWERS]
        rows.append([markdown.paper_link(paper), str(len(answers)), *numbers])
    return markdown.table(["paper", "claims", *wording.ANSWERS], rows, "l" + "r" * (1 + len(wording.ANSWERS)))
