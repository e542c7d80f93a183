"""What every test may use: an empty cache, the toy plugin, and a suite file written on the spot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

TOY = Path(__file__).parent / "toy.py"
ROOT = TOY.parent.parent

settings.register_profile("untimed", deadline=None)  # on a busy machine hypothesis' deadline fails what is right
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    monkeypatch.delenv("BENCH_DATA", raising=False)
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


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`command("run", suite, ...)` runs `python -m bench` with the toy plugin in a process of its own."""

    def call(*words: object, plugin: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        plugins = ["--plugin", str(TOY)] if plugin else []
        return subprocess.run(
            [sys.executable, "-m", "bench", *map(str, words), *plugins],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call
