"""The loop that keeps workers busy with queues of jobs, and the queue of standard models."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, Protocol

from bench import environment
from bench.device import Device
from bench.models.keys import place
from bench.paths import zoo_root
from bench.running.aside import main_aside
from bench.running.cell import ZooJob
from bench.running.plan import Cell, Plan, StandardModel
from bench.running.progress import Report
from bench.running.workers import CannotStartError, Workers, default_jobs, read_progress, unpack_failure

TICK_SECONDS = 0.25
ZOO_SECONDS = 24 * 3600.0
"""Training a standard model has no limit of its own but this."""


class Queue(Protocol):
    """Jobs of one kind: those that wait, those in flight, and what becomes of them."""

    def __len__(self) -> int:
        """How many wait."""

    def start(self, workers: Workers) -> bool:
        """Start one job, or settle one that need not run; False if nothing can start now."""

    def futures(self) -> Iterable[Future[Any]]:
        """Of the jobs in flight."""

    def finish(self, future: Future[Any]) -> None:
        """Take the result of a job in flight."""

    def in_flight(self) -> dict[str, str]:
        """Key -> name of what is being computed."""


def work(queues: Sequence[Queue], jobs: int | None, device: Device, plugins: Sequence[Path], report: Report) -> None:
    """Keep the workers busy until nothing is left; earlier queues come first."""
    with environment.pinned(device.name), main_aside():  # also for those that replace a worker that died
        _work(queues, jobs, device, plugins, report)


def _work(queues: Sequence[Queue], jobs: int | None, device: Device, plugins: Sequence[Path], report: Report) -> None:
    folder = Path(tempfile.mkdtemp(prefix="ktbench-"))
    wanted = jobs or default_jobs(device.threads)
    workers = Workers(min(wanted, sum(map(len, queues))), device.threads, plugins, folder)
    flight: dict[Future[Any], Queue] = {}
    told: set[str] = set()
    try:
        while any(map(len, queues)) or flight:
            while len(flight) < workers.jobs and any(queue.start(workers) for queue in queues):
                flight = {future: queue for queue in queues for future in queue.futures()}
            done, _ = wait(flight, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                if isinstance(error := future.exception(), CannotStartError):
                    raise error
                flight.pop(future).finish(future)
            for missing in sorted(workers.missing - told):
                told.add(missing)
                report.warn(f"{missing} (docs/trust.md)")
            if not flight:
                time.sleep(TICK_SECONDS)  # what is left is being computed by another run
            report.tick({k: n for queue in queues for k, n in queue.in_flight().items()}, read_progress(folder))
        workers.close()
    except BaseException:
        workers.stop()
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ModelQueue:
    """The standard models that some cells need and the zoo lacks."""

    def __init__(self, planned: Plan, cells: Sequence[Cell], device: Device, report: Report) -> None:
        from bench.models.zoo import Zoo

        self.device, self.report = device, report
        self.zoo_root = zoo_root(device.name)
        zoo = Zoo(self.zoo_root, device)
        self.waiting = {k: m for k, m in planned.models(cells).items() if not zoo.has(m.spec)}
        self.broken: dict[str, str] = {}
        """Zoo key -> why the model could not be trained."""
        self._flight: dict[Future[Any], tuple[str, StandardModel]] = {}
        self._started: dict[str, float] = {}
        self._places: dict[int, tuple[str, ...]] = {}

    def places(self, cell: Cell) -> tuple[str, ...]:
        """The names in the zoo of the standard models of a cell."""
        found = self._places.get(id(cell.specs))  # the rows of a scenario and seed share one table of specs
        if found is None:
            found = self._places[id(cell.specs)] = tuple(sorted(map(place, cell.specs.values())))
        return found

    def __len__(self) -> int:
        return len(self.waiting)

    def missing(self) -> set[str]:
        """Zoo keys of the models that wait or are being trained."""
        return {*self.waiting, *(key for key, _ in self._flight.values())}

    def start(self, workers: Workers) -> bool:
        """Start one whose own start is there, or give up one whose start could not be trained."""
        missing = self.missing()
        for key, model in self.waiting.items():
            start = None if model.spec.init is None else place(model.spec.init)
            if start in missing:
                continue
            del self.waiting[key]
            if start in self.broken:
                self._give_up(key, self.broken[start])
            else:
                job = ZooJob(key, model, self.device, self.zoo_root)
                self._started[key] = time.monotonic()
                self._flight[workers.submit(job, ZOO_SECONDS)] = (key, model)
            return True
        return False

    def futures(self) -> Iterable[Future[Any]]:
        """Of the models that are being trained."""
        return self._flight

    def finish(self, future: Future[Any]) -> None:
        """The model is in the zoo, or given up."""
        key, model = self._flight.pop(future)
        error = future.exception()
        if error is None:
            self.report.trained(model.spec, time.monotonic() - self._started[key])
        else:
            self._give_up(key, f"standard model {model.spec.describe()}: {unpack_failure(error, ZOO_SECONDS)}")

    def in_flight(self) -> dict[str, str]:
        """Zoo key -> name."""
        return {key: f"train {model.spec.describe()}" for key, model in self._flight.values()}

    def _give_up(self, key: str, why: str) -> None:
        self.broken[key] = why
        self.report.warn(why)
