"""A checkpoint: which tensors it has, where each of them lies, and how one of them, or some of its rows, is read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from bench.checkpoints import safetensors_file, torch_file
from bench.errors import CheckpointError

INDEX = ".index.json"
"""How the name of a file ends that says which shard holds which tensor."""
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
"""Of weight files."""
USUAL = ("model.safetensors", "pytorch_model.bin")
"""What Hugging Face calls the only weight file of a folder; an index has the same name and `.index.json`."""
WRAPPER = "module."
"""What DataParallel puts before every name."""
COMPILED = re.compile(r"(^|\.)_orig_mod\.")
"""What torch.compile puts into the names of what it compiled."""


@dataclass(frozen=True)
class Stored:
    """One tensor of a checkpoint, as it lies on disk."""

    key: str
    """Its name in the file; a wrapper's prefix is still on it."""
    dtype: str
    """As safetensors calls it, one of `bench.checkpoints.dtypes.KNOWN`."""
    shape: tuple[int, ...]
    file: Path
    start: int = 0
    """Byte of a safetensors file at which it begins; torch files are not read by place."""

    @property
    def entries(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one network on disk, none of them in memory (but for torch files of the old form)."""

    path: Path
    """As the user named it."""
    tensors: dict[str, Stored]
    """By name, without the prefixes of wrappers, in the order of names."""
    files: tuple[Path, ...]
    """The weight files, in the order of their names."""
    folder: Path | None
    """Where config and tokenizer lie beside the weights; None of a single file."""
    loaded: dict[Path, dict[str, Tensor]] = field(default_factory=dict, repr=False)
    """What torch files hold, mapped."""

    @property
    def sharded(self) -> bool:
        """Whether it has several weight files."""
        return len(self.files) > 1

    def read(self, name: str, rows: slice | None = None) -> Tensor:
        """A tensor, or these rows of it (of its first axis), in the dtype in which it is stored; the caller's own.

        Raises:
            CheckpointError: the file cannot be read any more.
        """
        stored = self.tensors[name]
        if stored.file in self.loaded:
            whole = self.loaded[stored.file][stored.key]
            return (whole if rows is None else whole[rows]).clone(memory_format=torch.contiguous_format)
        return safetensors_file.read(stored.file, stored.start, stored.dtype, stored.shape, rows)


def open_checkpoint(path: Path) -> Checkpoint:
    """A safetensors or torch file, an index of shards (`*.index.json`), or a folder that holds one of these.

    Raises:
        CheckpointError: there is nothing of the kind, a file is missing, damaged, a Git LFS pointer or holds more than
            tensors, a dtype is unknown, or names collide when wrappers' prefixes are taken off. It names the file.
    """
    place = _weights_in(path) if path.is_dir() else path
    if not place.is_file():
        raise CheckpointError(f"{path}: there is no such file or folder")
    by_index = place.name.endswith(INDEX)
    files = _shards(place) if by_index else {place: None}
    found: dict[str, Stored] = {}
    loaded: dict[Path, dict[str, Tensor]] = {}
    for file, expected in sorted(files.items()):
        if file.suffix == ".safetensors":
            held = {key: Stored(key, d, s, file, at) for key, (d, s, at) in safetensors_file.contents(file).items()}
        else:
            loaded[file] = torch_file.load(file)
            held = {key: Stored(key, *torch_file.about(file, key, t), file) for key, t in loaded[file].items()}
        if expected is not None and held.keys() != expected:
            odd = min(held.keys() ^ expected)
            holder = f"{file.name} holds" if odd in held else f"{place.name} names"
            raise CheckpointError(f"{path}: {odd!r}: {holder} it, and the other does not; they are not of one model")
        found |= held
    if not found:
        raise CheckpointError(f"{path}: holds no tensor")
    named = _without_wrappers(path, found)
    return Checkpoint(
        path,
        {name: named[name] for name in sorted(named)},
        tuple(sorted(files)),
        place.parent if by_index or path.is_dir() else None,
        loaded,
    )


def _weights_in(folder: Path) -> Path:
    """The index or the weight file of a folder."""
    for usual in USUAL:
        for name in (usual + INDEX, usual):
            if (folder / name).is_file():
                return folder / name
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{folder}: is an adapter (LoRA), and no whole model; fold it into its base model first")
    weights = sorted(p for p in folder.iterdir() if p.name.endswith((".safetensors" + INDEX, ".safetensors")))
    indices = [p for p in weights if p.name.endswith(INDEX)]
    if len(indices) == 1 or len(weights) == 1:
        return (indices or weights)[0]
    if weights:
        raise CheckpointError(f"{folder}: holds {', '.join(p.name for p in weights)}; name the one that is meant")
    raise CheckpointError(f"{folder}: holds no weights; {USUAL[0]} or {USUAL[0]}{INDEX} is looked for")


def _shards(index: Path) -> dict[Path, set[str]]:
    """Shard -> the names that the index says it holds."""
    try:
        table = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards: dict[Path, set[str]] = {}
        for name, file in table.items():
            shards.setdefault(index.parent / Path(file).name, set()).add(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: is no index of shards ({type(error).__name__}: {error})") from error
    for shard in shards:
        if not shard.is_file():
            raise CheckpointError(f"{index}: names {shard.name}, which is not beside it; is the download complete?")
    return shards


def _without_wrappers(path: Path, found: dict[str, Stored]) -> dict[str, Stored]:
    names = {key: key for key in found}
    before: Iterable[str] = ()
    while (now := list(names.values())) != before:
        before = now
        names = {key: COMPILED.sub(r"\1", name) for key, name in names.items()}
        if all(name.startswith(WRAPPER) for name in names.values()):
            names = {key: name.removeprefix(WRAPPER) for key, name in names.items()}
    named: dict[str, Stored] = {}
    for key, name in names.items():
        if name in named:
            raise CheckpointError(f"{path}: holds both {named[name].key!r} and {key!r}, which are one name, {name!r}")
        named[name] = found[key]
    return named
