"""A board as CSV: one line a row of each scenario, numbers with six decimals. The columns are those of `columns`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from typing import Any

from bench.console import plain
from bench.leaderboard import columns
from bench.leaderboard.board import Board, Row, Section
from bench.leaderboard.wording import more_costs

COLUMNS = (
    *("suite", "profile", "data", "fingerprint", "scenario", "kind", "label", "method", "role", "status"),
    *("family", "access", "paper", "year"),
    *("rank", "rank_low", "rank_high", "first", "seeds", "metric", "mean", "low", "high", "gap_closed"),
    *("above", "difference", "difference_low", "difference_high", "p"),
    *("seconds", "peak_memory_mb", "gflops", "samples"),
)
LAST = ("params", "reasons")
FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula; text that begins so gets an apostrophe before it."""
TUNED = ("trials", "chosen", "untuned", "gained", "gained_low", "gained_high")
"""Only where a scenario is tuned: trials a row, seed -> parameter -> value as JSON, the mean without the search."""


def render(board: Board) -> str:
    """The whole file; what only some boards have precedes `params`, the other metrics end it as `metric.NAME`."""
    names = sorted({name for section in board.sections for row in section.rows for name in row.metrics})
    out = io.StringIO()
    tuned = TUNED if any(section.trials for section in board.sections) else ()
    names_of = [*COLUMNS, *_more_costs(board.sections), *tuned, *LAST, *(f"metric.{n}" for n in names)]
    writer = csv.DictWriter(out, names_of, restval="", lineterminator="\n")
    writer.writeheader()
    for section in board.sections:
        for row, numbers in zip(section.rows, columns.data_of(section), strict=True):
            line = _facts(board, section, row) | numbers
            writer.writerow({key: _text(value) for key, value in line.items()})
    return out.getvalue()


def _more_costs(sections: Sequence[Section]) -> list[str]:
    """Those that only some scenarios tell, in the order of declaration."""
    told = {cost.name for section in sections for cost in more_costs(section)}
    return [name for name in dict.fromkeys(c.name for section in sections for c in section.costs) if name in told]


def _facts(board: Board, section: Section, row: Row) -> dict[str, Any]:
    """What stands in no table: where the row stands, and its parameters."""
    used = board.data_of(section).used
    return {
        "suite": board.suite,
        "profile": board.profile,
        "data": used.get("variant"),
        "fingerprint": used.get("fingerprint"),
        "scenario": section.name,
        "kind": section.kind,
        "metric": section.headline,
        "params": row.params,
        "reasons": "; ".join(row.reasons),
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, float):
        return f"{round(value, 6) + 0.0:.6f}"
    if not isinstance(value, str):
        return str(value)
    flat = plain(" ".join(re.split(r"[\t\r\n]+", value)))
    return f"'{flat}" if flat[:1] in FORMULA else flat
