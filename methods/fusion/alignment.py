"""Aligning the units of network A to those of network B, where units may be split and mixed, and widths may differ.

A `Map` tells of which of A's n units each of B's m units is made. It comes from costs between units; layers are walked
in forward order, since what a unit costs by its incoming weights depends on the maps before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench import Skip
from bench.models.permutation import Axis, PermutationSpec, expand
from methods.fusion.state import State

Residual = Literal["group", "averaged"]
WidthMode = Literal["published", "sum-preserving"]


@dataclass(frozen=True)
class Map:
    """Between n units of A and m units of B, float64 [n, m] each."""

    written: Tensor
    """What is written to a unit of B is the sum of what A writes by its column, which sums to one."""
    read: Tensor
    """What is read of a unit of B is the sum of what A reads by its column. The published rule takes `written` here
    too, which of a wider A leaves too little: m / n of it. `sum-preserving` takes rows that sum to one, by which all
    that A reads is read of B, and units that double each other merge without a trace."""
    order: Tensor | None = None
    """int64 [n]: the unit of A that stands in the place of each unit of B, where the map is a permutation."""

    @classmethod
    def of(cls, plan: Tensor, width_mode: WidthMode = "published") -> Map:
        """From a transport plan [n, m], whose rows and columns sum to whatever they do."""
        if plan.shape[0] == plan.shape[1] and is_permutation(plan):
            return cls(plan, plan, plan.argmax(0))
        written = plan / plan.sum(0)
        return cls(written, written if width_mode == "published" else plan / plan.sum(1, keepdim=True))

    def halfway(self, other: Map) -> Map:
        """The mean of two maps between the same units."""
        return Map((self.written + other.written) / 2, (self.read + other.read) / 2)

    def move(self, tensor: Tensor, dim: int, axis: Axis, *, read: bool) -> Tensor:
        """The tensor with A's units on axis `dim` replaced by B's. Exact for permutations, else to its precision."""
        if self.order is not None:
            return reorder(tensor, dim, expand(self.order, axis.block).to(tensor.device))
        return mix(tensor, dim, axis, (self.read if read else self.written).to(tensor))


Maps = dict[tuple[str, int], Map]
"""(entry of the state, axis) -> map."""
Cost = Callable[[str, Mapping[str, Map]], Tensor | None]
"""cost(layer, maps of the groups so far) -> [n, m] over the units that the layer writes; None: not known that early."""
Solve = Callable[[Tensor, Sequence[str]], Map]
"""Cost [n, m], and the layers that write the units -> map."""


def is_permutation(square: Tensor) -> bool:
    """Whether a matrix has a single one in each row and column, and zeros elsewhere."""
    ones = square == 1
    single = all(bool((ones.sum(dim) == 1).all()) for dim in (0, 1))
    return single and int(square.count_nonzero()) == len(square)


def reorder(tensor: Tensor, dim: int, order: Tensor) -> Tensor:
    """`index_select`, but that a tensor in channels_last stays so, which spares two copies of every kernel."""
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        lying = tensor.permute(0, 2, 3, 1)
        if dim == 1:
            return lying.gather(3, order.expand(*lying.shape[:3], -1)).permute(0, 3, 1, 2)
        if dim == 0:
            return lying.index_select(0, order).permute(0, 3, 1, 2)
    return tensor.index_select(dim, order)


def mix(tensor: Tensor, dim: int, axis: Axis, units: Tensor) -> Tensor:
    """The tensor with n units on axis `dim` replaced by m, each a sum of them by its column of `units` [n, m]."""
    entries = units
    if axis.block > 1:
        entries = torch.kron(units, torch.eye(axis.block, dtype=units.dtype, device=units.device))
    return torch.tensordot(tensor, entries, ([dim], [0])).movedim(-1, dim)


def reads(spec: PermutationSpec, name: str, dim: int) -> bool:
    """Whether a layer reads units along this axis of an entry of its state; else it writes them.

    Weights are [out, in, ...]. An embedding [tokens, width] reads none: it is a writer whose rows are no units.
    """
    return dim == 1 and name not in embeddings(spec)


def embeddings(spec: PermutationSpec) -> set[str]:
    """The weights of the layers that write units along their second axis."""
    names = {f"{layer}.weight" for layers in spec.writers.values() for layer in layers}
    return {name for name in names if spec.axes[name][0] is None}


def read_by(spec: PermutationSpec, name: str) -> Axis | None:
    """The units that a layer with this weight reads."""
    axes = spec.axes[name]
    return axes[1] if name.endswith(".weight") and len(axes) > 1 and reads(spec, name, 1) else None


def transport(state: Mapping[str, Tensor], spec: PermutationSpec, maps: Maps) -> State:
    """All of network A with its units replaced by B's. Norms and their running statistics go the way of biases."""
    moved = dict(state)
    for (name, dim), units in maps.items():
        axis = spec.axes[name][dim]
        assert axis is not None
        moved[name] = units.move(moved[name], dim, axis, read=reads(spec, name, dim))
    return moved


def group_maps(spec: PermutationSpec, cost: Cost, solve: Solve) -> Maps:
    """One map a group, from the sum of the costs of all layers that write to it and whose inputs are aligned by then.

    Raises:
        Skip: there is no such layer.
    """
    solved: dict[str, Map] = {}
    for group in spec.order:
        costs = [c for layer in spec.writers[group] if (c := cost(layer, solved)) is not None]
        if not costs:
            raise Skip(f"no layer that writes to group {group!r} reads only what is aligned before it")
        solved[group] = solve(sum(costs[1:], costs[0]), spec.writers[group])
    return {
        (name, dim): solved[axis.group]
        for name, axes in spec.axes.items()
        for dim, axis in enumerate(axes)
        if axis is not None
    }


def averaged_maps(spec: PermutationSpec, cost: Cost, solve: Solve) -> Maps:
    """One map for each layer; a layer after a sum of branches reads by the mean of the branches' maps.

    That is what the reference code of OT fusion does at projection shortcuts. (At identity shortcuts it lets the map of
    the branch replace that of the stream; here they are averaged too.) Layers are walked in the order of `spec.axes`.

    Raises:
        Skip: several layers write the same units without being summed (attention heads), or the order is another.
    """
    writers = {f"{layer}.weight" for layers in spec.writers.values() for layer in layers}
    own: dict[str, Map] = {}
    stream: dict[str, Map] = {}
    maps: Maps = {}
    for name, axes in spec.axes.items():
        if (read := read_by(spec, name)) is not None:
            if read.group not in stream:
                raise Skip(f"{name} reads units that nothing before it writes; the spec does not list layers in order")
            maps[name, 1] = stream[read.group]
        written = {dim: axis for dim, axis in enumerate(axes) if axis is not None and not reads(spec, name, dim)}
        if name in writers:
            layer, (axis, *_) = name.removesuffix(".weight"), written.values()
            if axis.block > 1:
                raise Skip("averaged maps are for sums of branches; attention heads need one map (residual = 'group')")
            known = cost(layer, stream)
            assert known is not None
            group, new = axis.group, solve(known, [layer])
            stream[group] = stream[group].halfway(new) if group in stream else new
            own[group] = new
        maps |= {(name, dim): own[axis.group] for dim, axis in written.items()}
    return maps
