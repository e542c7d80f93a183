"""The scenarios of a suite: one table, held against what its kind may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import registry
from bench.data.spec import DataSpec
from bench.errors import BenchError, SuiteError, near_miss
from bench.schema.tables import ScenarioHead
from bench.suite.faults import checked, shown
from bench.suite.keys import scenario_table
from bench.suite.layers import part
from bench.suite.rows import Rows, SuiteRow, rows_of


@dataclass(frozen=True)
class SuiteScenario:
    """One scenario of a suite, with its rows; references come first."""

    name: str
    kind: str
    title: str
    settings: Any
    rows: tuple[SuiteRow, ...]
    lower: str
    upper: str
    max_seconds: float
    data: str | None = None
    """One of the suite's `[datasets.NAME]`; `[data]` where it is None."""
    trials: int = 0
    """Validation trials that each row with a search has; 0 on a board whose rows are as they are given."""
    extends: str | None = None
    """The scenario whose keys it started from."""
    about: str | None = None
    """What claims call it."""
    setting_of: tuple[str, ...] = ()
    """Papers whose own setting it is, as near as the machine allows."""


def scenario_of(
    name: str,
    table: dict[str, Any],
    where: str,
    max_seconds: float,
    datasets: Mapping[str, DataSpec],
    lists: Mapping[str, Rows],
) -> SuiteScenario:
    """The scenario that a table says, that of what it extends beneath it.

    Args:
        max_seconds: of the suite.
        datasets: `[datasets.NAME]`.
        lists: `[rows.NAME]`.

    Raises:
        SuiteError: with table and key, and the near miss where there is one.
    """
    at = f"scenarios.{name}"
    asked = part(ScenarioHead, table, where, at).kind
    if asked is None:
        raise SuiteError(f"{where}: [{at}] needs a kind{near_miss('', registry.SCENARIOS.entries)}")
    try:
        kind = registry.SCENARIOS.get(asked)
        schema = scenario_table(kind)
    except BenchError as error:
        raise SuiteError(f"{where}: [{at}] {error}") from None
    head = checked(schema, table, where, at)
    own = {key: value for key, value in table.items() if key in kind.settings.model_fields}
    if head.data is not None and head.data not in datasets:
        raise SuiteError(
            f"{where}: [{at}] data = {shown(head.data)} is no [datasets.NAME] of the suite"
            f"{near_miss(head.data, datasets)}"
        )
    return SuiteScenario(
        name=name,
        kind=kind.kind,
        title=head.title,
        settings=kind.settings.model_validate(own),
        rows=rows_of(head.methods, lists, kind, head.lower, head.upper, head.trials, where, at),
        lower=head.lower or kind.lower,
        upper=head.upper or kind.upper,
        max_seconds=head.max_seconds or max_seconds,
        data=head.data,
        trials=head.trials,
        extends=head.extends,
        about=head.about,
        setting_of=head.setting_of,
    )


def given_board(scenario: SuiteScenario, scenarios: Mapping[str, SuiteScenario]) -> SuiteScenario | None:
    """The nearest board among those that a tuned one extends whose rows are as they are given."""
    if not scenario.trials:
        return None
    above = scenarios.get(scenario.extends or "")
    while above is not None and above.trials:
        above = scenarios.get(above.extends or "")
    return above
