"""A board in Markdown, as people read it on a forge: claims first, then one table a scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.console import plain
from bench.leaderboard import measures, reading, tuned, wording
from bench.leaderboard.board import Board, Row, Section, Verdict
from bench.metrics.metric import Metric


def render(board: Board) -> str:
    """The whole document."""
    parts = [f"# {_plain(board.title)}", _head(board)]
    parts += [f"> **{_plain(warning)}**" for warning in wording.stand_ins(board)]
    parts.append(_claims(board))
    parts += [_section(section, wording.section_data(board, section)) for section in board.sections]
    parts.append(
        "## How to read this\n\n" + "\n".join(f"- **{term}** {text}" for term, text in reading.how_to_read(board))
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(board: Board) -> str:
    lines = [f"Suite `{board.suite}`, profile `{board.profile}`. Made from the records in `{board.profile}.jsonl`.", ""]
    lines += [f"- {what}: {_plain(value)}" for what, value in wording.provenance(board)]
    lines += [f"- set aside: {_plain(note)}" for note in board.set_aside]
    return "\n".join(lines)


def _claims(board: Board) -> str:
    if not board.claims:
        return ""
    head = ["verdict", "claim", "scenario", "difference", "interval", "needed", "seeds", "p", "q", "paper"]
    body = table(head, [_claim(v, board.metric_of(v)) for v in board.claims], "lllrrrrrrl")
    intro = f"{_plain(wording.looks(board))} {_plain(wording.counts(board))}"
    return "\n\n".join(filter(None, ("## Claims", intro, body, _earlier(board))))


def _earlier(board: Board) -> str:
    """What claims were answered before, and those that are made no more, folded away."""
    lines = [f"- `{v.id}`: {_plain(wording.was(board, e))}" for v in board.claims for e in v.earlier]
    lines += [f"- made no more: {_plain(wording.was(board, e))}" for e in board.dropped]
    if not lines:
        return ""
    return (
        f"<details><summary>Earlier verdicts, and what replaced them</summary>\n\n{chr(10).join(lines)}\n\n</details>"
    )


def _claim(v: Verdict, metric: Metric) -> list[str]:
    says = f"{_plain(v.says)}: `{v.better}` over `{v.worse}`, {_metric(metric)}"
    if remark := wording.remark(v):
        says += f" ({_plain(remark)})"
    found = v.difference
    return [
        f"**{v.answer}**",
        says,
        f"[{v.scenario}](#{_anchor(v.scenario)})",
        measures.number(metric, found.mean, sign=True) if found else "–",
        measures.interval(metric, found.low, found.high, sign=True) if found else "–",
        wording.needed(v, metric),
        str(v.seeds),
        measures.p_value(v.p),
        measures.p_value(v.q),
        _paper(v.paper, _plain(v.paper)),
    ]


def _section(section: Section, data: str | None) -> str:
    title = f"## {section.name}"
    intro = f"{_opening(section.title)}. " if section.title else ""
    intro += f"*{section.kind}*: {_plain(section.summary)} Ranked by {_plain(wording.direction(section))}."
    intro += f" **{_plain(tuned.caption(section))}**" if section.trials else ""
    intro += f" {_plain(data)}" if data else ""
    head = [
        "rank",
        "method",
        f"{_metric(section.ranked_by)} (95 %)",
        *(tuned.HEADINGS if tuned.beside_default(section) else ()),
        "gap closed",
        *(wording.more_heading(section, metric) for metric in wording.more_metrics(section)),
        "vs the row above (95 %)",
        "p",
        "first",
        "seeds",
        "seconds",
        "MB",
        "GFLOPs",
        "samples",
        *(cost.heading for cost in wording.more_costs(section)),
    ]
    align = "rl" + "r" * (len(head) - 2)
    parts = [title, intro, table(head, [_row(section, row) for row in section.rows], align)]
    told = [f"- `{label}`: {_plain(reason)}" for label, reason in wording.troubles(section)]
    told += [f"- {_opening(note)}" for note in section.notes]
    parts += ["\n".join(told)] if told else []
    parts += [_chosen(section)] if section.trials else []
    return "\n\n".join([*parts, _further(section)]).strip()


def _chosen(section: Section) -> str:
    """What the trials chose."""
    seeds = tuned.seeds(section)
    head = ["row", "parameter", "looked for in", *(f"seed {seed}" for seed in seeds)]
    body = [
        [f"`{label}`", f"`{name}`", *map(_plain, (place, *values))]
        for label, name, place, values in tuned.chosen(section)
    ]
    return f"{tuned.TITLE}:\n\n{table(head, body, 'lll' + 'r' * len(seeds))}"


def _row(section: Section, row: Row) -> list[str]:
    costs = row.costs
    return [
        wording.rank(row),
        _name(row),
        wording.score(section, row),
        *(
            (tuned.default(section, row), wording.against(section.ranked_by, row.gained))
            if tuned.beside_default(section)
            else ()
        ),
        measures.percent(row.gap_closed),
        *(wording.more_value(row, metric) for metric in wording.more_metrics(section)),
        wording.against(section.ranked_by, row.above),
        measures.p_value(row.above.p if row.above else None),
        measures.percent(row.first) if row.rank else "",
        str(len(row.seeds)),
        measures.quantity(costs.seconds if costs else None),
        measures.quantity(costs.peak_memory_mb if costs else None),
        measures.quantity(costs.gflops if costs else None),
        measures.quantity(costs.samples if costs else None),
        *(measures.quantity(costs.more.get(cost.name) if costs else None) for cost in wording.more_costs(section)),
    ]


def _further(section: Section) -> str:
    """All other metrics, folded away."""
    rows = [row for row in section.rows if row.metrics]
    names = sorted({name for row in rows for name in row.metrics} - {section.headline})
    if not names:
        return ""
    metrics = [section.metric(name) for name in names]
    head = ["method", *map(_metric, metrics)]
    body = [[_name(row), *(measures.number(m, row.metrics.get(m.name)) for m in metrics)] for row in rows]
    inner = table(head, body, "l" + "r" * len(names))
    return f"<details><summary>Further metrics (means over seeds)</summary>\n\n{inner}\n\n</details>"


def _name(row: Row) -> str:
    name = _paper(row.paper, f"`{row.label}`")
    marks = [wording.ROLES[row.role]] if row.role else []
    marks += ["some seeds failed"] if row.status == "partial" else []
    marks += row.marks
    return (f"*{name}*" if row.role else name) + (f" ({', '.join(marks)})" if marks else "")


def _paper(paper: str | None, text: str) -> str:
    url = wording.paper_url(paper)
    return f"[{text}]({url})" if url else text


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A table whose columns line up in the source too; `align` has l or r a column."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(head))]
    rule = ["-" * (w - 1) + ":" if a == "r" else "-" * w for w, a in zip(widths, align, strict=True)]
    lined = [
        [c.rjust(w) if a == "r" else c.ljust(w) for c, w, a in zip(row, widths, align, strict=True)] for row in cells
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (lined[0], rule, *lined[1:]))


def _metric(metric: Metric) -> str:
    """A metric for readers, with its unit."""
    return _plain(measures.heading(metric))


def _plain(text: str) -> str:
    """Text of others (reasons, titles) on one line, without markup of its own."""
    return re.sub(r"([\\`*_\[\]<>$]|~(?=~)|&(?=#?\w+;))", r"\\\1", plain(" ".join(text.split())))


def _opening(text: str) -> str:
    """Such text at the start of a block, where a dash, a number or a hash would be markup too."""
    return re.sub(r"^(\d+(?=[.)])|(?=[-+#=]))", r"\1\\", _plain(text), count=1)


def _anchor(heading: str) -> str:
    """How forges name a heading."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")
