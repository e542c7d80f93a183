"""Where jobs run: worker processes of this machine, each job with a limit that really stops it."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.method_process.launcher import Server

from bench import environment
from bench.console import forgive
from bench.errors import BenchError
from bench.records.record import Record
from bench.running.cell import Job, ZooJob, run_cell, seed_everything, told, train_standard_model
from bench.running.rescoring import ScoreJob, rescored

_progress_folder: Path | None = None

GUARD = 'a script that calls bench.run does so under `if __name__ == "__main__":`'


class CannotStartError(BenchError):
    """No worker process comes up, so that no job can run."""


class JobError(Exception):
    """A job ended without a result; the message says why."""


@dataclass(frozen=True)
class Done:
    """What a worker sends back: plain data, whatever its job raised."""

    record: Record | None
    error: str | None
    missing: tuple[str, ...]
    """What the system does not offer to wall methods in (`bench.method_process.host.Server`)."""


class Workers:
    """Worker processes, one a job at a time. A process that is past the limit or dead is replaced."""

    def __init__(self, jobs: int, threads: int, plugins: Sequence[Path], progress_folder: Path) -> None:
        self.jobs = jobs
        self._start = (threads, tuple(plugins), progress_folder)
        self._context = multiprocessing.get_context("spawn")
        self._servants = ThreadPoolExecutor(jobs)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._stopped = False
        self.missing: set[str] = set()
        """What the system does not offer to wall methods in, as far as workers met it."""
        if getattr(multiprocessing.current_process(), "_inheriting", False):  # a worker that imports the user's script
            sys.exit(f"error: {GUARD}")

    def submit(self, job: Job | ScoreJob | ZooJob, max_seconds: float) -> Future[Record | None]:
        """Run a job.

        Its future raises TimeoutError past the limit, JobError where the job raised or ended its process, and
        CannotStartError where there is no process to run it.
        """
        return self._servants.submit(self._serve, job, max_seconds)

    def stop(self) -> None:
        """End the workers at once; jobs in flight are lost."""
        with self._lock:
            self._stopped = True
            for worker in self._all:
                worker.process.kill()
        self._servants.shutdown()
        for worker in list(self._all):
            self._end(worker)

    def close(self) -> None:
        """End the idle workers."""
        self.stop()

    def _serve(self, job: Job | ScoreJob | ZooJob, max_seconds: float) -> Record | None:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or self._started()
        done = None
        try:
            done = worker.do(job, max_seconds)
        finally:
            if done is not None:
                self._idle.append(worker)
            else:
                self._end(worker)
        self.missing |= set(done.missing)
        if done.error is not None:
            raise JobError(done.error)
        return done.record

    def _started(self) -> _Worker:
        for _ in range(2):  # the first may have been the victim of a moment without memory
            with self._lock:
                if self._stopped:
                    raise CannotStartError("the run was stopped")
                worker = _Worker(self._context, self._start)
                self._all.add(worker)
            if worker.comes_up():
                return worker
            self._end(worker)
        code = worker.process.exitcode
        raise CannotStartError(f"worker processes end (exit code {code}) before they take a job: {GUARD}")

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.ours.close()
        with self._lock:
            self._all.discard(worker)


class _Worker:
    """A process, and our end of the pipe to it."""

    def __init__(self, context: SpawnContext, start: tuple[Any, ...]) -> None:
        self.ours, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, *start))
        self.process.start()
        theirs.close()

    def comes_up(self) -> bool:
        """Wait until it is ready, or dead."""
        return self._told(math.inf) is not None

    def do(self, job: Job | ScoreJob | ZooJob, max_seconds: float) -> Done:
        """Have it do a job. Raises TimeoutError, or JobError where it dies."""
        try:
            self.ours.send(job)
        except OSError:  # it died since its last job
            return self._dead()
        found = self._told(max_seconds)
        return found if found is not None else self._dead()

    def _told(self, seconds: float) -> Any:
        """What it sends within so many seconds; None if it dies instead, by whatever exit code."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if wait([self.ours, self.process.sentinel], timeout=min(left, 3600.0)):
                try:
                    return self.ours.recv() if self.ours.poll() else None
                except (EOFError, OSError):
                    return None
        raise TimeoutError

    def _dead(self) -> Done:
        self.process.join(1)
        code = self.process.exitcode
        raise JobError(f"its worker process died (exit code {code}; -9 is what running out of memory looks like)")


def default_jobs(threads: int) -> int:
    """As many cells at once as the cores that this process may use allow, at `threads` each."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, usable // threads)


def read_progress(folder: Path) -> dict[str, tuple[int, int]]:
    """Cell key -> (done, total) as last told by the methods in flight."""
    told = {}
    for path in folder.glob("*.progress"):
        try:
            done, total = path.read_text().split()
            told[path.stem] = (int(done), int(total))
        except (OSError, ValueError):  # being written this moment
            continue
    return told


def _work(pipe: Connection, threads: int, plugins: tuple[Path, ...], progress_folder: Path) -> None:
    """The life of a worker process, the judge of its cells: one job after the other."""
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C, and a cluster's polite kill, are the run's to handle
        signal.signal(number, signal.SIG_IGN)
    _start_worker(threads, plugins, progress_folder)
    from bench.method_process.launcher import Server

    server = Server(plugins)
    pipe.send("ready")
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(_done(job, server))


def _done(job: Job | ScoreJob | ZooJob, server: Server) -> Done:
    seed_everything(0)  # nothing is to depend on what an earlier job drew
    try:
        return Done(_run(job, server), None, server.missing)
    except BaseException as raised:  # also what only pretends to end the process
        return Done(None, told(raised), server.missing)


def _start_worker(threads: int, plugins: tuple[Path, ...], progress_folder: Path) -> None:
    global _progress_folder
    _end_with_parent()
    forgive()  # a method that tells something is not to fail because nobody listens
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    import torch

    from bench import registry

    torch.set_num_threads(threads)
    registry.discover_scenarios()
    for plugin in filter(registry.brings_a_scenario, plugins):
        registry.load_plugin(plugin)
    environment.canary()
    _progress_folder = progress_folder


def _end_with_parent() -> None:
    """A worker whose run was killed ends too, and does not go on computing for nobody."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(job: Job | ScoreJob | ZooJob, server: Server) -> Record | None:
    if isinstance(job, ZooJob):
        train_standard_model(job, _teller(job.key))
        return None
    if isinstance(job, ScoreJob):
        return rescored(job.job, job.record)
    return run_cell(job, _teller(job.cell.key), server)


def _teller(key: str) -> Callable[[int, int], None]:
    """A `progress(done, total)` that writes at most five times a second: a file, since a killed process
    could take the lock of a queue with it.
    """
    assert _progress_folder is not None
    path, last = _progress_folder / f"{key}.progress", 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > 0.2:
            last = now
            with contextlib.suppress(OSError):  # a full disk must not fail a method
                path.write_text(f"{done} {total}")

    return progress


def unpack_failure(error: BaseException, max_seconds: float) -> str:
    """The reason of a failed record, for a job that its process did not survive."""
    if isinstance(error, TimeoutError):
        return f"stopped after max_seconds = {max_seconds:g}"
    return str(error) if isinstance(error, JobError) else f"{type(error).__name__}: {error}"
