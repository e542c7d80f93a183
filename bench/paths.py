"""Where things lie: data (`BENCH_DATA`) and the cache of standard models and made data (`BENCH_CACHE`)."""

from __future__ import annotations

import os
from pathlib import Path

from bench import environment

PACKAGE = Path(__file__).parent
"""The folder of the package `bench`."""


def data_root() -> Path:
    """Folder of the data sets: `BENCH_DATA`, else the user's cache folder."""
    named = os.environ.get("BENCH_DATA")
    return Path(named) if named else cache_root() / "data"


def cache_root() -> Path:
    """Folder of everything that can be made again: `BENCH_CACHE`, else the user's cache folder."""
    named = os.environ.get("BENCH_CACHE")
    if named:
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("ktbench")


def zoo_root(device: str) -> Path:
    """Folder of the standard models that are trained in the environment of this device ("cpu", "cuda:0")."""
    return cache_root() / "zoo" / environment.kind(device)
