"""The wheel works without the clone, on the lowest and on the newest versions of the dependencies that it allows.

Each of the two environments is installed from the package index. Where the index has no torch without CUDA for the
lowest version, that is four gigabytes to fetch and seven on disk, which are given back.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parents[2]

OWN = """
title = "Mine"
seeds = [0]
[data]
name = "digits"
train = 300
validation = 100
test = 200
[recipe]
epochs = 2
augment = "none"
[models.net]
arch = "mlp"
options = { width = 16 }
[scenarios.two]
kind = "fuse"
model = "net"
trials = 2
methods = [{ method = "ot-fusion", search = { reg = { low = 0.02, high = 0.2 } } }, "git-rebasin"]
[profiles.smoke]
"""
"""A suite of a user's own, with trials: what it needs (Optuna) no shipped suite needs at smoke size."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the clone. Skips where there is no package index."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(place), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("there is no package index, from which hatchling and all dependencies would come")
    assert done.returncode == 0, done.stderr
    (path,) = place.glob("*.whl")
    return path


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder away from the clone that is gone after the test: pytest keeps its own for three runs."""
    with tempfile.TemporaryDirectory(prefix="ktbench-wheel-") as folder:
        yield Path(folder).resolve()


def lowest() -> list[str]:
    """The dependencies, each at the lowest version that pyproject.toml allows."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.sub(r">=([^,]+).*", r"==\1", one) for one in wanted]


def call(place: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """A command in the user's empty folder, which knows nothing of the clone, of data, or of anybody's cache."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "PYTHON"))}
    return subprocess.run(
        [*map(str, words)],
        cwd=place / "user",
        env=outside | {"BENCH_CACHE": str(place / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def told(place: Path, *words: object) -> str:
    """What a command prints that ends well."""
    done = call(place, *words)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


def run(place: Path, *words: object) -> str:
    """What `bench run` prints in the end. Limits of cells are of the wall, and a busy machine may need a second run."""
    for _ in range(2):
        done = call(place, place / "venv" / "bin" / "bench", "run", *words, "--profile", "smoke")
        if "stopped after max_seconds" not in done.stdout:
            break
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


@pytest.mark.parametrize("versions", ["newest", "lowest"])
def test_suites_run_in_an_empty_folder(wheel: Path, place: Path, versions: str) -> None:
    venv.create(place / "venv", with_pip=True)
    python, command, user = place / "venv" / "bin" / "python", place / "venv" / "bin" / "bench", place / "user"
    user.mkdir()
    wanted = lowest() if versions == "lowest" else []
    told(place, python, "-m", "pip", "install", "--quiet", "--no-compile", wheel, *wanted)
    site = Path(told(place, python, "-c", "import bench; print(bench.__file__)").strip()).parents[1]
    assert site.is_relative_to(place)

    assert bench.__version__ in told(place, command, "--version")
    shipped = {Path(suite["path"]) for suite in json.loads(told(place, command, "list", "--json"))["suites"].values()}
    assert shipped == {site / "bench" / "suites" / path.name for path in (ROOT / "suites").glob("*.toml")}
    assert "profile smoke is sound" in told(place, command, "check", "digits")
    for inside, ours in {"bench/records/vouched.jsonl": None, "bench/contracts.md": "docs/contracts.md"}.items():
        assert (site / inside).read_bytes() == (ROOT / (ours or inside)).read_bytes()

    one = ("digits", "--only", "distill/*")
    assert "0 failed" in run(place, *one)
    assert "0 cells to run" in run(place, *one)
    board = user / "results" / "digits" / "smoke.md"
    before = board.read_bytes()
    told(place, command, "leaderboard", "digits", "--profile", "smoke")
    assert board.read_bytes() == before
    assert {path.suffix for path in board.parent.iterdir()} >= {".jsonl", ".md", ".csv", ".html"}

    (user / "mine.toml").write_text(OWN)
    assert "0 failed" in run(place, "mine.toml")
    frame = told(place, python, "-c", "import bench; print(*bench.load_results('results')['status'].unique())")
    assert frame.split() == ["ok"]
    named = [path for path in (user / "results").rglob("*") if path.is_file() and str(ROOT) in path.read_text()]
    assert named == []
