"""`rescore`: new or mended metrics for records whose results are kept, without running their methods again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.device import resolve
from bench.records.counting import latest
from bench.records.record import Record
from bench.records.store import Store
from bench.running.cell import Job
from bench.running.cell_code import values
from bench.running.plan import Cell, Plan
from bench.running.progress import Report
from bench.running.queues import ModelQueue, work
from bench.running.rescoring import ScoreJob
from bench.running.runner import store_of
from bench.running.workers import Workers, unpack_failure


@dataclass
class Rescored:
    """What became of the records whose score is of other code."""

    done: int = 0
    lacking: int = 0
    """No result is kept of them."""
    failed: dict[str, str] = field(default_factory=dict)
    """Name of the cell -> why."""
    elsewhere: Counter[str] = field(default_factory=Counter)
    """Parts of the code, beside the score, that moved -> how many records: these have to run, or be vouched for."""


def rescore(
    planned: Plan, *, results: Path, jobs: int | None, device: str, plugins: Sequence[Path], report: Report
) -> Rescored:
    """Score the kept results again of every record of a plan that stands on other code in its score alone.

    Each new record is on disk before the next is computed; the old ones stay in the file, before it.
    """
    store, found = store_of(planned, results), Rescored()
    last = latest(store.read())
    todo: list[tuple[Cell, Record]] = []
    for cell in planned.cells:
        record = last.get(cell.key)
        if record is None or record.status != "ok":
            continue
        today = values(cell.digests)
        moved = {part for part in today if record.digests.get(part) != today[part]}
        if moved == {"score"}:
            todo.append((cell, record))
        elif "score" in moved:
            found.elsewhere[", ".join(sorted(moved - {"score"}))] += 1
    where = resolve(device, planned.suite.precision, planned.suite.threads)
    models = ModelQueue(planned, [cell for cell, _ in todo], where, report)
    queue = _Queue(planned, store, models, todo, found)
    try:
        if todo:
            work([models, queue], jobs, where, plugins, report)
    finally:
        report.close()
    return found


class _Queue:
    """Records that wait for their score, and those in flight."""

    def __init__(
        self, planned: Plan, store: Store, models: ModelQueue, todo: list[tuple[Cell, Record]], found: Rescored
    ) -> None:
        self.planned, self.store, self.models, self.waiting, self.found = planned, store, models, todo, found
        self._flight: dict[Future[Any], Cell] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def start(self, workers: Workers) -> bool:
        """Start one whose standard models are there."""
        missing = self.models.missing()
        for place, (cell, record) in enumerate(self.waiting):
            if missing.isdisjoint(self.models.places(cell)):
                del self.waiting[place]
                suite = self.planned.suite
                job = Job(cell, suite.name, suite.profile, self.models.device, self.models.zoo_root)
                self._flight[workers.submit(ScoreJob(job, record), cell.scenario.max_seconds)] = cell
                return True
        return False

    def futures(self) -> Iterable[Future[Any]]:
        """Of the records that are being scored."""
        return self._flight

    def in_flight(self) -> dict[str, str]:
        """Key -> name."""
        return {cell.key: cell.name for cell in self._flight.values()}

    def finish(self, future: Future[Any]) -> None:
        """File the new record, or say why there is none."""
        cell = self._flight.pop(future)
        if (error := future.exception()) is not None:
            self.found.failed[cell.name] = unpack_failure(error, cell.scenario.max_seconds)
        elif (record := future.result()) is None:
            self.found.lacking += 1
        else:
            self.store.append(record)
            self.found.done += 1
