"""Which axis of which tensor may be reordered with which: a permutation specification as plain data.

A *group* is a set of units (channels, hidden neurons, attention heads) whose order is arbitrary. Every axis
that is indexed by these units carries the group, so that one reordering of all of them leaves the function
of the network unchanged. Writers to and readers of one residual stream share one group.

Notation after Ainsworth, Hayase and Srinivasa, "Git Re-Basin" (ICLR 2023, arXiv:2209.04836).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.errors import BenchError


@dataclass(frozen=True)
class Axis:
    """An axis whose entries belong to the units of `group`, `block` consecutive entries a unit."""

    group: str
    block: int = 1


Axes = dict[str, tuple[Axis | None, ...]]


@dataclass(frozen=True)
class PermutationSpec:
    """The groups of a network."""

    axes: Axes
    """Every parameter and float buffer -> one entry an axis; None is an axis that stays as it is."""
    order: tuple[str, ...]
    """The groups in forward order."""
    writers: dict[str, tuple[str, ...]]
    """Group -> the conv/linear modules, in forward order, whose raw outputs are its units' pre-activations."""


def axes_of(name: str, module: nn.Module, out: Axis | None, into: Axis | None = None) -> Axes:
    """Entries of one layer: a conv or linear layer from `into` to `out`, or a norm over `out`.

    Raises:
        TypeError: a layer of another kind.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        found: Axes = {"weight": (out, into, *(None for _ in module.weight.shape[2:]))}
        if module.bias is not None:
            found["bias"] = (out,)
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        found = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (out,))
    elif isinstance(module, nn.LayerNorm):
        found = {"weight": (out,), "bias": (out,)}
    elif isinstance(module, nn.Identity):
        found = {}
    else:
        raise TypeError(f"{name}: no permutation axes are known for {type(module).__name__}")
    return {f"{name}.{entry}": axes for entry, axes in found.items()}


def sizes(spec: PermutationSpec, state: Mapping[str, Tensor]) -> dict[str, int]:
    """Group -> its number of units, in forward order.

    Raises:
        BenchError: two tensors disagree.
    """
    found: dict[str, int] = {}
    for name, axes in spec.axes.items():
        for length, axis in zip(state[name].shape, axes, strict=True):
            if axis is None:
                continue
            units, rest = divmod(length, axis.block)
            if rest or found.setdefault(axis.group, units) != units:
                raise BenchError(
                    f"{name} has {length} entries ({axis.block} a unit) where group {axis.group!r} has "
                    f"{found.get(axis.group, units)} units"
                )
    return {group: found[group] for group in spec.order}


def random_permutations(
    spec: PermutationSpec, state: Mapping[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Group -> a uniformly random permutation (int64 [units])."""
    return {group: torch.randperm(n, generator=generator) for group, n in sizes(spec, state).items()}


def permute(state: Mapping[str, Tensor], spec: PermutationSpec, perms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reorder the units: unit `i` of the result is unit `perms[group][i]` of `state`. New tensors throughout.

    Groups that `perms` lacks keep their order; entries that the spec lacks (integer buffers) are copied.

    Raises:
        BenchError: an unknown group, or a permutation that is not one.
    """
    counts = sizes(spec, state)
    for group, perm in perms.items():
        if group not in counts:
            raise BenchError(f"unknown group {group!r}; the spec has {', '.join(spec.order)}")
        if not torch.equal(perm.cpu().sort().values, torch.arange(counts[group])):
            raise BenchError(f"group {group!r}: not a permutation of {counts[group]} units")
    result = {}
    for name, tensor in state.items():
        moved = tensor.detach().clone()
        for dim, axis in enumerate(spec.axes.get(name, ())):
            if axis is not None and axis.group in perms:
                moved = moved.index_select(dim, expand(perms[axis.group], axis.block).to(tensor.device))
        result[name] = moved
    return result


def expand(perm: Tensor, block: int) -> Tensor:
    """A permutation of units [n] as one of entries [n * block], units moving whole."""
    return (perm[:, None] * block + torch.arange(block, device=perm.device)).flatten()
