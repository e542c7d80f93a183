"""Model merging with SVD to tie the KnOTS. Stoica, Ramesh, Ecsedi, Choshen, Hoffman.
ICLR 2025, arXiv:2410.19735.

The task matrices of a weight, side by side, have one SVD: [D_1 | ... | D_T] = U S [V_1 | ... | V_T]^T. In the basis U,
which they share, task t is S V_t^T. There the tasks are merged, by TIES, by DARE and TIES, or by the mean, and U takes
the result back. The mean is what it is without the basis: it is the control.

As the authors' code (gstoica27/KnOTS, `task_merger.py`) reads whole networks: a bias is one more column of its layer's
matrix, the scales of a norm are a diagonal matrix, and what has neither (class token, position embedding) is merged as
it is, apart from the rest, by the same rule but without DARE: TIES trims it by a ranking of its own. That last merge is
an option that the authors' configurations leave off, as LoRA changes nothing of the kind; here it is on.

Differs from the paper, which merges LoRA updates: whole task vectors are merged, so that the basis spans nearly all of
a layer's outputs. Convolution kernels count as matrices [out, in * k * k], embeddings as they are stored, [tokens,
width]: their basis is one of tokens (the authors merge no embeddings). Singular values count as zero below 1e-6 of the
matrix's norm (the authors: below 1e-5). DARE replaces the trimming of TIES, as in the authors' configurations, with
their p of 0.1. The scaling is not searched for (theirs: 0.6 for TIES, 0.7 with DARE, on eight tasks of a ViT-B/32).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction, Weight
from methods.merging import ties
from methods.merging.dare import Drop, drop_and_rescale
from methods.merging.spectra import leading
from methods.merging.task_vectors import TaskVector, add, as_matrix, mean, task_vectors


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2410.19735", year=2025)
def knots(
    task: MergeTask,
    *,
    merge: Literal["ties", "dare-ties", "mean"] = "ties",
    keep: Fraction = 0.2,
    drop: Drop = 0.1,
    scaling: Weight = 1.0,
) -> nn.Module:
    """Merge the task vectors in a basis that they share.

    Args:
        merge: how, in the basis.
        keep: the share of coordinates that TIES trims to.
        drop: the share of coordinates that DARE drops, in place of trimming.
        scaling: factor of the merged change.
    """
    vectors = task_vectors(task.init, task.parents)
    bases, coordinates, others = align(vectors)
    if merge == "dare-ties":
        coordinates, keep = [drop_and_rescale(c, drop, task.generator) for c in coordinates], 1.0
    by = mean if merge == "mean" else partial(ties.merge, keep=keep)
    merged = {name: c for part in (coordinates, others) if part[0] for name, c in by(part).items()}
    return add(task.init, restore(bases, merged, vectors[0]), task.parents, scaling)


def align(vectors: Sequence[TaskVector]) -> tuple[dict[str, Tensor], list[TaskVector], list[TaskVector]]:
    """What the tasks share, and what each of them is in it.

    Returns:
        Basis U [out, k] of each layer; per task what stands for each layer in it, [k, columns]; and per task the
        parameters that belong to no matrix, as they are. Layers are called as their parameter `weight` is.
    """
    bases: dict[str, Tensor] = {}
    coordinates: list[TaskVector] = [{} for _ in vectors]
    layers = [name for name, delta in vectors[0].items() if _is_matrix(name, delta)]
    for name in layers:
        basis, parts = joint_basis([layer_matrix(vector, name).double() for vector in vectors])
        bases[name] = basis.to(vectors[0][name].dtype)
        for task, part in zip(coordinates, parts, strict=True):
            task[name] = part.to(vectors[0][name].dtype)
    inside = {*layers, *(bias_of(vectors[0], name) for name in layers)}
    return bases, coordinates, [{name: d for name, d in vector.items() if name not in inside} for vector in vectors]


def restore(bases: dict[str, Tensor], merged: TaskVector, like: TaskVector) -> TaskVector:
    """The change of each parameter, out of `align`'s bases and of merged coordinates and other parameters."""
    change: TaskVector = {}
    for name, value in merged.items():
        if name not in bases:
            change[name] = value
            continue
        matrix = bases[name] @ value
        if (bias := bias_of(like, name)) is not None:
            change[bias] = matrix[:, -1]
            matrix = matrix[:, :-1]
        change[name] = matrix.diagonal() if like[name].ndim == 1 else matrix.reshape(like[name].shape)
    return change


def layer_matrix(vector: TaskVector, name: str) -> Tensor:
    """[out, columns]: the weight of a layer, or the diagonal of a norm's scales, with the bias as its last column."""
    weight, bias = vector[name], bias_of(vector, name)
    matrix = weight.diag() if weight.ndim == 1 else weight.flatten(1)
    return matrix if bias is None else torch.cat([matrix, vector[bias][:, None]], dim=1)


def bias_of(vector: TaskVector, name: str) -> str | None:
    """The bias, one for each row, that stands beside a layer's `weight`."""
    bias = name.removesuffix("weight") + "bias"
    return bias if bias in vector and vector[bias].shape == vector[name].shape[:1] else None


def _is_matrix(name: str, delta: Tensor) -> bool:
    return name.rpartition(".")[2] == "weight" and (delta.ndim == 1 or as_matrix(delta) is not None)


def joint_basis(deltas: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """U [out, k] with orthonormal columns, and S V_t^T [k, in] of each task, so that U S V_t^T is its matrix."""
    u, s, vh = leading(torch.cat(list(deltas), dim=1))
    return u, list((s[:, None] * vh).split(deltas[0].shape[1], dim=1))
