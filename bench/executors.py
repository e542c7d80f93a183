"""Where jobs run: worker processes of this machine, each job with a limit that really stops it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pebble import ProcessPool

from bench.cell import Job, ZooJob, run_cell, train_standard_model
from bench.console import forgive
from bench.records import Record

_progress_folder: Path | None = None


class Workers:
    """A pool of worker processes. A job past its limit is killed with its process, and the process replaced."""

    def __init__(self, jobs: int, threads: int, plugins: Sequence[Path], progress_folder: Path) -> None:
        self.jobs = jobs
        self._pool = ProcessPool(
            max_workers=jobs,
            initializer=_start_worker,
            initargs=(threads, tuple(plugins), progress_folder),
            context=multiprocessing.get_context("spawn"),
        )

    def submit(self, job: Job | ZooJob, max_seconds: float) -> Future[Record | None]:
        """Run a job; its future raises TimeoutError past the limit, ProcessExpired if the process died."""
        return self._pool.schedule(_run, args=(job,), timeout=max_seconds)

    def stop(self) -> None:
        """End the workers at once; jobs in flight are lost."""
        self._pool.stop()
        self._pool.join()

    def close(self) -> None:
        """End the idle workers."""
        self._pool.close()
        self._pool.join()


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


def _start_worker(threads: int, plugins: tuple[Path, ...], progress_folder: Path) -> None:
    global _progress_folder
    _end_with_parent()
    forgive()  # a method that tells something is not to fail because nobody listens
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    import torch

    import bench.data.loading
    import bench.meter
    import bench.models.zoo  # noqa: F401 - imported here, so that no cell's clock runs while modules load
    from bench import onednn, registry

    torch.set_num_threads(threads)
    onednn.go_round()
    registry.discover()
    for plugin in plugins:
        registry.load_plugin(plugin)
    _progress_folder = progress_folder


def _end_with_parent() -> None:
    """A worker whose run was killed ends too, and does not go on computing for nobody."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(job: Job | ZooJob) -> Record | None:
    if isinstance(job, ZooJob):
        train_standard_model(job, _teller(job.key))
        return None
    return run_cell(job, _teller(job.cell.key))


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
    code: Any = getattr(error, "exitcode", None)
    if code is not None:
        return f"its worker process died (exit code {code}; -9 is what running out of memory looks like)"
    return f"{type(error).__name__}: {error}"
