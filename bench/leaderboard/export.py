"""Results as data for other programs and for papers, from the records that boards use."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.leaderboard import measures, wording
from bench.leaderboard.board import Board, Row, Section
from bench.leaderboard.comparing import Seeds
from bench.records.record import Record

COLUMNS = {
    "suite": "name of the suite",
    "profile": "its profile: cpu, gpu, smoke or another",
    "scenario": "name of the scenario, which is one board",
    "kind": "kind of the scenario: fuse, merge, unlearn and so on",
    "data": "data set that was used, with its variant",
    "fingerprint": "hash of the content of that data set",
    "row": "label of the row on the board",
    "method": "name of the method",
    "family": "family of the method; empty where the method is not installed",
    "role": "lower, upper, reference, control or unranked; empty for a ranked row",
    "seed": "seed of the cell",
    "status": "ok, failed or skipped; a cell that is not ok has one line, without a number",
    "type": "metric or cost",
    "name": "name of the metric or cost; samples.X counts inputs through the given model X",
    "unit": "% (a share of 1), points (a difference of shares of 1), count, another unit, or empty",
    "higher_is_better": "true or false",
    "value": "the number, at full precision",
}
"""Columns of csv, json and parquet, and what they hold."""


@dataclass(frozen=True)
class Exported:
    """One results file."""

    board: Board
    cells: Mapping[tuple[str, str], Seeds]
    """(scenario, label) -> seed -> the record that counts."""


def tidy(found: Sequence[Exported]) -> Iterator[dict[str, Any]]:
    """One line a number of a seed, by the names of `COLUMNS`, in the order of the boards."""
    for one in found:
        for section in one.board.sections:
            for row in section.rows:
                for seed, record in one.cells.get((section.name, row.label), {}).items():
                    yield from _lines(one.board, section, row, seed, record)


def _lines(board: Board, section: Section, row: Row, seed: int, record: Record) -> Iterator[dict[str, Any]]:
    used = board.data_of(section).used
    fixed = {
        "suite": board.suite,
        "profile": board.profile,
        "scenario": section.name,
        "kind": section.kind,
        "data": used.get("variant") or used.get("name"),
        "fingerprint": used.get("fingerprint"),
        "row": row.label,
        "method": row.method,
        "family": row.family,
        "role": row.role,
        "seed": seed,
        "status": record.status,
    }
    numbers = [("metric", name, value) for name, value in sorted(record.metrics.items())]
    numbers += [("cost", name, value) for name, value in sorted(_flat(record.costs).items())]
    if record.status != "ok" or not numbers:
        yield dict.fromkeys(COLUMNS) | fixed
        return
    for type_, name, value in numbers:
        metric = section.metric(name)
        better = metric.higher_is_better and type_ == "metric"
        told = {"type": type_, "name": name, "unit": metric.unit, "higher_is_better": better, "value": value}
        yield fixed | told


def _flat(costs: Mapping[str, Any]) -> dict[str, float]:
    """Costs as numbers; those by model as `samples.MODEL`."""
    found: dict[str, float] = {}
    for name, value in costs.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{part}": number for part, number in value.items()}
        elif isinstance(value, int | float):
            found[name] = value
    return found


def as_csv(found: Sequence[Exported]) -> str:
    """Tidy CSV with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in tidy(found):
        writer.writerow({key: _text(value) for key, value in line.items()})
    return out.getvalue()


def as_json(found: Sequence[Exported]) -> str:
    """`{"columns": {name: meaning}, "rows": [...]}`, the rows being those of the CSV."""
    return json.dumps({"columns": COLUMNS, "rows": list(tidy(found))}, indent=1, ensure_ascii=False) + "\n"


def as_parquet(found: Sequence[Exported]) -> bytes:
    """The rows of the CSV as a Parquet file; each field carries the meaning of its column as `description`.

    Raises:
        BenchError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise BenchError("--format parquet needs pyarrow: run `pip install 'ktbench[parquet]'`") from None
    types = {"seed": pa.int64(), "higher_is_better": pa.bool_(), "value": pa.float64()}
    fields = [
        pa.field(name, types.get(name, pa.string()), metadata={"description": meaning})
        for name, meaning in COLUMNS.items()
    ]
    out = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(list(tidy(found)), schema=pa.schema(fields)), out)
    return bytes(out.getvalue())


def as_latex(found: Sequence[Exported]) -> str:
    """One table a board, for the package booktabs: means over seeds with 95 % intervals, ranks and costs."""
    tables = [_table(one.board, section) for one in found for section in one.board.sections]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def _table(board: Board, section: Section) -> str:
    data = board.data_of(section).used
    where = ", ".join(filter(None, (section.title or section.name, data.get("variant") or data.get("name"))))
    caption = f"{where}. {wording.direction(section)}. Means over seeds with 95 % intervals."
    head = ["Rank", "Method", measures.heading(section.ranked_by), "Gap closed", "Seeds", "Seconds"]
    scored = [row for row in section.rows if row.headline is not None]
    lines = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_latex(caption[:1].upper() + caption[1:])}}}",
        f"\\label{{tab:{board.suite}-{section.name}}}",
        "\\begin{tabular}{rlrrrr}",
        "\\toprule",
        _line(map(_latex, head)),
        "\\midrule",
        *(_line(_cells(section, row)) for row in scored),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
        "",
    ]
    return "\n".join(lines)


def _cells(section: Section, row: Row) -> list[str]:
    label = _latex(row.label)
    costs = row.costs
    return [
        _latex(wording.rank(row)),
        f"\\emph{{{label}}}" if row.role else label,
        _latex(wording.score(section, row)),
        _latex(measures.percent(row.gap_closed)),
        str(len(row.seeds)),
        _latex(measures.quantity(costs.seconds if costs else None)),
    ]


def _line(cells: Any) -> str:
    return " & ".join(cells) + " \\\\"


LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    measures.MINUS: "$-$",
    "–": "--",
    "×": "$\\times$",
    "λ": "$\\lambda$",
}
"""What stands in LaTeX for a sign."""


def _latex(text: str) -> str:
    return "".join(LATEX.get(sign, sign) for sign in " ".join(text.split()))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


FORMATS: dict[str, Callable[[Sequence[Exported]], str | bytes]] = {
    "csv": as_csv,
    "json": as_json,
    "latex": as_latex,
    "parquet": as_parquet,
}
"""By the name that the command line gives them."""
