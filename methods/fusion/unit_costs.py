"""How far the units of two networks are from each other, and how much each of them weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.models.permutation import PermutationSpec, sizes
from methods.fusion.alignment import Cost, Map, embeddings, read_by
from methods.fusion.features import block_of, by_unit, joint_moments
from methods.fusion.state import State, own_state

Importance = Literal["uniform", "l1", "l2"]

LEAST = 1e-6
"""Mass of a unit that weighs nothing, in units of the mean mass: a plan needs some of every unit."""


def weight_cost(a: State, b: State, spec: PermutationSpec, unit_norm: bool = False) -> Cost:
    """Euclidean distance of incoming weights, the bias among them, after A's inputs have been moved to B's units.

    Args:
        a: what is aligned.
        b: what it is aligned to.
        spec: groups of both.
        unit_norm: compare directions only.
    """

    def cost(layer: str, solved: Mapping[str, Map]) -> Tensor | None:
        name = f"{layer}.weight"
        weight, read = a[name], read_by(spec, name)
        if read is not None:
            if read.group not in solved:
                return None
            weight = solved[read.group].move(weight, 1, read, read=True)
        x, y = _incoming(weight, a, layer, spec), _incoming(b[name].to(weight.dtype), b, layer, spec)
        if unit_norm:
            x, y = nn.functional.normalize(x), nn.functional.normalize(y)
        return distance(x, y)

    return cost


def activation_cost(
    models: Sequence[nn.Module], images: Tensor, spec: PermutationSpec, device: torch.device
) -> list[Cost]:
    """Euclidean distance of pre-activations on the same images, over all images and positions.

    Args:
        models: in eval mode; of other widths perhaps.
        images: uint8 [N, C, H, W].
        spec: groups of all.
        device: where the models lie.

    Returns:
        For each model but the first, the cost between its units and the first's.
    """
    counts = [sizes(spec, own_state(model)) for model in models]
    tables: list[dict[str, Tensor]] = [{} for _ in models]
    for group, seen in joint_moments(models, images, spec, "pre-activation", device).items():
        block = block_of(spec, group)
        widths = [count[group] * block for count in counts]
        for layer, moments in zip(spec.writers[group], seen, strict=True):
            squares = [_summed(part, block) for part in moments.second.diagonal().split(widths)]
            columns = moments.second.split(widths, 1)[0].split(widths)
            for i in range(1, len(models)):
                inner = by_unit(columns[i], block) * block
                tables[i][layer] = (squares[i][:, None] + squares[0] - 2 * inner).clamp_(min=0).sqrt_()

    def known(table: Mapping[str, Tensor]) -> Cost:
        return lambda layer, solved: table[layer]  # noqa: ARG005 - activations depend on no map

    return [known(table) for table in tables[1:]]


def importance(state: State, layers: Sequence[str], spec: PermutationSpec, norm: Importance) -> Tensor:
    """Mass of the units that these layers write: the norm of their incoming weights, summed over layers.

    Of the layer's own weights, before any alignment. One on average, and at least `LEAST`.
    """
    order = {"l1": 1, "l2": 2}[norm]
    rows = [_incoming(state[f"{layer}.weight"], state, layer, spec) for layer in layers]
    mass = torch.stack([torch.linalg.vector_norm(r.double(), order, 1) for r in rows]).sum(0)
    typical = mass.mean()
    return torch.ones_like(mass) if typical == 0 else (mass / typical).clamp(min=LEAST)


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances [n, m] of rows, not squared.

    By inner products: a twentieth of the time of `cdist` by differences, and off by the root of the precision for rows
    that are all but equal. No plan cares: it compares distances, and matches such rows first.
    """
    squares = [torch.linalg.vector_norm(rows, dim=1).square() for rows in (x, y)]
    return torch.addmm(squares[1], x, y.T, alpha=-2).add_(squares[0][:, None]).clamp_(min=0).sqrt_()


def _incoming(weight: Tensor, state: Mapping[str, Tensor], layer: str, spec: PermutationSpec) -> Tensor:
    """What comes into each unit of a layer, one row a unit: its weights and, where there is one, its bias."""
    name = f"{layer}.weight"
    written = 1 if name in embeddings(spec) else 0
    axis = spec.axes[name][written]
    assert axis is not None
    units, bias = weight.movedim(written, 0), state.get(f"{layer}.bias")
    rows = (units.movedim(1, -1) if units.ndim == 4 else units).flatten(1)  # as kernels lie in channels_last
    if bias is not None:
        rows = torch.cat([rows, bias[:, None].to(rows)], 1)
    return rows.reshape(len(rows) // axis.block, -1)


def _summed(entries: Tensor, block: int) -> Tensor:
    """[n * block] -> [n]."""
    return entries.unflatten(0, (-1, block)).sum(1)
