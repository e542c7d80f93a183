"""Data sets by name, their identity, and the parts that a scenario hands out. Imported light: no NumPy, no torch.

`DATASETS` name -> description. `identify` says which data a suite will see, `load` gives them, `load_like` gives
another set at the same shape, `select` names rows, `noise_images` draws noise.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.data.catalogue import SOURCES

if TYPE_CHECKING:
    from bench.data.identity import Identity, identify
    from bench.data.loading import load, load_like, noise_images
    from bench.data.rows import select

__all__ = ["DATASETS", "Identity", "identify", "load", "load_like", "noise_images", "select"]

DATASETS: dict[str, str] = {name: source.description for name, source in SOURCES.items()}

_HOME = {
    "Identity": "identity",
    "identify": "identity",
    "load": "loading",
    "load_like": "loading",
    "noise_images": "loading",
    "select": "rows",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bench.data' has no attribute {name!r}")
    return getattr(import_module(f"bench.data.{_HOME[name]}"), name)
