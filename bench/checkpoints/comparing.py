"""Whether checkpoints are of one architecture, and what of them can be merged; every difference is told by name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch

from bench.checkpoints.dtypes import WEIGHTS, bytes_of
from bench.checkpoints.reading import Checkpoint
from bench.errors import CheckpointError

COUNTER = "num_batches_tracked"
"""A counter of BatchNorm: of no weight, and different in every model."""
SHOWN = 3
"""So many names stand in a message."""
BLOCK = 2**20
"""Entries that are compared at once."""


@dataclass(frozen=True)
class Matched:
    """The tensors of several checkpoints by what becomes of them, each in the order of names."""

    merged: tuple[str, ...]
    """Weights and running statistics that all of them have in one shape."""
    kept: dict[str, Checkpoint]
    """What is taken as it is, and from which checkpoint: what `keep` names, counters, indices and masks."""
    tied: dict[str, str]
    """Second names of a tensor -> the name under which it is merged."""


def matched(models: Sequence[Checkpoint], base: Checkpoint | None = None, keep: Sequence[str] = ()) -> Matched:
    """What becomes of every tensor. The base, or else the first model, says which tensors there are.

    Args:
        models: the checkpoints to merge.
        base: what they were tuned from.
        keep: shell patterns of names that are not merged: the base's are taken, or those of the first that has them.

    Raises:
        CheckpointError: a tensor is missing, is one too many, has another shape or cannot be averaged, or a pattern
            fits no name; it says which, and in which checkpoint.
    """
    everybody = [*([base] if base is not None else []), *models]
    first = everybody[0]
    kept = _kept(everybody, keep)
    tied = {alias: name for alias, name in _tied(everybody).items() if alias not in kept and name not in kept}
    asked = {name for name in first.tensors if name not in kept and name not in tied}
    for other in everybody[1:]:
        _hold_names(first, other, asked, kept.keys() | tied.keys())
        _hold_shapes(first, other, asked)
    carried = [name for name in sorted(asked) if not all(c.tensors[name].dtype in WEIGHTS for c in everybody)]
    for name in carried:
        _hold_carried(everybody, name)
    kept |= dict.fromkeys(carried, first)
    return Matched(
        tuple(sorted(asked - set(carried))),
        {name: kept[name] for name in sorted(kept)},
        {alias: name for alias, name in sorted(tied.items()) if alias in first.tensors},
    )


def refuse_equal(everybody: Sequence[Checkpoint], names: Sequence[str]) -> None:
    """Raise CheckpointError where two checkpoints hold the same numbers under all of these names."""
    for number, one in enumerate(everybody):
        for other in everybody[number + 1 :]:
            if all(_equal(one, name, other, name) for name in names):
                raise CheckpointError(
                    f"{other.path}: has the very weights of {one.path}; what is merged has to be different networks"
                )


def _kept(everybody: Sequence[Checkpoint], keep: Sequence[str]) -> dict[str, Checkpoint]:
    kept: dict[str, Checkpoint] = {}
    there = {name for checkpoint in everybody for name in checkpoint.tensors}
    for pattern in keep:
        fitting = {name for name in there if fnmatchcase(name, pattern)}
        if not fitting:
            near = difflib.get_close_matches(pattern, sorted(there), n=1)
            told = f"did you mean {near[0]!r}?" if near else f"there are {_some(there)}"
            raise CheckpointError(f"keep: {pattern!r} fits no tensor; {told}")
        for name in fitting:
            kept[name] = next(c for c in everybody if name in c.tensors)
    return kept


def _hold_names(first: Checkpoint, other: Checkpoint, asked: set[str], aside: set[str]) -> None:
    missing, extra = asked - other.tensors.keys(), other.tensors.keys() - asked - aside
    if not missing and not extra:
        return
    told = [f"lacks {_some(missing)}"] if missing else []
    told += [f"has {_some(extra)} besides"] if extra else []
    names = [n for n in first.tensors if n not in aside], [n for n in other.tensors if n not in aside]
    prefix = _prefix_between(*names) or _prefix_between(*names[::-1])
    why = f"; their names differ by {prefix!r} at the front" if prefix else ""
    advice = "" if prefix else "; what is not to be merged can be named by --keep, like --keep 'head.*'"
    raise CheckpointError(f"{other.path}: {' and '.join(told)}, beside {first.path}{why}{advice}")


def _prefix_between(short: Sequence[str], long: Sequence[str]) -> str | None:
    """What, put before every one of the shorter names, gives the longer ones."""
    if not short or not long or not long[0].endswith(f".{short[0]}"):
        return None
    prefix = long[0].removesuffix(short[0])
    return prefix if {prefix + name for name in short} == set(long) else None


def _hold_shapes(first: Checkpoint, other: Checkpoint, asked: set[str]) -> None:
    wrong = [n for n in sorted(asked) if first.tensors[n].shape != other.tensors[n].shape]
    if not wrong:
        return
    name = wrong[0]
    mine, theirs = first.tensors[name].shape, other.tensors[name].shape
    told = f"{other.path}: {name!r} has shape {list(theirs)}, and {list(mine)} in {first.path}"
    if len(wrong) > 1:
        told += f" ({len(wrong)} tensors differ)"
    layers = {n.rpartition(".")[0] for n in wrong}
    rows_only = all(first.tensors[n].shape[1:] == other.tensors[n].shape[1:] for n in wrong)
    if len(layers) == 1 and rows_only:
        layer = layers.pop()
        pattern = f"{layer}.*" if layer else name
        told += f"; if it is a head of another number of classes, --keep {pattern!r} leaves heads out of the merge"
    raise CheckpointError(told)


def _hold_carried(everybody: Sequence[Checkpoint], name: str) -> None:
    """Integers and booleans cannot be averaged: they have to be the same, but for counters."""
    if name.endswith(COUNTER):
        return
    first = everybody[0]
    for other in everybody[1:]:
        if not _equal(first, name, other, name):
            kinds = " and ".join(dict.fromkeys((first.tensors[name].dtype, other.tensors[name].dtype)))
            raise CheckpointError(
                f"{other.path}: {name!r} ({kinds}) is not that of {first.path}, and integers cannot be averaged; "
                f"restore quantised weights to floats before, or take the first by --keep {name!r}"
            )


def _tied(everybody: Sequence[Checkpoint]) -> dict[str, str]:
    """Second name of a matrix -> its first name, where every checkpoint has both alike, or only the first of them."""
    tied: dict[str, str] = {}
    for checkpoint in everybody:
        for pair in _copies(checkpoint):
            everywhere = [name for name in pair if all(name in c.tensors for c in everybody)]
            if not everywhere:
                continue
            name = everywhere[0]
            alias = pair[1] if name == pair[0] else pair[0]
            having = [c for c in everybody if alias in c.tensors]
            if alias not in tied and name not in tied and all(_equal(c, alias, c, name) for c in having):
                tied[alias] = name
    return tied


def _copies(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """Pairs of matrices of a checkpoint that are equal; their first rows are looked at before all of them is."""
    seen: dict[tuple[object, ...], list[str]] = {}
    for name, stored in checkpoint.tensors.items():
        if len(stored.shape) < 2 or 0 in stored.shape:
            continue
        row = bytes(bytes_of(checkpoint.read(name, slice(0, 1))))
        like = seen.setdefault((stored.dtype, stored.shape, hash(row)), [])
        yield from ((earlier, name) for earlier in like if _equal(checkpoint, earlier, checkpoint, name))
        like.append(name)


def _equal(one: Checkpoint, name: str, other: Checkpoint, twin: str) -> bool:
    """Whether two tensors are of one dtype, shape and content; they are read as far as they agree."""
    a, b = one.tensors[name], other.tensors[twin]
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    blocks = row_blocks(a.shape, BLOCK)
    return all(torch.equal(one.read(name, rows), other.read(twin, rows)) for rows in blocks)


def row_blocks(shape: tuple[int, ...], most: int) -> Iterator[slice | None]:
    """Rows of a tensor, so many at once that they have at most `most` entries, or one; None where it has no rows."""
    if not shape or 0 in shape:
        yield None
        return
    step = max(1, most // math.prod(shape[1:]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _some(names: set[str]) -> str:
    shown = ", ".join(map(repr, sorted(names)[:SHOWN]))
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
