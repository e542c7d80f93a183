"""Numba's cache saves time and is no precondition: it lies where it can be written, or nowhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bench

ROOT = Path(__file__).parents[2]
KERNEL = "from bench.metrics.sorting import order_key; import os; print(os.environ.get('NUMBA_CACHE_DIR'))"


def told(folder, **environment):
    """What a process says that imports a kernel out of a copy of the package that cannot be written."""
    shutil.copytree(ROOT / "bench", folder / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    blocked = "import os; access = os.access; os.access = lambda p, m: 'none' not in str(p) and access(p, m); "
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")} | environment
    done = subprocess.run(
        [sys.executable, "-c", blocked + KERNEL],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/proc/none"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_kernels_are_kept_below_the_cache_where_the_package_cannot_be_written(tmp_path):
    folder = tmp_path / "none"
    assert told(folder, BENCH_CACHE=str(tmp_path / "cache")) == str(tmp_path / "cache" / "numba")


def test_kernels_are_kept_nowhere_where_nothing_can_be_written(tmp_path):
    assert told(tmp_path / "none", BENCH_CACHE="/proc/none/cache") == "None"


def test_the_users_own_choice_stands(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/elsewhere")
    monkeypatch.setattr(os, "access", lambda *_: False)
    bench._keep_kernels_where_they_can_be()
    assert os.environ["NUMBA_CACHE_DIR"] == "/elsewhere"
