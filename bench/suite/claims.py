"""The claims of a suite: one table, a verdict for each board that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import registry
from bench.errors import SuiteError, near_miss
from bench.schema.tables import ClaimTable
from bench.suite.faults import checked, shown
from bench.types import check_label

if TYPE_CHECKING:
    from bench.suite.scenarios import SuiteScenario

ABOUT = "{about}"


@dataclass(frozen=True)
class Claim:
    """What a paper says, as a comparison of two rows of one scenario. See `ClaimTable` and `Comparison`."""

    id: str
    paper: str
    says: str
    scenario: str
    better: str
    worse: str
    metric: str | None = None
    times: float = 1.0
    margin: float = 0.0


def claims_of(tables: object, scenarios: Mapping[str, SuiteScenario], where: str) -> tuple[Claim, ...]:
    """Every claim on every board that it names, in the order of the file. Raises SuiteError."""
    if isinstance(tables, list):
        raise SuiteError(
            f"{where}: claims are tables [claims.ID] now, and what they compare stands in "
            'compare = { better = "...", worse = "..." }, with metric, times and margin; see docs/contracts.md'
        )
    if not isinstance(tables, dict):
        raise SuiteError(f"{where}: claims must be tables [claims.ID]")
    claims: dict[str, Claim] = {}
    for name, table in tables.items():
        for claim in _claims(name, checked(ClaimTable, table, where, f"claims.{name}"), scenarios, where):
            if claim.id in claims:
                raise SuiteError(f"{where}: two claims have the id {claim.id!r}")
            claims[claim.id] = claim
    return tuple(claims.values())


def _claims(name: str, table: ClaimTable, scenarios: Mapping[str, SuiteScenario], where: str) -> Iterator[Claim]:
    at = f"{where}: [claims.{name}]"
    compared = table.compare
    if compared.better == compared.worse:
        raise SuiteError(f"{at} holds row {compared.better!r} against itself")
    for scenario, ending in (table.scenarios or {str(table.scenario): ""}).items():
        if scenario not in scenarios:
            raise SuiteError(f"{at} names scenario {shown(scenario)}{near_miss(scenario, scenarios)}")
        board = scenarios[scenario]
        rows = {row.label: row for row in board.rows}
        for label in (compared.better, compared.worse):
            if label not in rows:
                raise SuiteError(f"{at} names row {label!r} of {scenario}{near_miss(label, rows)}")
        method = registry.METHODS.get(rows[compared.better].method)
        paper = table.paper or method.paper
        if paper is None:
            raise SuiteError(f"{at} needs a paper; method {method.name!r}, of row {compared.better!r}, names none")
        if ABOUT in table.says and board.about is None:
            raise SuiteError(f"{at} says {ABOUT}, and [scenarios.{scenario}] has no `about`")
        try:
            full = check_label("-".join(filter(None, (name, ending))))
        except ValueError as error:
            raise SuiteError(f"{at} cannot be an id: {error}") from None
        said = table.says.replace(ABOUT, board.about or "")
        yield Claim(full, paper, said, scenario, **compared.model_dump())
