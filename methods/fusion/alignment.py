"""Aligning the units of network A to those of network B, where units may be split and mixed.

A *map* [n, m] tells of which of A's n units each of B's m units is made; its columns sum to one. Hard maps are
permutations. The maps come from costs between units; layers are walked in forward order, since what a unit costs by its
incoming weights depends on the maps before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from bench import Skip
from bench.models.permutation import Axis, PermutationSpec
from methods.fusion.state import State

Maps = dict[tuple[str, int], Tensor]
"""(entry of the state, axis) -> map."""
Cost = Callable[[str, Mapping[str, Tensor]], Tensor | None]
"""cost(layer, maps of the groups so far) -> [n, m] over the units that the layer writes; None: not known that early."""
Solve = Callable[[Tensor], Tensor]
"""Cost [n, m] -> map [n, m]."""
Residual = Literal["group", "averaged"]
WidthMode = Literal["published", "sum-preserving"]

READS = 1
"""Axis of a weight [out, in, ...] along which a layer reads units. Along every other axis units are written."""


def move(tensor: Tensor, dim: int, axis: Axis, units: Tensor, width_mode: WidthMode = "published") -> Tensor:
    """The tensor with A's units on axis `dim` replaced by B's, each a sum of A's by its column of the map.

    Where units are read and the widths differ, the published rule takes columns that sum to one there as well, which
    multiplies what is read by m / n. `sum-preserving` divides by that, so that duplicated units merge without a trace.
    """
    if dim == READS and width_mode == "sum-preserving":
        units = units * (units.shape[0] / units.shape[1])
    entries = torch.kron(units, torch.eye(axis.block, dtype=units.dtype, device=units.device))
    return torch.tensordot(tensor, entries, ([dim], [0])).movedim(-1, dim)


def transport(
    state: Mapping[str, Tensor], spec: PermutationSpec, maps: Maps, width_mode: WidthMode = "published"
) -> State:
    """All of network A with its units replaced by B's. Norms and their running statistics go the way of biases."""
    moved = dict(state)
    for (name, dim), units in maps.items():
        axis = spec.axes[name][dim]
        assert axis is not None
        moved[name] = move(moved[name], dim, axis, units, width_mode)
    return moved


def group_maps(spec: PermutationSpec, cost: Cost, solve: Solve) -> Maps:
    """One map a group, from the sum of the costs of all layers that write to it and whose inputs are aligned by then.

    Raises:
        Skip: there is no such layer.
    """
    solved: dict[str, Tensor] = {}
    for group in spec.order:
        costs = [c for layer in spec.writers[group] if (c := cost(layer, solved)) is not None]
        if not costs:
            raise Skip(f"no layer that writes to group {group!r} reads only what is aligned before it")
        solved[group] = solve(torch.stack(costs).sum(0))
    return {
        (name, dim): solved[axis.group]
        for name, axes in spec.axes.items()
        for dim, axis in enumerate(axes)
        if axis is not None
    }


def averaged_maps(spec: PermutationSpec, cost: Cost, solve: Solve) -> Maps:
    """A map of its own for every layer; where branches are summed, layers after the sum read by the mean of their maps.

    That is what the reference code of OT fusion does at projection shortcuts. (At identity shortcuts it lets the map of
    the branch replace that of the stream; here they are averaged too.) Layers are walked in the order of `spec.axes`.

    Raises:
        Skip: several layers write the same units without being summed (attention heads), or the order is another.
    """
    writers = {f"{layer}.weight" for layers in spec.writers.values() for layer in layers}
    own: dict[str, Tensor] = {}
    stream: dict[str, Tensor] = {}
    maps: Maps = {}
    for name, axes in spec.axes.items():
        if len(axes) > READS and (read := axes[READS]) is not None:
            if read.group not in stream:
                raise Skip(f"{name} reads units that nothing before it writes; the spec does not list layers in order")
            maps[name, READS] = stream[read.group]
        if name in writers:
            assert axes[0] is not None
            if axes[0].block > 1:
                raise Skip("averaged maps are for sums of branches; attention heads need one map (residual = 'group')")
            known = cost(name.removesuffix(".weight"), stream)
            assert known is not None
            group, new = axes[0].group, solve(known)
            stream[group] = (stream[group] + new) / 2 if group in stream else new
            own[group] = new
        maps |= {(name, dim): own[axis.group] for dim, axis in enumerate(axes) if axis is not None and dim != READS}
    return maps


def weight_cost(
    a: State, b: State, spec: PermutationSpec, unit_norm: bool = False, width_mode: WidthMode = "published"
) -> Cost:
    """Euclidean distance of incoming weights, the bias among them, after A's inputs have been moved to B's units.

    Args:
        a: what is aligned.
        b: what it is aligned to.
        spec: groups of both.
        unit_norm: compare directions only.
        width_mode: as in `move`.
    """

    def cost(layer: str, solved: Mapping[str, Tensor]) -> Tensor | None:
        name = f"{layer}.weight"
        out, read = spec.axes[name][0], spec.axes[name][READS]
        weight = a[name]
        if read is not None:
            if read.group not in solved:
                return None
            weight = move(weight, READS, read, solved[read.group], width_mode)
        x, y = _incoming(weight, a, layer, out), _incoming(b[name], b, layer, out)
        if unit_norm:
            x, y = torch.nn.functional.normalize(x), torch.nn.functional.normalize(y)
        return distance(x, y)

    return cost


def activation_cost(a: Mapping[str, Tensor], b: Mapping[str, Tensor], spec: PermutationSpec) -> Cost:
    """Euclidean distance of pre-activations on the same inputs (`methods.fusion.activations`)."""

    def cost(layer: str, solved: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG001 - activations depend on no map
        out = spec.axes[f"{layer}.weight"][0]
        return distance(_units(a[layer], out), _units(b[layer], out))

    return cost


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances [n, m] of rows, not squared; zero for equal rows (the fast formula would not give that)."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _incoming(weight: Tensor, state: State, layer: str, out: Axis | None) -> Tensor:
    """What comes into each unit of a layer: its weights and, where there is one, its bias."""
    bias = state.get(f"{layer}.bias")
    rows = weight.flatten(1)
    return _units(rows if bias is None else torch.cat([rows, bias[:, None]], 1), out)


def _units(rows: Tensor, axis: Axis | None) -> Tensor:
    """Entries [units * block, ...] -> one row a unit."""
    assert axis is not None
    return rows.reshape(len(rows) // axis.block, -1)
