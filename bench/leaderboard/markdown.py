"""A board in Markdown, as people read it on a forge: who leads, the boards, the claims, and where it all comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.console import plain
from bench.leaderboard import columns, measures, reading, tuned, wording
from bench.leaderboard.board import Board, Row, Section, Verdict
from bench.leaderboard.columns import Column
from bench.leaderboard.summary import BoardSummary, summarize
from bench.metrics.metric import Metric

PAD = 36
"""Cells are padded to the width of their column, but no further than this."""


def render(board: Board) -> str:
    """The whole document."""
    summary = summarize(board)
    parts = [f"# {plain_text(board.title)}", _lead(board)]
    parts += [f"> **{plain_text(warning)}**" for warning in wording.stand_ins(board)]
    parts += [leaders(summary.boards)] if board.sections else []
    parts += [_section(board, section) for section in board.sections]
    parts += [_claims(board), _how_to_read(board), _provenance(board)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lead(board: Board) -> str:
    files = f"[page]({board.profile}.html), [all numbers as CSV]({board.profile}.csv)"
    lead = f"Suite `{board.suite}`, profile `{board.profile}`, on {plain_text(wording.data_names(board))}: {files}."
    return f"{lead} {plain_text(wording.counts(board))}" + (" See [claims](#claims)." if board.claims else "")


def leaders(boards: Sequence[BoardSummary], page: str = "") -> str:
    """Board by board the row that ranks first; boards are sections of the Markdown file `page`."""
    head = ["board", "first", "score", "may be first", "gap closed", "seconds"]
    return table(head, [_leader(one, page) for one in boards], "lllrrr")


def _leader(one: BoardSummary, page: str) -> list[str]:
    link = f"[{plain_text(one.name)}]({page}#{_anchor(one.name)})"
    best = one.leader
    if best is None:
        return [link, "no row is ranked", "", "", "", ""]
    return [
        link,
        _code(best.label),
        f"{best.score} ({plain_text(one.score)})",
        one.may_be_first,
        measures.percent(best.gap_closed),
        measures.quantity(best.seconds),
    ]


def _section(board: Board, section: Section) -> str:
    intro = f"{_opening(section.title)}. " if section.title else ""
    intro += f"*{section.kind}*: {plain_text(section.summary)} Ranked by {plain_text(wording.direction(section))}."
    intro += f" **{plain_text(tuned.caption(section))}**" if section.trials else ""
    data = wording.section_data(board, section)
    intro += f" {plain_text(data)}" if data else ""
    found = columns.main_table(section)
    shown, left_out = found.narrow()
    head = [plain_text(column.heading) for column in shown]
    body = [[_cell(section, row, column, i) for column in shown] for i, row in enumerate(found.rows)]
    align = "".join("l" if column.text else "r" for column in shown)
    parts = [f"## {section.name}", intro, table(head, body, align)]
    rest = [*left_out, *(column.heading for column in columns.further_table(section).columns[1:])]
    marks = columns.marks_of_all(section)
    same = [*(f"{heading} {value}" for heading, value in found.same), *marks]
    told = [f"The same in all rows: {plain_text(', '.join(same))}."] * bool(same)
    columns_stand = "columns stand" if len(rest) > 1 else "column stands"
    told += [f"{len(rest)} more {columns_stand} in the [CSV]({board.profile}.csv)."] * bool(rest)
    told += [f"{_opening(reason)}: {', '.join(map(_code, labels))}" for reason, labels in wording.troubles(section)]
    told += [f"{_opening(note)}." for note in section.notes]
    parts += ["\n".join(f"- {line}" for line in told)] if told else []
    parts += [_chosen(board, section)] if section.trials else []
    return "\n\n".join(parts).strip()


def _cell(section: Section, row: Row, column: Column, i: int) -> str:
    return _name(row, columns.marks_of_all(section)) if column.name == "method" else column.cells[i].full


def _chosen(board: Board, section: Section) -> str:
    """What the trials chose."""
    seeds = tuned.seeds(section)[: columns.NARROW - 3]
    more = len(tuned.seeds(section)) - len(seeds)
    head = ["row", "parameter", "searched in", *(f"seed {seed}" for seed in seeds)]
    body = [
        [_code(label), _code(name), *map(plain_text, (place, *values[: len(seeds)]))]
        for label, name, place, values in tuned.chosen(section)
    ]
    rest = f" {more} more seeds stand in the [CSV]({board.profile}.csv)." if more else ""
    return f"{tuned.TITLE}.{rest}\n\n{table(head, body, 'lll' + 'r' * len(seeds))}"


def _claims(board: Board) -> str:
    if not board.claims:
        return ""
    parts = ["## Claims", f"{plain_text(wording.counts(board))} {plain_text(wording.looks(board))}"]
    for answer, pairs in wording.grouped(board):
        parts += [f"### {answer[0].upper()}{answer[1:]}: {len(pairs)}", wording.MEANS[answer], _verdicts(board, pairs)]
    return "\n\n".join(filter(None, (*parts, _earlier(board))))


def _verdicts(board: Board, pairs: Sequence[tuple[int, Verdict]]) -> str:
    head = ["#", "claim", "rows", "board", "difference", "needed", "seeds", "p", "q", "paper"]
    body = [[str(number), *_claim(v, board.metric_of(v))] for number, v in pairs]
    remarks: dict[str, list[int]] = {}
    for number, v in pairs:
        for remark in wording.remarks(v):
            remarks.setdefault(remark, []).append(number)
    told = []
    for remark, of in remarks.items():
        told.append(f"- Claim{'s' * (len(of) > 1)} {', '.join(map(str, of))}: {plain_text(remark)}")
    return "\n\n".join([table(head, body, "rlllrrrrrl"), *(["\n".join(told)] if told else [])])


def _claim(v: Verdict, metric: Metric) -> list[str]:
    return [
        plain_text(v.says),
        f"{_code(v.better)} over {_code(v.worse)}",
        f"[{v.scenario}](#{_anchor(v.scenario)})",
        f"{_metric(metric)} {wording.against(metric, v.difference)}" if v.difference else "–",
        wording.needed(v, metric),
        str(v.seeds),
        measures.p_value(v.p),
        measures.p_value(v.q),
        paper_link(v.paper),
    ]


def _earlier(board: Board) -> str:
    """Earlier answers to claims, and claims that the suite has dropped, folded away."""
    lines = [f"- {_code(v.id)}: {plain_text(wording.was(board, e))}" for v in board.claims for e in v.earlier]
    lines += [f"- dropped: {plain_text(wording.was(board, e))}" for e in board.dropped]
    return _details("Earlier verdicts, and what replaced them", lines)


def _how_to_read(board: Board) -> str:
    lines = [f"- **{term}** {text}" for term, text in reading.how_to_read(board)]
    return "\n\n".join(("## How to read this", "\n".join(lines)))


def _provenance(board: Board) -> str:
    lines = [f"- {what}: {plain_text(value)}" for what, value in wording.provenance(board)]
    lines += [f"- set aside: {plain_text(note)}" for note in board.set_aside]
    return _details(f"Where these numbers come from: the records in `{board.profile}.jsonl`", lines)


def _details(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<details><summary>{title}</summary>\n\n{chr(10).join(lines)}\n\n</details>"


def _name(row: Row, known: Sequence[str]) -> str:
    name = _paper(row.paper, _code(row.label))
    marks = [wording.ROLES[row.role]] if row.role else []
    marks += ["some seeds failed"] if row.status == "partial" else []
    marks += [mark for mark in row.marks if mark not in known]
    return (f"*{name}*" if row.role else name) + (f" ({', '.join(marks)})" if marks else "")


def _code(text: str) -> str:
    return f"`{text}`"


def paper_link(paper: str) -> str:
    """A citation, as a link where it is of arXiv."""
    return _paper(paper, plain_text(paper))


def _paper(paper: str | None, text: str) -> str:
    url = wording.paper_url(paper)
    return f"[{text}]({url})" if url else text


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A table whose columns line up in the source too, up to `PAD` characters; `align` has l or r a column."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    widths = [max(3, *(min(PAD, len(row[i])) for row in cells)) for i in range(len(head))]
    rule = ["-" * (w - 1) + ":" if a == "r" else "-" * w for w, a in zip(widths, align, strict=True)]
    lined = [
        [c.rjust(w) if a == "r" else c.ljust(w) for c, w, a in zip(row, widths, align, strict=True)] for row in cells
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (lined[0], rule, *lined[1:]))


def _metric(metric: Metric) -> str:
    """A metric for readers, with its unit."""
    return plain_text(measures.heading(metric))


def plain_text(text: str) -> str:
    """Text of others (reasons, titles) on one line, without markup of its own."""
    return re.sub(r"([\\`*_\[\]<>$]|~(?=~)|&(?=#?\w+;))", r"\\\1", plain(" ".join(text.split())))


def _opening(text: str) -> str:
    """Such text at the start of a block, where a dash, a number or a hash would be markup too."""
    return re.sub(r"^(\d+(?=[.)])|(?=[-+#=]))", r"\1\\", plain_text(text), count=1)


def _anchor(heading: str) -> str:
    """How forges name a heading."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")
