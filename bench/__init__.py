"""Which way of moving knowledge between neural networks really works, and at what price?

`bench.method` and `bench.scenario` register; `bench.run(suite)` and `bench.load_results(path)` give
pandas frames; `bench.zoo.load(suite, scenario, role)` gives a standard model; `bench.merge(method, models, out)`
merges checkpoints on disk. Names are imported when first used, so that `import bench` costs little.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.version import __version__ as __version__

if TYPE_CHECKING:
    from bench import zoo
    from bench.contracts import CONTRACT
    from bench.errors import AccessDenied, BenchError, Skip
    from bench.merging.merge import merge
    from bench.metrics.metric import Cost, Metric
    from bench.records.frame import load_results
    from bench.registry import method, scenario
    from bench.running.runner import run
    from bench.task.task import Access, Task

_PUBLIC = {
    "CONTRACT": "bench.contracts",
    "method": "bench.registry",
    "scenario": "bench.registry",
    "Access": "bench.task.task",
    "AccessDenied": "bench.errors",
    "BenchError": "bench.errors",
    "Cost": "bench.metrics.metric",
    "Metric": "bench.metrics.metric",
    "Skip": "bench.errors",
    "Task": "bench.task.task",
    "merge": "bench.merging.merge",
    "run": "bench.running.runner",
    "load_results": "bench.records.frame",
}
__all__ = [
    "CONTRACT",
    "Access",
    "AccessDenied",
    "BenchError",
    "Cost",
    "Metric",
    "Skip",
    "Task",
    "load_results",
    "merge",
    "method",
    "run",
    "scenario",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name == "zoo":
        return import_module("bench.zoo")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def _keep_kernels_where_they_can_be() -> None:
    """Have Numba keep what it compiles beside the code, else below `BENCH_CACHE`, else nowhere: it only saves time."""
    beside = Path(__file__).parent / "metrics" / "__pycache__"
    if "NUMBA_CACHE_DIR" in os.environ or os.access(beside if beside.is_dir() else beside.parent, os.W_OK):
        return
    from bench.paths import cache_root

    place = cache_root() / "numba"
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    if os.access(place, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(place)
        if "numba" in sys.modules:
            sys.modules["numba"].config.CACHE_DIR = str(place)
        return
    from numba.core.dispatcher import Dispatcher

    setattr(Dispatcher, "enable_caching", lambda _self: None)  # noqa: B010 - not what its type says


_keep_kernels_where_they_can_be()
