"""Dataless Knowledge Fusion by Merging Weights of Language Models (RegMean).

Xisen Jin, Xiang Ren, Daniel Preotiuc-Pietro and Pengxiang Cheng, ICLR 2023, arXiv:2212.09849.

The merged weight of a linear layer is the one whose outputs are nearest, in the least-squares sense, to those of every
parent on that parent's own inputs. No input is needed for that, only the inputs' Gram matrices G_i:
W^T = (sum_i G_i)^-1 sum_i G_i W_i^T. Everything else is averaged.

Different from the paper, whose networks are transformers: convolutions are linear layers on patches. A small ridge
pulls towards the plain mean, on both sides of the equation, where the inputs of all parents together leave directions
open (units that are never active). `joint_bias` solves for the bias as well, as the weight of a constant input.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.fuse import FuseTask
from bench.scenarios.merge import MergeTask
from bench.types import Fraction, Rate
from methods.fusion.state import mean, parent_states, result


@method(family="merging", scenario=("fuse", "merge"), access={"weights", "grams"}, paper="arXiv:2212.09849", year=2023)
def regmean(
    task: FuseTask | MergeTask, *, off_diagonal: Fraction = 0.9, ridge: Rate = 1e-6, joint_bias: bool = False
) -> nn.Module:
    """Merge linear layers by least squares on the parents' Gram matrices, the rest by the mean.

    Args:
        off_diagonal: alpha, the factor of the Gram matrices' off-diagonal entries; 0 weighs inputs one by one.
        ridge: added to the diagonals, in units of their mean.
        joint_bias: merge the bias together with the weight, instead of by the mean.
    """
    states = parent_states(task)
    merged = mean(states)
    layers = [layer for layer in task.grams[0] if f"{layer}.weight" in merged]
    for done, layer in enumerate(layers, 1):
        weight, bias = f"{layer}.weight", f"{layer}.bias"
        matrices = [state[weight].flatten(1) for state in states]
        joint = joint_bias and bias in merged
        if joint:
            matrices = [torch.cat([w, s[bias][:, None]], 1) for w, s in zip(matrices, states, strict=True)]
        inputs = matrices[0].shape[1]
        grams = [g[layer][:inputs, :inputs].to(matrices[0]) for g in task.grams]
        solution = regression_mean(matrices, grams, off_diagonal, ridge)
        if joint:
            merged[bias], solution = solution[:, -1], solution[:, :-1]
        merged[weight] = solution.reshape(merged[weight].shape)
        task.progress(done, len(layers))
    return result(task, merged)


def regression_mean(weights: Sequence[Tensor], grams: Sequence[Tensor], off_diagonal: float, ridge: float) -> Tensor:
    """argmin_W sum_i |X_i W^T - X_i W_i^T|^2 from the Gram matrices of the X_i alone.

    Args:
        weights: W_i, float64 [out, d] each.
        grams: mean outer product of the rows of X_i, float64 [d, d] each.
        off_diagonal: factor of their off-diagonal entries.
        ridge: added to each of their diagonals, in units of the mean over all diagonals.

    Returns:
        W, float64 [out, d].
    """
    typical = torch.stack([g.diagonal() for g in grams]).mean()
    floor = ridge * typical if typical > 0 else torch.ones_like(typical)  # no parent has ever had an input here
    scaled = [off_diagonal * g + torch.diag((1 - off_diagonal) * g.diagonal() + floor) for g in grams]
    right = torch.stack([g @ w.T for g, w in zip(scaled, weights, strict=True)]).sum(0)
    return torch.linalg.solve(torch.stack(scaled).sum(0), right).T
