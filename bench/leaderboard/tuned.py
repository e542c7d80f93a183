"""What a board says of parameters that were chosen on validation data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bench.leaderboard import measures
from bench.leaderboard.board import Row, Section
from bench.schema.search import Choices, Range
from bench.suite.rows import SuiteRow

HEADINGS = ("untuned", "tuning gains (95 %)")
"""Of the columns that hold a row against itself without its search."""
TITLE = "Parameters chosen on validation data"


def place(where: Range | Choices) -> str:
    """Where a parameter was looked for."""
    if isinstance(where, Range):
        return f"{where.low:g} to {where.high:g}{', by its logarithm' if where.log else ''}"
    return ", ".join(json.dumps(choice) for choice in where)


def same_but_for_search(row: SuiteRow, others: Sequence[SuiteRow]) -> bool:
    """Whether a row with a search has its like, by label, method and all other parameters, among rows without one."""

    def fixed(other: SuiteRow) -> dict[str, Any]:
        return {name: value for name, value in other.params.items() if name not in row.search}

    return bool(row.search) and any(
        (other.label, other.method, fixed(other)) == (row.label, row.method, fixed(row)) and not other.search
        for other in others
    )


def beside_default(section: Section) -> bool:
    """Whether any row of a section is known without its search as well."""
    return any(row.default for row in section.rows)


def default(section: Section, row: Row) -> str:
    """The headline without the search."""
    return measures.number(section.ranked_by, row.default.mean) if row.default else "–"


def caption(section: Section) -> str:
    """That a section is tuned, and how."""
    given = sum(not row.search and row.role is None for row in section.rows)
    as_given = f" {given} ranked rows have no search and keep their own values." if given else ""
    return (
        f"Tuned: each row gets {section.trials} validation trials. The best {measures.title(section.ranked_by)} on "
        f"validation examples chooses its parameters, for each seed.{as_given}"
    )


def seeds(section: Section) -> list[int]:
    """The seeds for which any row has chosen parameters."""
    return sorted({seed for row in section.rows for seed in row.chosen})


def chosen(section: Section) -> list[tuple[str, str, str, list[str]]]:
    """(row, parameter, where it was looked for, value by seed) of all parameters that were chosen."""
    all_seeds = seeds(section)
    return [
        (row.label, name, where, [_value(row.chosen.get(seed, {}).get(name)) for seed in all_seeds])
        for row in section.rows
        for name, where in row.search.items()
    ]


def _value(value: Any) -> str:
    """A chosen value; one that was drawn from a range with four digits."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
