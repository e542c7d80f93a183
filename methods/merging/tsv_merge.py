"""Task Singular Vectors: Reducing Task Interference in Model Merging. Gargiulo, Crisostomi, Bucarelli, Scardapane,
Silvestri, Rodola. CVPR 2025, arXiv:2412.00081.

TSV-Merge: of T tasks, each keeps the leading 1/T of the singular triples of each weight matrix; the stacked singular
vectors are decorrelated (replaced by the nearest orthonormal ones) and multiplied out. What is no matrix is averaged.

Differences: convolution kernels count as matrices [out, in * k * k] (the paper's networks are transformers); each task
keeps at least one triple, and none of singular value zero; directions in which the stacked vectors are rank-deficient
are dropped before decorrelating. Else tasks of low rank, or tasks that share a direction, would bring in arbitrary
vectors of a null space.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Weight
from methods.merging.spectra import leading, polar_factor
from methods.merging.task_vectors import add, merge_matrices, task_vectors


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2412.00081", year=2025)
def tsv_merge(task: MergeTask, *, scaling: Weight = 1.0) -> nn.Module:
    """Low-rank parts of all tasks side by side, their singular vectors decorrelated."""
    vectors = task_vectors(task.init, task.parents)
    return add(task.init, merge_matrices(vectors, decorrelated_sum), task.parents, scaling)


def decorrelated_sum(deltas: list[Tensor]) -> Tensor:
    """TSV-Merge of task matrices [out, in]: polar(U) diag(S) polar(V)^T of their stacked leading triples."""
    rank = max(1, min(deltas[0].shape) // len(deltas))
    triples = [leading(delta, rank) for delta in deltas]
    u = torch.cat([u for u, _, _ in triples], dim=1)
    s = torch.cat([s for _, s, _ in triples])
    vh = torch.cat([vh for _, _, vh in triples])
    if len(s) == 0:
        return torch.zeros_like(deltas[0])
    return (polar_factor(u) * s) @ polar_factor(vh.mT).mT
