"""Data sets by name, their identity, and the parts that a scenario hands out. Imported light: no NumPy, no torch.

`DATASETS` name -> description. `identify` says which data a suite will see, `load` gives them, `load_like` gives
another set at the same shape, `select` names rows, `noise_images` draws noise; `describe`, `fetch` and `verify`
look after what lies on disk.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.data.catalogue import SOURCES

if TYPE_CHECKING:
    from bench.data.holdings import Holding, describe, fetch, verify
    from bench.data.identity import Identity, identify
    from bench.data.images.kind import noise_images
    from bench.data.loading import load, load_like
    from bench.data.rows import select

__all__ = [
    "DATASETS",
    "Holding",
    "Identity",
    "describe",
    "fetch",
    "identify",
    "load",
    "load_like",
    "noise_images",
    "select",
    "verify",
]

DATASETS: dict[str, str] = {name: source.description for name, source in SOURCES.items()}

_HOMES = {
    "holdings": ("Holding", "describe", "fetch", "verify"),
    "identity": ("Identity", "identify"),
    "images.kind": ("noise_images",),
    "loading": ("load", "load_like"),
    "rows": ("select",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"bench.data.{home}"), name)
    raise AttributeError(f"module 'bench.data' has no attribute {name!r}")
