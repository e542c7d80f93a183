"""Merging Models with Fisher-Weighted Averaging.

Michael Matena and Colin Raffel, NeurIPS 2022, arXiv:2111.09832.

Each parameter is a mean of the parents' weighted by their diagonal Fisher information: the mode of the product of
Gaussian posteriors around the parents.

Different from the public codes: the Fisher information squares the gradients of single examples, not of batches (see
`bench.task.statistics.diagonal_fisher`), and the floor is relative to a network's typical Fisher information rather
than a fixed 1e-6, so that confident networks, whose Fisher information is tiny, are not simply averaged;
`absolute_floor` is what RegMean's code and fusion_bench do. Normalised by the norm over a whole network, as in both, or
over each parameter tensor by itself, which RegMean's code can do. Running statistics of BatchNorm have no Fisher information
and are averaged. Computed in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.fuse.scenario import FuseTask
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Rate
from methods.fusion.state import State, mean, parent_entries, result

BLOCK = 2**16
"""Entries that are worked on at once, so that intermediate results stay in the processor's cache."""


@method(family="merging", scenario=("fuse", "merge"), access={"weights", "fisher"}, paper="arXiv:2111.09832", year=2022)
def fisher_merge(
    task: FuseTask | MergeTask,
    *,
    normalize: bool = True,
    per_tensor: bool = False,
    floor: Rate = 1e-6,
    absolute_floor: bool = False,
) -> nn.Module:
    """Average every parameter with the parents' diagonal Fisher information as weights.

    Args:
        normalize: give every parent the same total weight, by the norm of its Fisher information.
        per_tensor: the norm over each parameter tensor by itself, not over the whole network.
        floor: added to the Fisher information, in units of its root mean square; where no parent has any, the merged
            value is the plain mean.
        absolute_floor: the floor, before normalisation, is added as it is.
    """
    states = parent_entries(task)
    fishers = [{name: f for name, f in fisher.items() if name in states[0]} for fisher in task.fishers]
    others = [{name: w for name, w in state.items() if name not in fishers[0]} for state in states]
    return result(task, mean(others) | weighted_mean(states, fishers, normalize, floor, per_tensor, absolute_floor))


def weighted_mean(
    states: Sequence[State],
    fishers: Sequence[Mapping[str, Tensor]],
    normalize: bool,
    floor: float,
    per_tensor: bool = False,
    absolute_floor: bool = False,
) -> State:
    """sum_i F_i theta_i / sum_i F_i for every entry that the Fisher informations have, after scale and floor."""
    scales = [_root_mean_square(list(fisher.values())) for fisher in fishers]
    if not normalize:
        scales = [_root_mean_square([f for fisher in fishers for f in fisher.values()])] * len(fishers)
    merged = {}
    for name in fishers[0]:
        own = [fisher[name] for fisher in fishers]
        if normalize and per_tensor:
            scales = [_root_mean_square([f]) for f in own]
        floors = [floor / scale for scale in scales] if absolute_floor else [floor] * len(scales)
        merged[name] = _weighted([state[name] for state in states], own, scales, floors)
    return merged


def _weighted(
    values: Sequence[Tensor], fishers: Sequence[Tensor], scales: Sequence[float], floors: Sequence[float]
) -> Tensor:
    """sum_i w_i v_i / sum_i w_i, w_i = F_i / scale_i + floor_i: block by block, of the values' type."""
    out = torch.empty_like(values[0], memory_format=torch.contiguous_format)
    parts = [tensor.reshape(-1).split(BLOCK) for tensor in (*values, *fishers)]
    for target, *blocks in zip(out.view(-1).split(BLOCK), *parts, strict=True):
        top, bottom = torch.zeros_like(target, dtype=torch.float64), torch.zeros_like(target, dtype=torch.float64)
        pairs = zip(blocks[: len(values)], blocks[len(values) :], scales, floors, strict=True)
        for value, fisher, scale, floor in pairs:
            weight = (fisher.double() / scale).add_(floor)
            bottom.add_(weight)
            top.addcmul_(weight, value.double())
        target.copy_(top.div_(bottom))
    return out


def _root_mean_square(fishers: Sequence[Tensor]) -> float:
    """Over all their entries; 1 where there is nothing but zeros."""
    squares = sum(float(torch.linalg.vector_norm(f, dtype=torch.float64)) ** 2 for f in fishers)
    return (squares / sum(f.numel() for f in fishers)) ** 0.5 or 1.0
