"""What every test may use: an empty cache, the toy plugin, and a suite file written on the spot."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from bench.registry import PLUGIN

TOY = Path(__file__).parent / "toy.py"
ROOT = TOY.parent.parent

settings.register_profile("untimed", deadline=None)  # on a busy machine hypothesis' deadline fails what is right
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Every cell ends with a collection of garbage, which need not go through all that was imported: 0.3 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    return cache


@pytest.fixture(autouse=True)
def own_plugins(tmp_path: Path) -> Iterator[None]:
    """Plug-ins that a test wrote are not there for the next one: a server of methods imports all that are loaded."""
    yield
    for name, module in list(sys.modules.items()):
        if name.startswith(PLUGIN) and Path(str(module.__file__)).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture(scope="session")
def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of pytest that all its processes share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "common"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def common_cache(common_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`BENCH_CACHE`, shared by the tests that ask for it: sets are drawn and standard models trained once for all."""
    cache = common_folder / "cache"
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    return cache


@pytest.fixture
def toy() -> Path:
    """The toy plugin, registered in this process."""
    from bench import registry

    registry.discover()
    registry.load_plugin(TOY)
    return TOY


TOY_SUITE = """
title = "Toy"
seeds = [0, 1]

[data]
name = "digits"

[scenarios.hand]
kind = "toy"
methods = ["toy-noisy-mean"]

[claims.means]
paper = "folklore"
says = "A mean beats a constant"
scenario = "hand"
compare = { better = "toy-nearest-mean", worse = "toy-constant" }

[profiles.smoke]
"""


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[..., Path]:
    """`write_suite(methods=..., text=...)` -> path of a suite file; the toy suite unless told otherwise."""

    def write(methods: list[str] | None = None, text: str = TOY_SUITE, name: str = "toysuite", more: str = "") -> Path:
        if methods is not None:
            text = text.replace('["toy-noisy-mean"]', str(methods))
        path = tmp_path / f"{name}.toml"
        path.write_text(text + more)
        return path

    return write


class Clock:
    """Time that passes only when a test says so. Told in binary fractions, differences are exact."""

    def __init__(self) -> None:
        self.wall, self.processor = 1024.0, 16.0

    def passes(self, seconds: float) -> None:
        """The process works."""
        self.wall += seconds
        self.processor += seconds

    def waits(self, seconds: float) -> None:
        """The process waits: none of its own time goes by."""
        self.wall += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What `time.perf_counter` and `time.process_time` go by: `clock.passes(0.5)`."""
    hands = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: hands.wall)
    monkeypatch.setattr(time, "process_time", lambda: hands.processor)
    return hands


class InProcess:
    """In place of `bench.running.workers.Workers`: each job is done at once, in this process."""

    missing: frozenset[str] = frozenset()

    def __init__(self, *_: object) -> None:
        self.jobs = 1

    def submit(self, job: object, max_seconds: float) -> Future[object]:
        from bench.running.cell import Job, run_cell, told, train_standard_model
        from bench.running.workers import JobError

        future: Future[object] = Future()
        try:
            future.set_result((run_cell if isinstance(job, Job) else train_standard_model)(job, lambda *_: None))
        except BaseException as raised:
            future.set_exception(JobError(told(raised)))
        return future

    def close(self) -> None:
        pass

    stop = close


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs start no worker processes, which cost seconds each; for tests whose subject is something else."""
    monkeypatch.setattr("bench.running.queues.Workers", InProcess)


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_workers: None) -> Callable[..., Ended]:
    """`command("run", suite, ...)` does what `python -m bench` does, with the toy plugin, in this process."""
    from bench import registry
    from bench.cli.main import main

    registry.discover()
    for known in (registry.METHODS, registry.SCENARIOS):  # plug-ins of one test are none of the next one's
        monkeypatch.setattr(known, "entries", dict(known.entries))
    monkeypatch.chdir(tmp_path)

    def call(*words: object, plugin: bool = True) -> Ended:
        plugins = ["--plugin", str(TOY)] if plugin else []
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, words), *plugins])
        out, err, code = io.StringIO(), io.StringIO(), 0
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
        return Ended(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`program("run", suite, ...)` runs `python -m bench` with the toy plugin, as a process with workers of its own."""

    def call(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bench", *map(str, words), "--plugin", str(TOY)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call
