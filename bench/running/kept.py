"""Results of methods, kept in the cache, so that metrics can be computed anew without running the methods again.

    <cache>/results/<key of the cell>.safetensors

A file holds what the method returned, on each repeat as well, and what observers were told: as entries of tensors, and
as the text that says what they are entries of (`bench.method_process.forms`). Code has no such form and is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_whole
from bench.paths import cache_root

if TYPE_CHECKING:
    from torch import nn

LIMIT = 8 * 2**30
"""Bytes of all files together; the oldest go first."""


def folder() -> Path:
    """Where they lie."""
    return cache_root() / "results"


def keep(key: str, digests: Mapping[str, str], things: Mapping[str, Any], granted: Collection[type[nn.Module]]) -> None:
    """Keep what a cell's method returned; nothing where it is code.

    Args:
        key: of the cell.
        digests: of its code.
        things: what to keep, by name.
        granted: classes of networks that the method was given.

    Raises:
        BenchError: the cache cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save

    from bench.method_process import forms
    from bench.method_process.wire import flattened

    try:
        packed = forms.pack(dict(things), granted)
        flat = [flattened(tensor) for tensor in packed.tensors]
        layouts = [[list(t.shape), strides] for t, (_, strides) in zip(packed.tensors, flat, strict=True)]
        about = {"form": packed.text, "layouts": json.dumps(layouts), "digests": json.dumps(dict(digests))}
        content = save({str(number): entries.clone() for number, (entries, _) in enumerate(flat)}, about)
    except (forms.NotPlainError, SafetensorError, KeyError):  # the latter two: a type of number that files cannot hold
        return
    write_whole(folder() / f"{key}.safetensors", content)


def find(key: str, digests: Mapping[str, str], granted: Collection[type[nn.Module]]) -> dict[str, Any] | None:
    """What was kept of a cell that ran on this code, by name; None where nothing was, or of other code.

    Args:
        key: of the cell.
        digests: part of the code -> digest, of all parts that lead to the results.
        granted: classes of networks that its method is given.

    Raises:
        BadResult: the file is spoilt.
    """
    from safetensors import SafetensorError, safe_open

    from bench.method_process import forms

    path = folder() / f"{key}.safetensors"
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            if not digests.items() <= json.loads(about["digests"]).items():
                return None
            entries = [file.get_tensor(str(number)) for number in range(len(json.loads(about["layouts"])))]
    except (OSError, SafetensorError):
        return None
    layouts = json.loads(about["layouts"])
    tensors = [flat.as_strided(shape, strides) for flat, (shape, strides) in zip(entries, layouts, strict=True)]
    found: dict[str, Any] = forms.unpack(forms.Packed(about["form"], tensors), granted)
    return found


def trim(limit: int = LIMIT) -> None:
    """Remove the oldest files until the others take no more than the limit."""
    files = []
    for path in folder().glob("*.safetensors"):
        with suppress(OSError):
            found = path.stat()
            files.append((found.st_mtime, found.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            return
        with suppress(OSError):
            path.unlink()
            total -= size
