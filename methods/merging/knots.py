"""Model merging with SVD to tie the KnOTS. Stoica, Ramesh, Ecsedi, Choshen, Hoffman.
ICLR 2025, arXiv:2410.19735.

The task matrices of a weight, side by side, have one SVD: [D_1 | ... | D_T] = U S [V_1 | ... | V_T]^T. In the basis U,
which they share, task t is S V_t^T. There the tasks are merged, by TIES, by DARE and TIES, or by the mean, and U takes
the result back. The mean is what it is without the basis: it is the control.

Differs from the paper, which merges LoRA updates: whole task vectors are merged, so that the basis spans nearly all of
a layer's outputs. Convolution kernels count as matrices [out, in * k * k], embeddings as they are stored, [tokens,
width]: their basis is one of tokens (the authors merge no embeddings). What is no matrix (biases, scales of norms) is
merged as it is, by the same rule, in one vector with the rest. Singular values count as zero below 1e-6 of the
matrix's norm (the authors: below 1e-5). DARE replaces the trimming of TIES, as in the authors' configurations, with
their p of 0.1. The scaling is not searched for (theirs: 0.6 for TIES, 0.7 with DARE, on eight tasks of a ViT-B/32).
"""

from __future__ import annotations

from collections.abc import Sequence
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
    bases, coordinates = align(vectors)
    if merge == "ties":
        merged = ties.merge(coordinates, keep)
    elif merge == "dare-ties":
        merged = ties.merge([drop_and_rescale(c, drop, task.generator) for c in coordinates], keep=1.0)
    else:
        merged = mean(coordinates)
    change = {name: (bases[name] @ c).view_as(vectors[0][name]) if name in bases else c for name, c in merged.items()}
    return add(task.init, change, task.parents, scaling)


def align(vectors: Sequence[TaskVector]) -> tuple[dict[str, Tensor], list[TaskVector]]:
    """Basis U [out, k] of each weight that is a matrix, and per task what stands for each weight in it, [k, in].

    What is no matrix has no basis and stands for itself.
    """
    bases: dict[str, Tensor] = {}
    coordinates: list[TaskVector] = [dict(vector) for vector in vectors]
    for name, delta in vectors[0].items():
        if as_matrix(delta) is None:
            continue
        basis, parts = joint_basis([v[name].flatten(1).double() for v in vectors])
        bases[name] = basis.to(delta.dtype)
        for task, part in zip(coordinates, parts, strict=True):
            task[name] = part.to(delta.dtype)
    return bases, coordinates


def joint_basis(deltas: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """U [out, k] with orthonormal columns, and S V_t^T [k, in] of each task, so that U S V_t^T is its matrix."""
    u, s, vh = leading(torch.cat(list(deltas), dim=1))
    return u, list((s[:, None] * vh).split(deltas[0].shape[1], dim=1))
