"""Runs a plan: standard models, then cells. What is on record stands; one failure loses nothing else."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from bench import registry
from bench.device import Device, resolve
from bench.digests import names
from bench.errors import BenchError
from bench.paths import cache_root
from bench.records.counting import asked_again, latest
from bench.records.frame import as_frame
from bench.records.record import Record, conflicts
from bench.records.store import Store
from bench.records.vouches import Vouches
from bench.running import arguments, kept, sharding
from bench.running.cell import Job, record_of
from bench.running.cell_code import moved, remember, values
from bench.running.outcome import Outcome
from bench.running.plan import Cell, Plan, plan
from bench.running.progress import Report, Silent, fault_lines, sheltered
from bench.running.queues import ModelQueue, work
from bench.running.workers import Workers, unpack_failure
from bench.suite import suite as suites

if TYPE_CHECKING:
    import pandas as pd


def run(
    suite: str | Path,
    profile: str | None = None,
    *,
    seeds: Iterable[int] | None = None,
    only: str | None = None,
    shard: str | None = None,
    jobs: int | None = None,
    device: str = "auto",
    force: bool = False,
    keep_unvouched: bool = False,
    results: str | Path = "results",
    plugins: Sequence[str | Path] = (),
) -> pd.DataFrame:
    """Run a suite and return the records of its cells as a frame (see `bench.load_results`).

    Args:
        suite: path of a TOML file or the name of a shipped suite.
        profile: `smoke`, `cpu`, `gpu`; by default what suits this machine.
        seeds: in place of the suite's.
        only: run the cells whose `scenario/label/seed` matches this pattern.
        shard: `3/8` runs the third of eight parts of these cells (`bench.running.sharding`).
        jobs: cells at once; by default as many as the cores allow.
        force: run cells again that are on record.
        keep_unvouched: take records whose code has moved and is not vouched for; boards mark them.
        results: folder that gets `<suite>/<profile>.jsonl`.
        plugins: files with methods or scenarios of your own.

    Raises:
        BenchError: anything of this is not what the command line would take.
    """
    loaded, folder, jobs, device = (
        arguments.plugins(plugins),
        arguments.results(results),
        arguments.jobs(jobs),
        arguments.device(device),
    )
    wanted, mine = None if seeds is None else arguments.seeds(seeds), sharding.shard(shard)
    registry.load_plugins(loaded)
    loaded_suite = suites.load(arguments.path(suite, "suite"), arguments.text(profile, "profile"))
    planned = plan(loaded_suite, wanted, arguments.text(only, "only"), device)
    planned = sharding.part(planned, mine) if mine else planned
    for line in fault_lines(planned):
        warnings.warn(line, stacklevel=2)
    outcome = execute(
        planned,
        results=folder,
        jobs=jobs,
        device=device,
        force=force,
        keep_unvouched=keep_unvouched,
        plugins=loaded,
    )
    return as_frame(outcome.records.values())


def store_of(planned: Plan, results: Path) -> Store:
    """The results file of a plan; where anything stands in, in a folder of its own, `<suite>@<stand-in>+<stand-in>`."""
    stand_ins = sorted({data.spec.name for data in planned.data() if data.stand_in_for is not None})
    name = "@".join([planned.suite.name, *(["+".join(stand_ins)] if stand_ins else [])])
    return Store(results / name / f"{planned.suite.profile}.jsonl")


@dataclass(frozen=True)
class OnRecord:
    """What a results file holds of a plan."""

    records: dict[str, Record] = field(default_factory=dict)
    """Key -> record of the cells that need not run: the last with this key did not fail, and its code is today's or
    vouched for."""
    stale: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Key -> what moved, of the cells that run again since nobody vouches for their code."""


def on_record(planned: Plan, records: Iterable[Record], keep_unvouched: bool = False) -> OnRecord:
    """Which cells of a plan need not run; with `keep_unvouched` also those whose code has moved since."""
    found, vouches = OnRecord(), Vouches.shipped()
    last = latest(records)
    for cell in planned.cells:
        record = last.get(cell.key)
        if record is None or record.status == "failed" or cell.key in found.records or cell.key in found.stale:
            continue
        if keep_unvouched or vouches.stand(record, values(cell.digests)):
            found.records[cell.key] = record
        else:
            found.stale[cell.key] = tuple(moved(record.digests, cell.digests))
    return found


def stale_lines(stale: Mapping[str, tuple[str, ...]]) -> list[str]:
    """How many cells run again since their code moved, and what did."""
    count = Counter("; ".join(parts) for parts in stale.values())
    return [
        f"{number} cell{'s' * (number > 1)} on record stand on other code, and nobody vouches for it; moved: {what} "
        "(`bench vouch` reruns a sample, `--keep-unvouched` keeps them)"
        for what, number in count.most_common()
    ]


def execute(
    planned: Plan,
    *,
    results: Path,
    jobs: int | None = None,
    device: str = "auto",
    force: bool = False,
    keep_unvouched: bool = False,
    plugins: Sequence[Path] = (),
    report: Report | None = None,
) -> Outcome:
    """Run what is not on record. Records are on disk before the next cell starts.

    Raises:
        BenchError: the results cannot be written; what was written before is safe.
    """
    report = sheltered(report or Silent())
    store = store_of(planned, results)
    outcome = Outcome(planned, store)
    content = store.content()
    for message in [*content.faults, *conflicts(content.records)]:
        report.warn(message)
    if not force:
        found = on_record(planned, content.records, keep_unvouched)
        outcome.records = found.records
        outcome.reused = len(outcome.records)
        labels = {(cell.key, cell.row.label) for cell in planned.cells}
        for record in asked_again(content.records, outcome.records.values()):
            if (record.key, record.label) in labels:
                store.append(record)
        for message in stale_lines(found.stale):
            report.warn(message)
    # Rows of other names that ask the same are one cell.
    todo = list({cell.key: cell for cell in planned.cells if cell.key not in outcome.records}.values())
    for cell in todo:
        remember(cell.digests)
    suite = planned.suite
    try:
        where = resolve(device, suite.precision, suite.threads) if todo else None
        models = ModelQueue(planned, todo, where, report) if where else None
        report.begin(planned, todo, outcome.reused, store, len(models) if models else 0)
        if where and models is not None:
            cells = _CellQueue(outcome, todo, models, where, force or keep_unvouched, report)
            try:
                work([models, cells], jobs, where, plugins, report)
            finally:
                cells.release()
                kept.trim()
        outcome.records = {c.key: outcome.records[c.key] for c in planned.cells if c.key in outcome.records}
        report.end(outcome)
    finally:
        report.close()
    return outcome


def train_standard_models(
    planned: Plan, *, jobs: int | None = None, device: str = "auto", plugins: Sequence[Path] = (), report: Report
) -> dict[str, str]:
    """Train the standard models of a plan ahead of its cells; zoo key -> reason of those that could not be."""
    report = sheltered(report)
    where = resolve(device, planned.suite.precision, planned.suite.threads)
    models = ModelQueue(planned, planned.cells, where, report)
    try:
        if models:
            work([models], jobs, where, plugins, report)
    finally:
        report.close()
    return models.broken


class _CellQueue:
    """The cells of a run: what is waiting, what is in flight, what became of it."""

    def __init__(
        self, outcome: Outcome, todo: Sequence[Cell], models: ModelQueue, device: Device, force: bool, report: Report
    ) -> None:
        self.outcome, self.models, self.device, self.force, self.report = outcome, models, device, force, report
        self.waiting = list(todo)
        self._locks: dict[str, FileLock] = {}
        self._flight: dict[Future[Any], Cell] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def start(self, workers: Workers) -> bool:
        """Start one whose standard models are there, or settle one that cannot run, or that another run has done."""
        missing, broken = self.models.missing(), self.models.broken
        for cell in self.waiting:
            keys = self.models.places(cell)
            if not missing.isdisjoint(keys):
                continue
            if why := next((broken[k] for k in keys if k in broken), None):
                self.waiting.remove(cell)
                self._keep(cell, self._failure(cell, why))
                return True
            if not self._claim(cell):
                continue
            self.waiting.remove(cell)
            if not self._already_there(cell):
                self._flight[workers.submit(self._job(cell), cell.scenario.max_seconds)] = cell
            return True
        return False

    def futures(self) -> Iterable[Future[Any]]:
        """Of the cells that are being computed."""
        return self._flight

    def in_flight(self) -> dict[str, str]:
        """Key -> name."""
        return {cell.key: cell.name for cell in self._flight.values()}

    def finish(self, future: Future[Any]) -> None:
        """File the record; that of a cell whose worker could not write its own is made here."""
        cell = self._flight.pop(future)
        error = future.exception()
        if error is None:
            self._keep(cell, future.result())
        else:
            self._keep(cell, self._failure(cell, unpack_failure(error, cell.scenario.max_seconds)))

    def release(self) -> None:
        """Give up all claims."""
        for lock in self._locks.values():
            lock.release()

    def _claim(self, cell: Cell) -> bool:
        """Keep another run on the same results from computing the same cell; a killed run's claims vanish with it."""
        place = hashlib.sha256(str(self.outcome.store.path.resolve()).encode()).hexdigest()[:12]
        path = cache_root() / "claims" / f"{place}-{cell.key}"
        lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as error:
            raise BenchError(
                f"{path.parent} cannot be written ({error.strerror or error}): set BENCH_CACHE to a folder that can be"
            ) from error
        self._locks[cell.key] = lock
        return True

    def _already_there(self, cell: Cell) -> bool:
        """Another run may have finished the cell since this one began."""
        if self.force:
            return False
        alone = replace(self.outcome.plan, cells=(cell,))
        found = on_record(alone, self.outcome.store.read()).records.get(cell.key)
        if found is None:
            return False
        self.outcome.records[cell.key] = found
        self.outcome.reused += 1
        self._release(cell)
        self.report.reused(cell)
        return True

    def _release(self, cell: Cell) -> None:
        lock = self._locks.pop(cell.key, None)
        if lock is not None:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def _keep(self, cell: Cell, record: Record) -> None:
        if path := names.changed():
            raise BenchError(
                f"{path} was changed while the run went on, so that nobody knows on what code {cell.name} stands; "
                "finished cells are on record: start the run again"
            )
        self.outcome.store.append(record)
        self.outcome.records[cell.key] = record
        self.outcome.ran += 1
        self._release(cell)
        self.report.finished(cell, record)

    def _job(self, cell: Cell) -> Job:
        suite = self.outcome.plan.suite
        return Job(cell, suite.name, suite.profile, self.device, self.models.zoo_root)

    def _failure(self, cell: Cell, reason: str) -> Record:
        """The record of a cell whose worker could not write its own."""
        return record_of(self._job(cell), datetime.now(UTC), "failed", reason, params=cell.row.params)
