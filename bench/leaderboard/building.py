"""Suite and records -> board."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench import registry
from bench.leaderboard import looked
from bench.leaderboard.board import Board, DataUse, Provenance
from bench.leaderboard.claims import Case, cases, verdicts
from bench.leaderboard.selection import Selection, select
from bench.leaderboard.tables import sections
from bench.records.record import Record, conflicts
from bench.running.plan import asked_of
from bench.suite import suite as suites
from bench.suite.scenarios import SuiteScenario
from bench.suite.suite import Suite
from bench.verdicts.history import Entry
from bench.verdicts.looks import Schedule


@dataclass(frozen=True)
class Judging:
    """The records of a suite that count, and what they say to its claims."""

    selection: Selection
    looks: Schedule
    cases: tuple[Case, ...]


def judging(suite: Suite, records: Iterable[Record], past: Sequence[Entry] = ()) -> Judging:
    """What the records say to a suite's claims; arguments and errors are those of `build`."""
    read = list(map(with_derived, records))
    selection = select(suite, read, asked_of(suite, read))
    looks = looked.looks_of(suite, past)
    return Judging(selection, looks, cases(suite, selection, looks))


def build(suite: Suite, records: Iterable[Record], faults: Sequence[str] = (), past: Sequence[Entry] = ()) -> Board:
    """The board of a suite at its profile; rows of the suite without a record are there too, and say so.

    Args:
        suite: what rows and claims there are (`bench.suite.suite.load`).
        records: of this suite and profile, in file order; what does not count is set aside and told.
        faults: messages of damaged lines, to be told as well.
        past: the looks that were written down before (`bench.verdicts.history.read`).

    Raises:
        BenchError: the suite leaves out a look that it had declared.
    """
    read = list(records)
    at = judging(suite, read, past)
    now = looked.entries(at.cases, at.looks)
    return Board(
        suite=suite.name,
        run=suites.argument(suite),
        title=suite.title,
        profile=suite.profile,
        data=_data(suite, at.selection),
        records=len(at.selection.records),
        set_aside=(*at.selection.set_aside, *conflicts(read), *faults),
        provenance=_provenance(at.selection.records),
        schedule=at.looks,
        claims=verdicts(at.cases, looked.earlier(past, now), looked.late(past, now)),
        dropped=looked.dropped(past, (claim.id for claim in suite.claims)),
        looked=now,
        sections=sections(suite, at.selection, at.looks),
    )


def with_derived(record: Record) -> Record:
    """A record with what its kind derives from its metrics and costs; unchanged where the kind is not installed."""
    kind = registry.SCENARIOS.entries.get(record.kind)
    if kind is None:
        return record
    metrics = {metric.name: metric.derived(record.metrics) for metric in kind.metrics if metric.derived}
    costs = {cost.name: cost.derived(record.costs) for cost in kind.costs if cost.derived}
    return record.model_copy(
        update={
            "metrics": record.metrics | {name: value for name, value in metrics.items() if value is not None},
            "costs": record.costs | {name: value for name, value in costs.items() if value is not None},
        }
    )


def _data(suite: Suite, selection: Selection) -> tuple[DataUse, ...]:
    found: dict[str | None, list[SuiteScenario]] = {}
    for scenario in suite.scenarios.values():
        found.setdefault(scenario.data, []).append(scenario)
    uses = []
    for name, scenarios in found.items():
        used, asked = selection.data.get(name, {}), suite.data_of(scenarios[0]).name
        stand_in_for = asked if used and used["name"] != asked else None
        uses.append(DataUse(used, stand_in_for, tuple(scenario.name for scenario in scenarios)))
    return tuple(uses)


def _provenance(records: Sequence[Record]) -> Provenance:
    tables = [r.provenance for r in records]
    days = sorted(t["started"][:10] for t in tables if t.get("started"))
    versions: dict[str, set[str]] = {}
    for table in tables:
        for package, version in table.get("versions", {}).items():
            versions.setdefault(package, set()).add(str(version))
    return Provenance(
        commits=_all(t.get("commit") for t in tables),
        dirty=any(t.get("dirty") for t in tables),
        versions={package: tuple(sorted(found)) for package, found in sorted(versions.items())},
        environments=_all(r.environment for r in records),
        machines=_all(t.get("machine") for t in tables),
        devices=_all(
            ", ".join(filter(None, (t["device"], t.get("precision"), f"threads {t.get('threads', 1)}")))
            for t in tables
            if t.get("device")
        ),
        first=days[0] if days else "",
        last=days[-1] if days else "",
    )


def _all(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({v for v in values if v}))
