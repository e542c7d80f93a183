"""Task vectors: what fine-tuning added to an initialisation, weight by weight, and how a merge puts it back.

A task vector has every parameter of the network but those of its head: heads belong to their tasks and are never
merged. Buffers are no weights and are not in it either.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench.models.layers import HEAD

TaskVector = dict[str, Tensor]
"""Parameter name -> theta_t - theta_0 (or any other change of that parameter), of the parameter's shape."""

NORMALIZER = "normalize."
BLOCK = 2**16
"""Entries that are worked on at once, so that intermediate results stay in the processor's cache."""


def task_vectors(init: nn.Module, parents: Sequence[nn.Module]) -> list[TaskVector]:
    """tau_t = theta_t - theta_0 for every parent; tied weights appear once.

    Raises:
        ValueError: there is no parent, or one is not of the initialisation's architecture.
    """
    start, tuned = _backbones(init, parents)
    return [{name: weights[name] - start[name] for name in start} for weights in tuned]


def total_change(init: nn.Module, parents: Sequence[nn.Module]) -> TaskVector:
    """The sum of all task vectors, none of which is held as a whole.

    Raises:
        ValueError: as `task_vectors`.
    """
    start, tuned = _backbones(init, parents)
    change = {name: torch.zeros_like(weight, memory_format=torch.contiguous_format) for name, weight in start.items()}
    for name, out in change.items():
        sources = [weights[name].reshape(-1).split(BLOCK) for weights in tuned]
        for total, first, *blocks in zip(
            out.view(-1).split(BLOCK), start[name].reshape(-1).split(BLOCK), *sources, strict=True
        ):
            for block in blocks:
                total += block - first
    return change


@torch.no_grad()
def add(init: nn.Module, change: TaskVector, parents: Sequence[nn.Module], scaling: float = 1.0) -> nn.Module:
    """A copy of the initialisation with weights theta_0 + scaling * change.

    Running statistics of normalisation layers are no weights: they become the mean of the parents', as in a plain
    average. Integer buffers and the normaliser of the inputs stay the initialisation's.
    """
    model = copy.deepcopy(init)
    parameters = dict(model.named_parameters())
    for name, delta in change.items():
        parameters[name].add_(delta.to(parameters[name].dtype), alpha=scaling)
    statistics = [dict(parent.named_buffers()) for parent in parents]
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point() and not name.startswith((HEAD, NORMALIZER)):
            buffer.copy_(torch.stack([s[name] for s in statistics]).mean(0))
    return model


def total(vectors: Sequence[TaskVector]) -> TaskVector:
    """Sum over tasks."""
    return {name: _sum([v[name] for v in vectors]) for name in vectors[0]}


def mean(vectors: Sequence[TaskVector]) -> TaskVector:
    """Mean over tasks."""
    return {name: _sum([v[name] for v in vectors]).div_(len(vectors)) for name in vectors[0]}


def _sum(deltas: Sequence[Tensor]) -> Tensor:
    """A new tensor, without a stack of all deltas."""
    out = deltas[0].clone()
    for delta in deltas[1:]:
        out += delta
    return out


def as_matrix(weight: Tensor) -> Tensor | None:
    """View of a weight as a matrix [out, in]; None where it has no two sides.

    A convolution's kernel [out, in, k, k] is read as [out, in * k * k]. Biases, scales, and what has a leading axis of
    one (class token, position embedding) are no matrices.
    """
    if weight.ndim < 2 or weight.shape[0] < 2 or math.prod(weight.shape[1:]) < 2:
        return None
    return weight.flatten(1)


def merge_matrices(vectors: Sequence[TaskVector], merge: Callable[[list[Tensor]], Tensor]) -> TaskVector:
    """Merge each weight matrix by `merge`, and everything that is no matrix by the mean.

    Args:
        vectors: one a task.
        merge: receives a weight's task matrices, float64 [out, in] each, and returns one such matrix.
    """
    merged = mean(vectors)
    for name, average in merged.items():
        if as_matrix(average) is not None:
            deltas = [v[name].flatten(1).double() for v in vectors]
            merged[name] = merge(deltas).to(average.dtype).view_as(average)
    return merged


def _backbones(init: nn.Module, parents: Sequence[nn.Module]) -> tuple[TaskVector, list[TaskVector]]:
    if not parents:
        raise ValueError("no parent to merge")
    start, tuned = _backbone(init), [_backbone(parent) for parent in parents]
    for number, weights in enumerate(tuned):
        _same_architecture(start, weights, f"parent {number}")
    return start, tuned


def _backbone(model: nn.Module) -> TaskVector:
    return {name: p.detach() for name, p in model.named_parameters() if not name.startswith(HEAD)}


def _same_architecture(expected: TaskVector, got: TaskVector, who: str) -> None:
    if expected.keys() != got.keys():
        odd = sorted(expected.keys() ^ got.keys())
        raise ValueError(f"{who} is not of the initialisation's architecture: {odd[0]!r} is in one of the two only")
    for name, weight in expected.items():
        if weight.shape != got[name].shape:
            shapes = f"{tuple(got[name].shape)}, the initialisation's {tuple(weight.shape)}"
            raise ValueError(f"{who} is not of the initialisation's architecture: its {name!r} has shape {shapes}")
