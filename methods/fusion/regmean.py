"""Dataless Knowledge Fusion by Merging Weights of Language Models (RegMean).

Xisen Jin, Xiang Ren, Daniel Preotiuc-Pietro and Pengxiang Cheng, ICLR 2023, arXiv:2212.09849.

The merged weight of a linear layer is the one whose outputs are nearest, in the least-squares sense, to those of every
parent on that parent's own inputs. No input is needed for that, only the inputs' Gram matrices G_i:
W^T = (sum_i G_i)^-1 sum_i G_i W_i^T. G_i is the mean over inputs, not their sum, so that parents count alike whatever
the number of their images (as in the authors' code, which can also weigh them by coefficients found on a grid; that is
not offered). Everything else, biases, norms and embeddings, gets the plain mean: paper, code and RegMean++
(arXiv:2508.03121) know no other rule for it. What they leave to choose is which layers count as linear, and what
becomes of a head over classes that not every parent has seen:

- `convolutions`: in the paper only `nn.Linear` counts, and a convolution would get the mean; `patches`, the default, is
  this project's: a convolution is a linear layer on patches.
- `head = "seen-classes"`: a row of the head, weight and bias, is the mean over the parents that have seen its class.
  That is what the authors' code does with heads of several labels.

Different from the paper: a small ridge pulls towards the plain mean, on both sides of the equation, where the inputs of
all parents together leave directions open (units that are never active). `joint_bias` solves for the bias as well, as
the weight of a constant input. Solved in float64, by Cholesky factors where the paper inverts in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.layers import HEAD
from bench.scenarios.fuse.scenario import FuseTask
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction, Rate
from methods.fusion.state import State, mean, parent_entries, result


@method(family="merging", scenario=("fuse", "merge"), access={"weights", "grams"}, paper="arXiv:2212.09849", year=2023)
def regmean(
    task: FuseTask | MergeTask,
    *,
    off_diagonal: Fraction = 0.9,
    ridge: Rate = 1e-6,
    joint_bias: bool = False,
    convolutions: Literal["patches", "mean"] = "patches",
    head: Literal["regression", "seen-classes"] = "regression",
) -> nn.Module:
    """Merge linear layers by least squares on the parents' Gram matrices, the rest by the mean.

    Args:
        off_diagonal: alpha, the factor of the Gram matrices' off-diagonal entries; 0 weighs inputs one by one.
        ridge: added to the diagonals, in units of their mean.
        joint_bias: merge the bias together with the weight, instead of by the mean.
        convolutions: linear layers on patches, or one of the things that get the mean.
        head: merged as every linear layer, or row by row over the parents that have seen the class.
    """
    if head == "seen-classes" and isinstance(task, MergeTask):
        raise Skip("head = 'seen-classes' is for fusion; in a merge no head is merged")
    states = parent_entries(task)
    merged = mean(states)
    linear = [layer for layer in task.grams[0] if f"{layer}.weight" in merged]
    if convolutions == "mean":
        linear = [layer for layer in linear if merged[f"{layer}.weight"].ndim == 2]
    if head == "seen-classes":
        assert isinstance(task, FuseTask)
        linear = [layer for layer in linear if not f"{layer}.".startswith(HEAD)]
        merged |= rows_of_seen_classes(states, task.class_counts > 0)
    for done, layer in enumerate(linear, 1):
        solve_layer(merged, states, [grams[layer] for grams in task.grams], layer, off_diagonal, ridge, joint_bias)
        task.progress(done, len(linear))
    return result(task, merged)


def solve_layer(
    merged: State,
    states: Sequence[State],
    grams: Sequence[Tensor],
    layer: str,
    off_diagonal: float,
    ridge: float,
    joint_bias: bool = False,
) -> None:
    """Put the least-squares weight of a layer, and its bias if `joint_bias`, into `merged`.

    `states` are the parents' entries and `grams` their Gram matrices [d + 1, d + 1] of this layer, the constant last.
    """
    weight, bias = f"{layer}.weight", f"{layer}.bias"
    matrices = [state[weight].flatten(1).double() for state in states]
    joint = joint_bias and bias in merged
    if joint:
        matrices = [torch.cat([w, s[bias][:, None].double()], 1) for w, s in zip(matrices, states, strict=True)]
    inputs = matrices[0].shape[1]
    solution = regression_mean(matrices, [g[:inputs, :inputs].to(matrices[0]) for g in grams], off_diagonal, ridge)
    if joint:
        merged[bias], solution = solution[:, -1], solution[:, :-1]
    merged[weight] = solution.reshape(merged[weight].shape)


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
    total, right = torch.zeros_like(grams[0]), torch.zeros_like(weights[0].T)
    for gram, weight in zip(grams, weights, strict=True):
        scaled = off_diagonal * gram
        scaled.diagonal().copy_(gram.diagonal() + floor)
        total += scaled
        right.addmm_(scaled, weight.T)
    factor, failed = torch.linalg.cholesky_ex(total)
    if failed:  # singular up to rounding: the ridge is next to nothing
        return torch.linalg.solve(total, right).T
    return torch.cholesky_solve(right, factor).T


def rows_of_seen_classes(states: Sequence[State], seen: Tensor) -> State:
    """The head's entries, row by row the mean over the parents that have seen the class; over all, if none has.

    `seen`: bool [parents, classes].
    """
    who = torch.where(seen.any(0), seen, True)
    merged = {}
    for name in (name for name in states[0] if name.startswith(HEAD)):
        values = torch.stack([state[name] for state in states])
        weights = (who.to(values) / who.sum(0).to(values)).view(*who.shape, *[1] * (values.ndim - 2))
        merged[name] = (weights * values).sum(0)
    return merged
