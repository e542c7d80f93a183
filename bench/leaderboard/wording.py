"""Sentences that every form of a board says alike."""

from __future__ import annotations

from bench.leaderboard import measures
from bench.leaderboard.board import Board, DataUse, Difference, Row, Section, Verdict

ROLES = {"lower": "lower reference", "upper": "upper reference", "reference": "reference"}

HOW_TO_READ = (
    (
        "Intervals",
        (
            "are 95 %, over seeds and test examples. Test examples are resampled, the same ones for all seeds "
            "and both rows; for the seeds, which are few, stands Student's t with one degree of freedom less "
            "than there are seeds. Where no answers to single examples were kept, it is the (paired) t interval "
            "over seeds. Of one seed it covers the test examples only."
        ),
    ),
    (
        "Vs the row above",
        (
            "is the difference to the row above, positive where this row is better, with its interval and the "
            "two-sided p-value of no difference."
        ),
    ),
    (
        "Gap closed",
        (
            "is (score - lower reference) / (upper - lower), of means over the seeds that all three have; it is "
            "left out where the references lie within one point of each other."
        ),
    ),
    (
        "Rank",
        (
            "is that of the mean, in brackets its 95 % interval; first is the share of resamples in which the "
            "row is the best, seeds and examples being drawn for all rows at once. References are not ranked."
        ),
    ),
    (
        "A claim",
        (
            "holds if the interval of the difference lies above what is needed, and fails if it lies below; "
            "with one seed it stays undecided. Of forty comparisons of equals, one comes out as holding."
        ),
    ),
    (
        "Costs",
        (
            "are means over seeds of what the method itself did: wall-clock seconds, growth of memory at its "
            "peak, operations of convolutions and linear layers (forward and backward), images through the "
            "given models."
        ),
    ),
)


MORE_COSTS = {
    "synthesis_seconds": ("synth. s", "seconds of making images"),
    "distillation_seconds": ("distill. s", "seconds of the student's learning"),
    "images_kept": ("kept", "images held beyond the step that made them"),
}
"""Costs that only some scenarios tell -> their heading, and what it means."""
READ_MORE_COSTS = (
    "Synth. and distill.",
    (
        "are the seconds of making images and of the student's learning; together they are the method's seconds. "
        "Kept are the images held beyond the step that made them, at the most."
    ),
)
READ_CURVES = (
    "Curves",
    (
        "show means over seeds on test examples while the student learned, over the share of its budget (updates "
        "or seconds) that was spent. No method saw them and nothing was chosen by them."
    ),
)
READ_PICTURES = (
    "Pictures",
    "show images that the student was last trained on, of the first seed that has any; they are not chosen.",
)


def how_to_read(board: Board) -> list[tuple[str, str]]:
    """(term, explanation) of what stands on a board."""
    more = [
        (READ_MORE_COSTS, any(more_costs(section) for section in board.sections)),
        (READ_CURVES, any(row.curves for section in board.sections for row in section.rows)),
        (READ_PICTURES, any(row.pictures for section in board.sections for row in section.rows)),
    ]
    return [*HOW_TO_READ, *(entry for entry, there in more if there)]


def more_costs(section: Section) -> list[tuple[str, str, str]]:
    """(attribute of costs, heading, meaning) of those of MORE_COSTS that any row of the scenario has."""
    costs = [row.costs for row in section.rows if row.costs]
    return [(name, *told) for name, told in MORE_COSTS.items() if any(getattr(c, name) is not None for c in costs)]


def data_line(board: Board) -> str:
    """What data the numbers are of, and where there are several, which scenarios stand on each."""
    if not any(use.used for use in board.data):
        return "no records yet"
    if len(board.data) == 1:
        return _identity(board.data[0])
    return "; ".join(f"{_identity(use)} ({', '.join(use.scenarios)})" for use in board.data)


def data_names(board: Board) -> str:
    """The data sets by the names that people use."""
    names = dict.fromkeys(use.used.get("variant") or use.used.get("name") for use in board.data if use.used)
    return ", ".join(filter(None, names)) or "no data yet"


def section_data(board: Board, section: Section) -> str | None:
    """What data a section stands on, where the board has several."""
    if len(board.data) == 1:
        return None
    use = board.data_of(section)
    return f"On {_identity(use)}{f', in place of {use.stand_in_for}' if use.stand_in_for else ''}."


def _identity(use: DataUse) -> str:
    if not use.used:
        return "data unknown: no records yet"
    return f"{use.used.get('variant') or use.used.get('name')}, fingerprint {use.used.get('fingerprint')}"


def stand_ins(board: Board) -> list[str]:
    """A warning for every data set of the suite that was not used itself."""
    told = []
    for use in board.data:
        if use.stand_in_for is not None:
            which = "these numbers" if len(board.data) == 1 else f"the numbers of {', '.join(use.scenarios)}"
            told.append(
                f"STAND-IN DATA: {which} were computed on {use.used.get('name')}, because {use.stand_in_for} could "
                f"not be had. They say nothing about {use.stand_in_for}."
            )
    return told


def direction(section: Section) -> str:
    """The headline and its good direction."""
    return f"{measures.title(section.headline)}, {'higher' if section.higher_is_better else 'lower'} is better"


def score(section: Section, row: Row) -> str:
    """The headline with its interval."""
    if row.headline is None:
        return row.status
    low_high = measures.interval(section.headline, row.headline.low, row.headline.high)
    return f"{measures.number(section.headline, row.headline.mean)} {low_high}".strip()


def against(metric: str, found: Difference | None) -> str:
    """A difference with its interval."""
    if found is None:
        return "–"
    low_high = measures.interval(metric, found.low, found.high, sign=True)
    return f"{measures.number(metric, found.mean, sign=True)} {low_high}".strip()


def rank(row: Row) -> str:
    """The rank and its interval."""
    if row.rank is None:
        return ""
    if row.rank_low is None:
        return str(row.rank)
    return f"{row.rank} ({row.rank_low}–{row.rank_high})"


def needed(verdict: Verdict) -> str:
    """What a claim asks of the difference."""
    least = "0" if verdict.margin == 0 else measures.number(verdict.metric, verdict.margin, sign=True)
    return f"> {least}" if verdict.times == 1 else f"> {least} against {verdict.times:g} times"


def troubles(section: Section) -> list[tuple[str, str]]:
    """(row, reason) for all that failed, was skipped or is missing."""
    return [(row.label, reason) for row in section.rows for reason in row.reasons]


def provenance(board: Board) -> list[tuple[str, str]]:
    """(what, value) of where the numbers come from."""
    p = board.provenance
    commits = ", ".join(p.commits) + (" and changes that were not committed" if p.dirty else "")
    days = p.first if p.first == p.last else f"{p.first} to {p.last}"
    facts = [
        ("data", data_line(board)),
        ("records", f"{board.records}, computed {days}" if days else str(board.records)),
        ("code", commits.strip()),
        ("machine", "; ".join(p.machines)),
        ("device", "; ".join(p.devices)),
        ("versions", ", ".join(f"{package} {' and '.join(found)}" for package, found in p.versions.items())),
    ]
    return [(what, value) for what, value in facts if value]


def paper_url(paper: str | None) -> str | None:
    """The address of an arXiv citation."""
    if paper is None or not paper.startswith("arXiv:"):
        return None
    return f"https://arxiv.org/abs/{paper.removeprefix('arXiv:').split()[0]}"
