"""`bench.merge`: the project's merging methods that need weights alone, on checkpoints, piece by piece."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import registry
from bench.checkpoints.comparing import Matched, matched, refuse_equal, row_blocks
from bench.checkpoints.dtypes import KNOWN, NAMES, WEIGHTS, finite
from bench.checkpoints.reading import Checkpoint, open_checkpoint
from bench.draws import seed_of
from bench.errors import BenchError, CheckpointError, near_miss
from bench.merging.files import Layout, Output, output, record_of
from bench.merging.spreading import Piece, pieces, spread
from bench.registry import Method
from bench.scenarios.merge.in_pieces import IN_PIECES, InPieces, piece, tensors_of
from bench.scenarios.merge.scenario import MergeTask
from bench.suite.faults import checked
from bench.version import __version__

AT_ONCE = 2**22
"""Entries of a tensor that is only copied which are in memory at once."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Merged:
    """What `merge` has made."""

    out: Path
    """The file or folder."""
    record: Path
    """JSON: method, settings, seed, the inputs with the sha256 of each file, what was not merged, version."""
    about: Mapping[str, Any]
    """What stands in the record."""


def merge(
    method: str,
    models: Sequence[str | Path],
    out: str | Path,
    *,
    base: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    keep: Sequence[str] = (),
    dtype: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Merged:
    """Merge checkpoints on disk by a method of this project, without having them in memory.

        bench.merge("ties", ["a.safetensors", "b.safetensors"], "merged.safetensors", base="base.safetensors")

    A checkpoint is a safetensors file, a torch file of tensors alone, an index of shards (`*.index.json`), or a Hugging
    Face folder. `module.` and `_orig_mod.` before all names are taken off. The base, or else the first model, says
    which tensors the result has, in which dtype, and how it is split; its config and tokenizer are copied along. Half
    precision is computed in float32, and everything in float64 where one weight is. Running statistics are averaged;
    counters, indices and masks are the base's. Tied weights are merged once.

    In memory is what is being merged: pieces of some megabytes a model (average, task arithmetic, TIES), tensors
    (SLERP, DARE, Breadcrumbs, TSV, Iso; side by side no more than the largest has), or all of it (KnOTS).

    Args:
        method: the name of a method that needs weights alone; any other name is answered with those that do.
        models: the checkpoints to merge.
        out: a file that ends in .safetensors, or a folder; nothing may be there. It is there when it is whole. A folder
            that was interrupted goes on with its next shard when the same is asked again.
        base: what all models were tuned from; methods that add task vectors need it.
        settings: hyperparameters of the method, as a suite would give them.
        keep: shell patterns of tensors that are not merged but taken from the base, or from the first that has them;
            heads of different sizes, for instance.
        dtype: of all weights of the result: float64, float32, float16 or bfloat16.
        seed: of random draws (DARE).
        progress: called as progress(what, done, in_all), in entries.

    Raises:
        CheckpointError: a checkpoint cannot be read, they do not go together, are equal, have weights that are NaN or
            infinite, or the result cannot be written. The message names file and tensor.
        SuiteError: a setting is unknown or out of bounds.
        BenchError: there is no such method, it needs more than weights, or a base.
    """
    entry, how = _method(method)
    params = checked(registry.parameters(entry), dict(settings or {}), f"merge {method}", "settings")
    chosen = {name: getattr(params, name) for name in type(params).model_fields}
    target = _target(out, dtype)
    opened, start = _open(how, models, base)
    found = matched(opened, start, keep)
    everybody = [*([start] if start is not None else []), *opened]
    if not found.merged:
        raise CheckpointError("nothing is left to merge: --keep names every tensor")
    refuse_equal(everybody, found.merged)
    show = progress or (lambda _what, _done, _in_all: None)
    hashes = _hashes(everybody, show)
    about = {
        "made by": f"ktbench {__version__}",
        "method": method,
        "paper": entry.paper,
        "settings": chosen,
        "seed": seed,
        "base": hashes[0] if start is not None else None,
        "models": hashes[-len(opened) :],
        "keep": list(keep),
        "kept": {name: str(checkpoint.path) for name, checkpoint in found.kept.items()},
        "tied": found.tied,
        "dtype": dtype,
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    layout = _layout(everybody[0], found, dtype)
    with output(target, everybody[0], layout, about, key, dtype) as files:
        _Work(how, start, opened, found, layout, chosen, seed, show).run(files)
    return Merged(target, record_of(target), about)


def methods() -> list[str]:
    """The names of the methods that merge checkpoints."""
    registry.discover()
    return sorted(IN_PIECES)


@dataclass(frozen=True)
class _Work:
    """One merge: how, and of what."""

    how: InPieces
    base: Checkpoint | None
    models: Sequence[Checkpoint]
    found: Matched
    layout: Layout
    settings: Mapping[str, Any]
    seed: int
    show: Progress

    def run(self, files: Output) -> None:
        """Write every tensor of the result."""
        todo = pieces(self._first, self.found.merged, self.how.of)
        merge = self.how.begin(partial(self._look, todo), **self.settings)
        also: dict[str, list[str]] = {}
        for alias, name in self.found.tied.items():
            also.setdefault(name, []).append(alias)
        wanted = [p for p in todo if any(n in files.writers for name in p.names for n in (name, *also.get(name, ())))]

        def work(one: Piece) -> None:
            for name, value in tensors_of(merge(self._task(one))).items():
                for twin in (name, *also.get(name, ())):
                    files.write(twin, self._cast(twin, value), one.rows.start if one.rows else 0)

        for name, checkpoint in self.found.kept.items():
            dtype, shape = self.layout[name]
            for rows in row_blocks(shape, AT_ONCE) if name in files.writers else ():
                files.write(name, checkpoint.read(name, rows).to(KNOWN[dtype]), rows.start if rows else 0)
        spread(work, wanted, partial(self.show, "merging"))

    @property
    def _first(self) -> Checkpoint:
        return self.base or self.models[0]

    def _look(self, todo: Sequence[Piece], what: str, function: Callable[[MergeTask], None]) -> None:
        spread(lambda one: function(self._task(one)), todo, partial(self.show, what))

    def _task(self, one: Piece) -> MergeTask:
        """The merge of a piece's tensors, the same whenever it is asked for."""
        parents = [self._read(model, one) for model in self.models]
        draw = seed_of("merge", self.how.method, self.seed, one.names[0], one.rows.start if one.rows else 0)
        return piece(self.how.method, self._read(self.base, one) if self.base else parents[0], parents, self.seed, draw)

    def _read(self, checkpoint: Checkpoint, one: Piece) -> dict[str, Tensor]:
        found = {}
        for name in one.names:
            value = checkpoint.read(name, one.rows)
            if not finite(value):
                raise CheckpointError(
                    f"{checkpoint.path}: {name!r} has entries that are NaN or infinite; a diverged network cannot be "
                    f"merged, and a mask is left as it is by --keep {name!r}"
                )
            found[name] = value.to(self._computed)
        return found

    @cached_property
    def _computed(self) -> torch.dtype:
        """float32, or float64 where one weight is; the same everywhere, since ranks go over all tensors."""
        double = any(c.tensors[name].dtype == "F64" for c in (self._first, *self.models) for name in self.found.merged)
        return torch.float64 if double else torch.float32

    def _cast(self, name: str, value: Tensor) -> Tensor:
        code = self.layout[name][0]
        cast = value.to(KNOWN[code])
        if not finite(cast):
            beyond = f"beyond {code}; choose a wider --dtype" if finite(value) else "that are NaN or infinite"
            raise CheckpointError(f"the merge of {name!r} has numbers {beyond}")
        return cast


def _method(name: str) -> tuple[Method, InPieces]:
    registry.discover()
    entry: Method = registry.METHODS.get(name)
    if name not in IN_PIECES:
        needs = ", ".join(sorted(entry.access - {"weights"}))
        why = f"needs {needs} beside weights" if needs else "needs networks that run, or does not say in which pieces"
        raise BenchError(f"{name} cannot merge checkpoints: it {why}; {', '.join(sorted(IN_PIECES))} can")
    return entry, IN_PIECES[name]


def _target(out: str | Path, dtype: str | None) -> Path:
    target = Path(out)
    if dtype is not None and dtype not in NAMES:
        raise BenchError(f"dtype {dtype!r} is none of weights{near_miss(dtype, NAMES)}")
    if target.exists():
        raise BenchError(f"out: {target} is there already; remove it or choose another name")
    if target.suffix in (".bin", ".pt", ".pth", ".ckpt"):
        raise BenchError(f"out: {target} would be a torch file; name a file that ends in .safetensors, or a folder")
    return target


def _open(
    how: InPieces, models: Sequence[str | Path], base: str | Path | None
) -> tuple[list[Checkpoint], Checkpoint | None]:
    if isinstance(models, str | os.PathLike):
        raise BenchError(f"models = {models!r}: give a list of checkpoints")
    if how.base and base is None:
        raise BenchError(f"{how.method} adds up what tuning changed: name the --base that all models were tuned from")
    least = 1 if how.base else 2
    if len(models) < least:
        raise BenchError(f"{how.method} merges {least} or more models, and {len(models)} are named")
    return [open_checkpoint(Path(model)) for model in models], None if base is None else open_checkpoint(Path(base))


def _layout(first: Checkpoint, found: Matched, dtype: str | None) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of every tensor of the result."""
    sources = dict.fromkeys((*found.merged, *found.tied), first) | found.kept
    layout = {}
    for name, source in sorted(sources.items()):
        stored = source.tensors[name]
        layout[name] = (NAMES[dtype] if dtype and stored.dtype in WEIGHTS else stored.dtype, stored.shape)
    return layout


def _hashes(everybody: Sequence[Checkpoint], show: Progress) -> list[dict[str, Any]]:
    """Path and sha256 of the weight files of each checkpoint."""
    files = sorted({file for checkpoint in everybody for file in checkpoint.files})
    found: dict[Path, str] = {}

    def work(one: Piece) -> None:
        with Path(one.names[0]).open("rb") as file:
            found[Path(one.names[0])] = hashlib.file_digest(file, "sha256").hexdigest()

    spread(
        work, [Piece((str(file),), None, 0) for file in files], lambda _d, _a: show("hashing", len(found), len(files))
    )
    return [
        {"path": str(checkpoint.path), "sha256": {file.name: found[file] for file in checkpoint.files}}
        for checkpoint in everybody
    ]
