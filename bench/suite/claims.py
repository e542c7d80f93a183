"""The claims of a suite: one table, a verdict for each board that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench import registry
from bench.errors import SuiteError, near_miss
from bench.schema.tables import ClaimTable, Effort, Requirement
from bench.suite.faults import checked, shown
from bench.suite.rows import SuiteRow
from bench.suite.scenarios import SuiteScenario, given_board
from bench.types import check_label

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
    requires: Requirement | None = None
    equal_within: float | None = None
    ablates: tuple[str, ...] = ()
    effort: Effort | None = None


def claims_on(tables: object, scenarios: Mapping[str, SuiteScenario], where: str) -> tuple[Claim, ...]:
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


def refuse_settings_of_nobody(claims: Sequence[Claim], scenarios: Mapping[str, SuiteScenario], where: str) -> None:
    """A board is the setting of papers whose claims are made on it. Raises SuiteError."""
    for scenario in scenarios.values():
        cited = {claim.paper for claim in claims if claim.scenario == scenario.name}
        for paper in scenario.setting_of:
            if paper not in cited:
                raise SuiteError(
                    f"{where}: [scenarios.{scenario.name}] is the setting of {shown(paper)}, which no claim on it "
                    f"cites{near_miss(paper, cited)}"
                )


def _claims(name: str, table: ClaimTable, scenarios: Mapping[str, SuiteScenario], where: str) -> Iterator[Claim]:
    at = f"{where}: [claims.{name}]"
    if table.compare.better == table.compare.worse:
        raise SuiteError(f"{at} holds row {table.compare.better!r} against itself")
    boards = {board: [ending] for board, ending in (table.scenarios or {str(table.scenario): ""}).items()}
    for board in boards:
        if board not in scenarios:
            raise SuiteError(f"{at} names scenario {shown(board)}{near_miss(board, scenarios)}")
    for board, ending in boards.items():
        yield _claim([name, *ending], table.says, table, board, scenarios, at)
    if table.swept is None:
        return
    above = {board: given_board(scenario, scenarios) for board, scenario in scenarios.items()}
    swept = [(board, given.name) for board, given in above.items() if given is not None and given.name in boards]
    if not swept:
        raise SuiteError(
            f"{at} says what is so where rows are swept, and no scenario with trials extends {', '.join(boards)}"
        )
    for board, given in swept:
        yield _claim([name, *boards[given], "swept"], table.swept, table, board, scenarios, at)


def _claim(
    words: Sequence[str], says: str, table: ClaimTable, name: str, scenarios: Mapping[str, SuiteScenario], at: str
) -> Claim:
    board = scenarios[name]
    given = given_board(board, scenarios)
    about = board.about or (given.about if given is not None else None)
    rows = {row.label: row for row in board.rows}
    needed = [table.requires.row] if table.requires else []
    for label in (table.compare.better, table.compare.worse, *needed):
        if label not in rows:
            raise SuiteError(f"{at} names row {label!r} of {board.name}{near_miss(label, rows)}")
    _refuse_ratio_of_totals(table, registry.SCENARIOS.get(board.kind), at)
    if table.effort and table.effort.row not in (None, table.compare.better, table.compare.worse):
        raise SuiteError(
            f"{at} asks for an effort of row {table.effort.row!r}, which it does not compare; say "
            f"{table.compare.better} or {table.compare.worse}"
        )
    if table.ablates:
        _refuse_other_differences(table, rows, f"{at} on {board.name}")
    method = registry.METHODS.get(rows[table.compare.better].method)
    paper = table.paper or method.paper
    if paper is None:
        raise SuiteError(f"{at} needs a paper; method {method.name!r}, of row {table.compare.better!r}, names none")
    if ABOUT in says and about is None:
        raise SuiteError(f"{at} says {ABOUT}, and [scenarios.{board.name}] has no `about`")
    try:
        full = check_label("-".join(filter(None, words)))
    except ValueError as error:
        raise SuiteError(f"{at} cannot be an id: {error}") from None
    said = says.replace(ABOUT, about or "")
    return Claim(
        full,
        paper,
        said,
        board.name,
        **table.compare.model_dump(),
        requires=table.requires,
        equal_within=table.equal_within,
        ablates=table.ablates,
        effort=table.effort,
    )


def _refuse_ratio_of_totals(table: ClaimTable, kind: registry.Scenario, at: str) -> None:
    """Rows choose how much they make, so a ratio of what all of it cost says nothing of how dear it was."""
    compare = table.compare
    each = next((cost.each for cost in kind.costs if cost.name == compare.metric and cost.each), None)
    if each is not None and compare.times != 1.0:
        raise SuiteError(
            f"{at} compares {compare.metric} with {compare.times:g} times that of {compare.worse}, and each row makes "
            f"as many as it likes; compare {each}"
        )


def _refuse_other_differences(table: ClaimTable, rows: Mapping[str, SuiteRow], at: str) -> None:
    """Rows of a claim that ablates parameters are of one method, and differ in these and in nothing else."""
    better, worse = rows[table.compare.better], rows[table.compare.worse]
    if better.method != worse.method:
        raise SuiteError(
            f"{at} ablates {', '.join(table.ablates)}, and its rows are of two methods, {better.method} and "
            f"{worse.method}; compare two rows of one"
        )
    for name in table.ablates:
        if name not in better.params:
            raise SuiteError(
                f"{at} ablates {shown(name)}, no parameter of {better.method}{near_miss(name, better.params)}"
            )
    wholes = [row.params | {f"search.{name}": place for name, place in row.search.items()} for row in (better, worse)]
    differing = {name for name in {**wholes[0], **wholes[1]} if wholes[0].get(name) != wholes[1].get(name)}
    if more := sorted(differing - set(table.ablates)):
        raise SuiteError(f"{at} ablates {', '.join(table.ablates)}, and its rows differ in {', '.join(more)} as well")
    if not differing:
        raise SuiteError(f"{at} ablates {', '.join(table.ablates)}, and its rows are equal in that")
