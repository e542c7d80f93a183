"""Under what a number was computed: commit, versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.environment import processor_name
from bench.paths import PACKAGE
from bench.version import __version__

PACKAGES = ("torch", "numpy", "scipy", "numba", "pot", "scikit-learn")


@cache
def provenance() -> dict[str, Any]:
    """Commit (and whether the code differed from it), package versions, machine. Constant within a process."""
    return {
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "dirty": bool(
            _git("status", "--porcelain", "--", "bench", "methods", "suites", ":!bench/records/vouched.jsonl")
        ),
        "versions": {"python": platform.python_version(), "ktbench": __version__}
        | {p: v for p in PACKAGES if (v := _version(p))},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} x {processor_name()}",
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    root = PACKAGE.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
