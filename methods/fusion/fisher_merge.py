"""Merging Models with Fisher-Weighted Averaging.

Michael Matena and Colin Raffel, NeurIPS 2022, arXiv:2111.09832.

Each parameter is a mean of the parents' weighted by their diagonal Fisher information: the mode of the product of
Gaussian posteriors around the parents. In the manner of the authors' code (mmatena/model_merging, `merging.py`): the
Fisher information is the mean over examples of the expectation over classes of squared gradients of single examples
(`bench.task.statistics.diagonal_fisher`); each parent's weight is its coefficient over the norm of its whole Fisher
information; that of the first parent, the target that the others donate to, is raised to at least 1e-6.

Different from the paper and its code:
- the coefficients are equal, where the authors take the best of 51 on validation data of the target task (a grid for
  two models, drawn at random for more): no access grants labelled data here. `share` is the first parent's
  coefficient, and a row's `search` over it chooses by the validation split;
- no parent of our boards is a target. With `floor_of = "first"` the first one decides wherever no parent has Fisher
  information above the floor, and so nearly everywhere, if the networks are confident. `"all"` is the code's
  `favor_target_model = False`; `"added"` is what RegMean's code and fusion_bench do, which add the floor to all;
  `"relative"` is ours: a floor for all in units of a network's typical Fisher information;
- `per_tensor`, the norm over each parameter tensor by itself, is an option of RegMean's code;
- where all weights are zero, the merged value is the plain mean (the code divides zero by zero);
- running statistics of BatchNorm have no Fisher information and are averaged. Computed in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.fuse.scenario import FuseTask
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction, Rate
from methods.fusion.state import State, mean, parent_entries, result

BLOCK = 2**16
"""Entries that are worked on at once, so that intermediate results stay in the processor's cache."""


FloorOf = Literal["first", "all", "added", "relative"]


@method(family="merging", scenario=("fuse", "merge"), access={"weights", "fisher"}, paper="arXiv:2111.09832", year=2022)
def fisher_merge(
    task: FuseTask | MergeTask,
    *,
    share: Fraction | None = None,
    normalize: bool = True,
    per_tensor: bool = False,
    floor: Rate = 1e-6,
    floor_of: FloorOf = "first",
) -> nn.Module:
    """Average every parameter with the parents' diagonal Fisher information as weights.

    Args:
        share: coefficient of the first parent; the others share the rest. 1 / parents, if unset.
        normalize: divide every parent's weights by the norm of its Fisher information.
        per_tensor: the norm over each parameter tensor by itself, not over the whole network.
        floor: what the Fisher information is at least, before it is normalised.
        floor_of: which is raised to the floor: the first parent's or all parents'; or the floor is added to all, as it
            is, or in units of the root mean square of the Fisher information.
    """
    states = parent_entries(task)
    fishers = [{name: f for name, f in fisher.items() if name in states[0]} for fisher in task.fishers]
    others = [{name: w for name, w in state.items() if name not in fishers[0]} for state in states]
    shares = coefficients(len(states), share)
    return result(task, mean(others) | weighted_mean(states, fishers, shares, normalize, floor, floor_of, per_tensor))


def coefficients(parents: int, share: float | None) -> list[float]:
    """`share` for the first and an equal part of the rest for each of the others; equal parts, if it is unset."""
    if share is None or parents == 1:
        return [1 / parents] * parents
    return [share, *[(1 - share) / (parents - 1)] * (parents - 1)]


def weighted_mean(
    states: Sequence[State],
    fishers: Sequence[Mapping[str, Tensor]],
    shares: Sequence[float],
    normalize: bool,
    floor: float,
    floor_of: FloorOf,
    per_tensor: bool = False,
) -> State:
    """sum_i c_i F_i theta_i / sum_i c_i F_i for every entry that the Fisher informations have, after scale and floor.

    Args:
        states: float entries of every parent.
        fishers: of the same shapes, for all or some of the entries; not negative.
        shares: coefficient c_i of each parent.
        normalize: as of `fisher_merge`, like the rest.
    """
    typical = [_root_mean_square(list(fisher.values())) for fisher in fishers]
    joint = _root_mean_square([f for fisher in fishers for f in fisher.values()])
    merged = {}
    for name in fishers[0]:
        own = [fisher[name] for fisher in fishers]
        scales = [joint] * len(fishers)
        if normalize:
            scales = [_root_mean_square([f]) for f in own] if per_tensor else typical
        rules = [_rule(floor, scale, floor_of, number) for number, scale in enumerate(scales)]
        weights = [c / scale for c, scale in zip(shares, scales, strict=True)]
        merged[name] = _weighted([state[name] for state in states], own, weights, rules)
    return merged


def _rule(floor: float, scale: float, floor_of: FloorOf, number: int) -> tuple[float, float]:
    """(least, more): the Fisher information F of parent `number` counts as max(F, least) + more."""
    if floor_of == "added":
        return 0.0, floor
    if floor_of == "relative":
        return 0.0, floor * scale
    return (floor if number == 0 or floor_of == "all" else 0.0), 0.0


def _weighted(
    values: Sequence[Tensor], fishers: Sequence[Tensor], weights: Sequence[float], rules: Sequence[tuple[float, float]]
) -> Tensor:
    """sum_i w_i v_i / sum_i w_i, w_i = weight_i (max(F_i, least_i) + more_i), or mean v_i where all w_i are zero: block
    by block, of the values' type.
    """
    out = torch.empty_like(values[0], memory_format=torch.contiguous_format)
    parts = [tensor.reshape(-1).split(BLOCK) for tensor in (*values, *fishers)]
    for target, *blocks in zip(out.view(-1).split(BLOCK), *parts, strict=True):
        top, bottom = torch.zeros_like(target, dtype=torch.float64), torch.zeros_like(target, dtype=torch.float64)
        mine = blocks[: len(values)]
        for value, fisher, weight, (least, more) in zip(mine, blocks[len(values) :], weights, rules, strict=True):
            counted = fisher.double().clamp(min=least).add_(more).mul_(weight)
            bottom.add_(counted)
            top.addcmul_(counted, value.double())
        if bottom.all():
            target.copy_(top.div_(bottom))
        else:
            plain = torch.stack([value.double() for value in mine]).mean(0)
            target.copy_(torch.where(bottom == 0, plain, top / bottom))
    return out


def _root_mean_square(fishers: Sequence[Tensor]) -> float:
    """Over all their entries; 1 where there is nothing but zeros."""
    squares = sum(float(torch.linalg.vector_norm(f, dtype=torch.float64)) ** 2 for f in fishers)
    return (squares / sum(f.numel() for f in fishers)) ** 0.5 or 1.0
