"""Runs a plan: standard models, then cells. What is on record stands; one failure loses nothing else."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from bench import registry
from bench import suite as suites
from bench.cell import Job, ZooJob
from bench.device import Device, resolve
from bench.executors import Workers, default_jobs, read_progress, unpack_failure
from bench.paths import cache_root
from bench.plan import Cell, Plan, model_key, plan
from bench.progress import Report, Silent
from bench.provenance import provenance
from bench.records import Record, Store, as_frame

if TYPE_CHECKING:
    import pandas as pd

    from bench.models.spec import ModelSpec

ZOO_SECONDS = 24 * 3600.0
"""Training a standard model has no limit of its own but this."""


@dataclass
class Outcome:
    """What a run did. `records` holds one record a cell of the plan, reused or new."""

    plan: Plan
    store: Store
    records: dict[str, Record] = field(default_factory=dict)
    reused: int = 0
    ran: int = 0

    @property
    def failed(self) -> list[Record]:
        """Records of cells that failed."""
        return [r for r in self.records.values() if r.status == "failed"]


def run(
    suite: str | Path,
    profile: str | None = None,
    *,
    seeds: Sequence[int] | None = None,
    only: str | None = None,
    jobs: int | None = None,
    device: str = "auto",
    force: bool = False,
    results: str | Path = "results",
    plugins: Sequence[str | Path] = (),
) -> pd.DataFrame:
    """Run a suite and return the records of its cells as a frame (see `bench.load_results`).

    Args:
        suite: path of a TOML file or the name of a shipped suite.
        profile: `smoke`, `cpu`, `gpu`; by default what suits this machine.
        seeds: in place of the suite's.
        only: run the cells whose `scenario/label/seed` matches this pattern.
        jobs: cells at once; by default as many as the cores allow.
        force: run cells again that are on record.
        results: folder that gets `<suite>/<profile>.jsonl`.
        plugins: files with methods or scenarios of your own.
    """
    loaded = [Path(p) for p in plugins]
    for path in loaded:
        registry.load_plugin(path)
    planned = plan(suites.load(suite, profile), tuple(seeds) if seeds else None, only)
    outcome = execute(planned, results=Path(results), jobs=jobs, device=device, force=force, plugins=loaded)
    return as_frame(outcome.records.values())


def store_of(planned: Plan, results: Path) -> Store:
    """The results file of a plan; what a stand-in gave lies in a folder of its own, `<suite>@<stand-in>`."""
    name = planned.suite.name if planned.stand_in_for is None else f"{planned.suite.name}@{planned.data.name}"
    return Store(results / name / f"{planned.suite.profile}.jsonl")


def on_record(planned: Plan, store: Store) -> dict[str, Record]:
    """Key -> record of the cells that need not run: same key, and not failed."""
    keys = {cell.key for cell in planned.cells}
    return {r.key: r for r in store.read() if r.key in keys and r.status != "failed"}


def execute(
    planned: Plan,
    *,
    results: Path,
    jobs: int | None = None,
    device: str = "auto",
    force: bool = False,
    plugins: Sequence[Path] = (),
    report: Report | None = None,
) -> Outcome:
    """Run what is not on record. Records are on disk before the next cell starts.

    Raises:
        BenchError: the results cannot be written; what was written before is safe.
    """
    report = report or Silent()
    store = store_of(planned, results)
    outcome = Outcome(planned, store)
    if message := store.torn():
        report.warn(message)
    if not force:
        outcome.records = on_record(planned, store)
        outcome.reused = len(outcome.records)
    todo = [cell for cell in planned.cells if cell.key not in outcome.records]
    suite = planned.suite
    try:
        report.begin(planned, todo, outcome.reused, store)
        if todo:
            _Run(outcome, todo, resolve(device, suite.precision, suite.threads), force, report).go(jobs, plugins)
        outcome.records = {c.key: outcome.records[c.key] for c in planned.cells if c.key in outcome.records}
        report.end(outcome)
    finally:
        report.close()
    return outcome


def train_standard_models(
    planned: Plan, *, jobs: int | None = None, device: str = "auto", plugins: Sequence[Path] = (), report: Report
) -> dict[str, str]:
    """Train the standard models of a plan ahead of its cells; zoo key -> reason of those that could not be."""
    suite = planned.suite
    outcome = Outcome(planned, Store(Path("unused")))
    run = _Run(outcome, list(planned.cells), resolve(device, suite.precision, suite.threads), False, report)
    run.cells = []
    try:
        if run.models:
            run.go(jobs, plugins)
    finally:
        report.close()
    return run.broken


class _Run:
    """The state of one run: what is waiting, what is in flight, what became of it."""

    def __init__(self, outcome: Outcome, todo: list[Cell], device: Device, force: bool, report: Report) -> None:
        from bench.models.zoo import Zoo

        self.outcome, self.device, self.force, self.report = outcome, device, force, report
        self.zoo_root = cache_root() / "zoo"
        zoo = Zoo(self.zoo_root, device)
        specs = outcome.plan.specs(tuple(todo))
        self.models: dict[str, ModelSpec] = {k: s for k, s in specs.items() if not zoo.has(s)}
        self.broken: dict[str, str] = {}
        """Zoo key -> why the model could not be trained."""
        self.cells = list(todo)
        self.locks: dict[str, FileLock] = {}
        self.flight: dict[Future[Any], Cell | str] = {}
        """Future -> the cell, or the zoo key of the model, that it computes."""
        self._in_training: dict[str, ModelSpec] = {}

    def go(self, jobs: int | None, plugins: Sequence[Path]) -> None:
        """Keep the workers busy until nothing is left."""
        jobs = jobs or default_jobs(self.device.threads)
        folder = Path(tempfile.mkdtemp(prefix="ktbench-"))
        workers = Workers(min(jobs, len(self.cells) + len(self.models)), self.device.threads, plugins, folder)
        try:
            while self.cells or self.models or self.flight:
                while len(self.flight) < workers.jobs and self._start_next(workers):
                    pass
                done, _ = wait(self.flight, timeout=0.25, return_when=FIRST_COMPLETED)
                for future in done:
                    self._finish(future)
                self.report.tick(self._in_flight(), read_progress(folder))
            workers.close()
        except BaseException:
            workers.stop()
            raise
        finally:
            for lock in self.locks.values():
                lock.release()
            shutil.rmtree(folder, ignore_errors=True)

    def _in_flight(self) -> dict[str, str]:
        """Key -> name of what is being computed."""
        return {
            item if isinstance(item, str) else item.key: (
                f"train {self._in_training[item].describe()}" if isinstance(item, str) else item.name
            )
            for item in self.flight.values()
        }

    def _start_next(self, workers: Workers) -> bool:
        """Start one job, models before cells; False if nothing can start now."""
        training = {item for item in self.flight.values() if isinstance(item, str)}
        missing = {*self.models, *training}
        for name, spec in self.models.items():
            if spec.init is None or model_key(spec.init) not in missing:
                if spec.init is not None and (why := self.broken.get(model_key(spec.init))):
                    self._give_up(name, why)
                    return True
                training_job = ZooJob(name, spec, self.device, self.zoo_root)
                self.flight[workers.submit(training_job, ZOO_SECONDS)] = name
                self._in_training[name] = self.models.pop(name)
                return True
        for cell in self.cells:
            keys = {model_key(spec) for spec in cell.specs.values()}
            if keys & missing:
                continue
            if why := next((self.broken[k] for k in sorted(keys) if k in self.broken), None):
                self.cells.remove(cell)
                self._keep(cell, self._failure(cell, why))
                return True
            if not self._claim(cell):
                continue
            self.cells.remove(cell)
            if self._already_there(cell):
                return True
            suite = self.outcome.plan.suite
            identity = self.outcome.plan.data_identity
            job = Job(cell, suite.name, suite.profile, identity, self.device, self.zoo_root)
            self.flight[workers.submit(job, cell.scenario.max_seconds)] = cell
            return True
        return False

    def _claim(self, cell: Cell) -> bool:
        """Keep another run on the same results from computing the same cell; a killed run's claims vanish with it."""
        place = hashlib.sha256(str(self.outcome.store.path.resolve()).encode()).hexdigest()[:12]
        path = cache_root() / "claims" / f"{place}-{cell.key}"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self.locks[cell.key] = lock
        return True

    def _already_there(self, cell: Cell) -> bool:
        """Another run may have finished the cell since this one began."""
        if self.force:
            return False
        found = on_record(self.outcome.plan, self.outcome.store).get(cell.key)
        if found is None:
            return False
        self.outcome.records[cell.key] = found
        self.outcome.reused += 1
        self._release(cell)
        self.report.reused(cell)
        return True

    def _release(self, cell: Cell) -> None:
        lock = self.locks.pop(cell.key, None)
        if lock is not None:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def _finish(self, future: Future[Any]) -> None:
        item = self.flight.pop(future)
        error = future.exception()
        if isinstance(item, str):
            spec = self._in_training.pop(item)
            if error is not None:
                self._give_up(item, f"standard model {spec.describe()}: {unpack_failure(error, ZOO_SECONDS)}")
            else:
                self.report.trained(spec)
            return
        if error is not None:
            record = self._failure(item, unpack_failure(error, item.scenario.max_seconds))
        else:
            record = future.result()
        self._keep(item, record)

    def _give_up(self, name: str, why: str) -> None:
        self.models.pop(name, None)
        self.broken[name] = why
        self.report.warn(why)

    def _keep(self, cell: Cell, record: Record) -> None:
        self.outcome.store.append(record)
        self.outcome.records[cell.key] = record
        self.outcome.ran += 1
        self._release(cell)
        self.report.finished(cell, record)

    def _failure(self, cell: Cell, reason: str) -> Record:
        """The record of a cell whose worker could not write its own."""
        suite = self.outcome.plan.suite
        return Record(
            key=cell.key,
            suite=suite.name,
            profile=suite.profile,
            scenario=cell.scenario.name,
            kind=cell.scenario.kind,
            method=cell.row.method,
            label=cell.row.label,
            params=cell.row.params,
            seed=cell.seed,
            status="failed",
            reason=reason,
            data=self.outcome.plan.data_identity,
            provenance=provenance()
            | {
                "device": self.device.name,
                "precision": self.device.precision,
                "threads": self.device.threads,
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": None,
            },
            recipe=cell.recipe,
        )
