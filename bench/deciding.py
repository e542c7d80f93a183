"""`bench run SUITE --until-decided`: seeds are added where they decide most claims an hour, until all looks are taken.

A loop: judge all claims on the records that there are, write their looks down, plan (`bench.verdicts.planning`), run
the first steps of the plan. All that it knows stands in the records, so that it goes on where it was stopped. The
intervals of claims hold at all looks at once, so any rule may choose the seeds, and any time to stop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.device import resolve
from bench.errors import BenchError
from bench.leaderboard import looked
from bench.leaderboard.building import Judging, judging
from bench.leaderboard.claims import Case
from bench.models.keys import place
from bench.paths import zoo_root
from bench.records.provenance import provenance
from bench.records.record import Record
from bench.records.store import Store
from bench.running import runner
from bench.running.plan import Cell, Plan, plan
from bench.running.progress import Report, expected_seconds, span
from bench.verdicts import history, planning
from bench.verdicts.planning import Candidate, Step

AT_ONCE = 300.0
"""Steps of so many seconds, by expectation, are run before all claims are judged again."""
SHOWN = 12
"""Steps of a plan that are shown."""

Place = tuple[str, str, int]
"""(scenario, label, seed)."""


@dataclass
class Found:
    """What a run until all is decided has left."""

    failed: int = 0
    """Cells that failed."""
    lines: list[str] = field(default_factory=list)
    """How many claims stayed undecided, and why."""


@dataclass(frozen=True)
class Ahead:
    """All cells of the seeds that looks may ask for, and what they are expected to take."""

    cells: Mapping[Place, Cell]
    models: Mapping[tuple[str, int], Mapping[str, float]]
    """(scenario, seed) -> place in the zoo -> seconds, of standard models that are still to be trained; 0 where nobody
    knows."""


def until_decided(
    planned: Plan,
    *,
    results: Path,
    jobs: int,
    device: str = "auto",
    budget: float = math.inf,
    keep_unvouched: bool = False,
    plugins: Sequence[Path] = (),
    report: Report | None = None,
    tell: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Run the suite's own seeds, and then those that decide most an hour.

    Args:
        planned: the suite with its own seeds; they are run first, whatever the budget.
        results: folder of records.
        jobs: cells at once.
        device: where.
        budget: seconds of this call. No step is begun that is expected to exceed it.
        keep_unvouched: as of a run.
        plugins: files that workers load.
        report: of what is being run.
        tell: takes lines: the plan, and what was decided.
        clock: seconds, from any start.

    Raises:
        BenchError: records or looks cannot be read or written.
    """
    began, found = clock(), Found()
    tried: set[Place] = {(cell.scenario.name, cell.row.label, cell.seed) for cell in planned.cells}
    execute = partial(
        runner.execute,
        results=results,
        jobs=jobs,
        device=device,
        keep_unvouched=keep_unvouched,
        plugins=plugins,
        report=report,
    )
    found.failed = len(execute(planned).failed)
    store = runner.store_of(planned, results)
    ahead = looking_ahead(planned, device)
    while True:
        now, records = judge(planned, store)
        left = (budget - (clock() - began)) * jobs
        waiting = candidates(now, ahead, records, tried)
        steps = planning.plan(waiting, left)
        if not steps:
            break
        for line in plan_lines(steps, now, jobs):
            tell(line)
        batch = list(_first(steps, AT_ONCE * jobs))
        places = [cell for step in batch for cell in step.cells if cell in ahead.cells]
        tried.update(places)  # type: ignore[arg-type]
        cells = tuple(ahead.cells[cell] for cell in places)  # type: ignore[index]
        outcome = execute(replace(planned, cells=cells, faults={}))
        found.failed += len(outcome.failed)
    found.lines = list(left_lines(now, {c.claim for c in waiting}, tried))
    return found


def dry_run_lines(planned: Plan, results: Path, jobs: int, device: str) -> Iterator[str]:
    """The plan of such a run; nothing is run."""
    store = runner.store_of(planned, results)
    records = store.read()
    past = history.read(looked.path_of(store.path))
    now = judging(planned.suite, records, past)
    waiting = candidates(now, looking_ahead(planned, device), records, ())
    steps = planning.plan(waiting)
    yield from plan_lines(steps, now, jobs, shown=len(steps)) if steps else ["no claim waits for more seeds"]


def judge(planned: Plan, store: Store) -> tuple[Judging, list[Record]]:
    """Judge all claims on what is on record, and write the looks down."""
    records, path = store.read(), looked.path_of(store.path)
    now = judging(planned.suite, records, history.read(path))
    date = datetime.now(UTC).isoformat(timespec="seconds")
    looked.write_down(looked.entries(now.cases, now.looks), store.path, provenance()["commit"], date)
    return now, records


def looking_ahead(planned: Plan, device: str) -> Ahead:
    """All cells that looks may ask for, of scenarios that can be run here."""
    from bench.models.zoo import Zoo

    suite = planned.suite
    where = resolve(device, suite.precision, suite.threads)
    zoo = Zoo(zoo_root(where.name), where)
    whole = plan(suite, suite.seeds_in_order(suite.looks[-1]), None, device)
    cells = {(cell.scenario.name, cell.row.label, cell.seed): cell for cell in whole.cells}
    first = {(cell.scenario.name, cell.seed): cell for cell in reversed(whole.cells)}
    specs = {at: [model.spec for model in whole.models([cell]).values()] for at, cell in first.items()}
    took: dict[tuple[str, int], float] = {}  # (scenario, number of the model in it) -> seconds at any seed
    for (scenario, _), own in specs.items():
        for number, spec in enumerate(own):
            if (seconds := zoo.seconds(spec)) is not None:
                took[scenario, number] = seconds
    models = {
        at: {place(spec): took.get((at[0], number), 0.0) for number, spec in enumerate(own) if not zoo.has(spec)}
        for at, own in specs.items()
    }
    return Ahead(cells, models)


def candidates(now: Judging, ahead: Ahead, records: Iterable[Record], tried: Collection[Place]) -> list[Candidate]:
    """The claims that the next look may decide, with the cells that it waits for.

    Left out are claims whose cells were run before in this call: they failed, and nothing takes their place.
    """
    expected = expected_seconds(ahead.cells.values(), records)
    usual = sum(expected.values()) / len(expected) if expected else 1.0
    found = []
    for case in now.cases:
        chance, places = wanted(case, now)
        if not chance or any(at in tried or at not in ahead.cells for at in places):
            continue
        cells: dict[Hashable, float] = {at: expected.get(ahead.cells[at].key, usual) for at in places}
        for scenario, _, seed in places:
            cells.update(ahead.models[scenario, seed].items())
        found.append(Candidate(case.claim.id, chance, cells))
    return found


def wanted(case: Case, now: Judging) -> tuple[float, list[Place]]:
    """The chance that the next look decides a claim, and the places of the records that it waits for.

    Before the first look nothing can be predicted: it has to be taken, and counts as certain.
    """
    if case.judged.answer != "undecided":
        return 0.0, []
    claim, question = case.claim, case.question
    chance, places = 1.0, []
    if case.found is not None and case.reached.next is not None:
        chance = planning.chance_of_decision(case.found, case.reached.next, question.margin, question.equal_within)
    if case.reached.next is not None:
        labels = (claim.better, claim.worse)
        places += [(claim.scenario, label, seed) for seed in case.reached.missing for label in labels]
    if claim.requires is not None and question.premise is not None and case.premise_reached is not None:
        come, premise = case.premise_reached, question.premise
        if premise.open and come.next is not None:
            places += [(claim.scenario, claim.requires.row, seed) for seed in come.missing]
            if premise.found is not None:
                chance *= planning.chance_of_decision(premise.found, come.next, premise.at_least)
    lacking = [at for at in dict.fromkeys(places) if not _there(now, at)]
    return (chance if lacking else 0.0), lacking


def plan_lines(steps: Sequence[Step], now: Judging, jobs: int, shown: int = SHOWN) -> Iterator[str]:
    """The plan, its first steps one by one."""
    total = span(sum(step.seconds for step in steps) / jobs)
    yield f"{len(steps)} claims may be decided by more seeds, all of them in about {total} at {jobs} jobs:"
    cases = {case.claim.id: case for case in now.cases}
    for step in steps[:shown]:
        look = cases[step.claim].reached.next
        seeds = f"at {look.n} seeds" if look is not None else "by its premise"
        chance = "first look" if cases[step.claim].found is None else f"{step.chance:.0%} to be decided"
        cost = f"{len(step.cells)} more cells and models, about {span(step.seconds)}"
        yield f"  {step.claim}: {chance} {seeds}, {cost}"
    if len(steps) > shown:
        yield f"  and {len(steps) - shown} more"


def left_lines(now: Judging, waiting: Collection[str], tried: Collection[Place]) -> Iterator[str]:
    """What became of all claims."""
    undecided = [case for case in now.cases if case.judged.answer == "undecided"]
    yield f"{len(now.cases) - len(undecided)} of {len(now.cases)} claims are decided"
    kinds: dict[str, list[str]] = {}
    for case in undecided:
        if case.claim.id in waiting:
            why = "they do not fit into the budget"
        elif case.reached.next is None:
            why = "all looks are taken"
        elif any(at in tried for at in wanted(case, now)[1]) or case.reached.failed:
            why = "cells failed, or were skipped, that the next look waits for"
        else:
            why = "more seeds tell nothing of them"
        kinds.setdefault(why, []).append(case.claim.id)
    for why, names in kinds.items():
        yield f"  undecided, since {why}: {', '.join(names)}"


def _there(now: Judging, at: Place) -> bool:
    record = now.selection.cells.get(at[:2], {}).get(at[2])
    return record is not None and record.status == "ok"


def _first(steps: Sequence[Step], seconds: float) -> Iterator[Step]:
    """The first step, and those after it while their seconds sum to no more."""
    total = 0.0
    for number, step in enumerate(steps):
        total += step.seconds
        if number and total > seconds:
            return
        yield step


def budget(text: str) -> float:
    """Seconds of "4h", "30min", "90s". Raises BenchError."""
    for ending, unit in (("min", 60.0), ("h", 3600.0), ("s", 1.0)):
        if text.endswith(ending):
            try:
                seconds = float(text.removesuffix(ending)) * unit
            except ValueError:
                break
            if 0 < seconds < math.inf:
                return seconds
    raise BenchError(f"--budget {text!r} is no time like 4h, 30min or 90s")
