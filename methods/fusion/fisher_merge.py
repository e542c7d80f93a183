"""Merging Models with Fisher-Weighted Averaging.

Michael Matena and Colin Raffel, NeurIPS 2022, arXiv:2111.09832.

Each parameter is a mean of the parents' weighted by their diagonal Fisher information: the mode of the product of
Gaussian posteriors around the parents.

Different from the public codes: the Fisher information squares the gradients of single examples, not of batches (see
`bench.statistics.diagonal_fisher`), and the floor is relative to a network's typical Fisher information rather than a
fixed 1e-6, so that confident networks, whose Fisher information is tiny, are not simply averaged. Running statistics
of BatchNorm have no Fisher information and are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.fuse import FuseTask
from bench.scenarios.merge import MergeTask
from bench.types import Rate
from methods.fusion.state import State, mean, parent_states, result


@method(family="merging", scenario=("fuse", "merge"), access={"weights", "fisher"}, paper="arXiv:2111.09832", year=2022)
def fisher_merge(task: FuseTask | MergeTask, *, normalize: bool = True, floor: Rate = 1e-6) -> nn.Module:
    """Average every parameter with the parents' diagonal Fisher information as weights.

    Args:
        normalize: give every parent the same total weight, by the norm of its Fisher information.
        floor: added to the Fisher information, in units of its root mean square; where no parent has any, the merged
            value is the plain mean.
    """
    states = parent_states(task)
    fishers = [{name: f.double() for name, f in fisher.items() if name in states[0]} for fisher in task.fishers]
    return result(task, mean(states) | weighted_mean(states, fishers, normalize, floor))


def weighted_mean(
    states: Sequence[State], fishers: Sequence[Mapping[str, Tensor]], normalize: bool, floor: float
) -> State:
    """sum_i F_i theta_i / sum_i F_i for every entry that the Fisher informations have, after scale and floor."""
    scales = [_root_mean_square([fisher]) for fisher in fishers]
    if not normalize:
        scales = [_root_mean_square(fishers)] * len(fishers)
    merged = {}
    for name in fishers[0]:
        weights = torch.stack([f[name] / scale + floor for f, scale in zip(fishers, scales, strict=True)])
        values = torch.stack([state[name] for state in states])
        merged[name] = (weights * values).sum(0) / weights.sum(0)
    return merged


def _root_mean_square(fishers: Sequence[Mapping[str, Tensor]]) -> float:
    """Over all parameters of all these networks; 1 where there is nothing but zeros."""
    values = torch.cat([f.flatten() for fisher in fishers for f in fisher.values()])
    return float(values.square().mean().sqrt()) or 1.0
