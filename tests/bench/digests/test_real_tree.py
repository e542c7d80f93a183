"""Files of the real tree that move cost no record."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


MOVES = {
    "bench/task/meter.py": "bench/task_room/metering.py",
    "bench/clock.py": "bench/task_room/clock.py",
    "bench/task/statistics.py": "bench/task_room/statistics.py",
    "bench/task/budget.py": "bench/task_room/budget.py",
    "bench/task/monitor.py": "bench/task_room/monitor.py",
    "bench/models/train.py": "bench/models/fitting.py",
    "bench/metrics/calibration.py": "bench/metrics/trust.py",
    "bench/scenarios/judging.py": "bench/scenarios/room/judging.py",
    "methods/fusion/state.py": "methods/fusion/states.py",
    "methods/merging/task_vectors.py": "methods/merging/vectors.py",
}
ASK = """
import json, sys
from bench import registry
from bench.running.cell_code import digests, values
registry.discover()
found = {}
for kind, method, archs in json.loads(sys.argv[1]):
    entry = registry.SCENARIOS.get(kind), registry.METHODS.get(method)
    found[f"{kind}/{method}"] = values(digests(*entry, [], archs, tuned=method == "ties"))
print(json.dumps(found))
"""
CELLS = json.dumps(
    [
        ["fuse", "regmean", ["mlp"]],
        ["merge", "ties", ["resnet8"]],
        ["unlearn", "scrub", ["vgg"]],
        ["datafree", "dafl", ["vit"]],
    ]
)


def test_ten_moved_files_and_a_rename_in_the_real_tree_cost_no_record(tmp_path):
    for package in ("bench", "methods"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = _asked(tmp_path)
    for old, new in MOVES.items():
        (tmp_path / new).parent.mkdir(exist_ok=True)
        (tmp_path / new).parent.joinpath("__init__.py").touch()
        (tmp_path / old).rename(tmp_path / new)
    names = {a[:-3].replace("/", "."): b[:-3].replace("/", ".") for a, b in MOVES.items()}
    for path in tmp_path.rglob("*.py"):
        text = path.read_text()
        for old, new in names.items():
            text = re.sub(rf"from {re.escape(old)} import", f"from {new} import", text)
            text = re.sub(rf"import {re.escape(old)}\b", f"import {new}", text)
        text = re.sub(r"^( *)from (bench|bench\.\w+|methods\.\w+) import ([\w, ]+)$", _redirected, text, flags=re.M)
        path.write_text(re.sub(r"\bseed_everything\b", "sow", text))
    assert _asked(tmp_path) == before


def _redirected(found: re.Match[str]) -> str:
    """`from bench.metrics import calibration, pairs` with the modules that were moved taken from where they are now."""
    indent, package, names = found.groups()
    lines = []
    for name in names.split(", "):
        new = MOVES.get(f"{package}.{name}".replace(".", "/") + ".py")
        home, _, last = (new or "")[:-3].replace("/", ".").rpartition(".")
        lines.append(f"{indent}from {home} import {last} as {name}" if new else f"{indent}from {package} import {name}")
    return "\n".join(lines)


def _asked(folder):
    done = subprocess.run(
        [sys.executable, "-c", ASK, CELLS],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
