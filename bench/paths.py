"""Where things lie: data (`BENCH_DATA`) and the cache of standard models and made data (`BENCH_CACHE`)."""

from __future__ import annotations

import os
from pathlib import Path


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
