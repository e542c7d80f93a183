"""No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces (Iso-C, Iso-CTS).
Marczak, Magistri, Cygert, Twardowski, Bagdanov, van de Weijer. ICML 2025, arXiv:2502.04959.

Iso-C: each weight matrix of the summed task vectors keeps its singular vectors, and all its singular values become
their mean. Iso-CTS: the weakest directions of the sum give way to the strongest directions of what each task has
outside of the others; both kinds are orthonormalised (polar factor) and share one singular value, the mean again. What
is no matrix is averaged.

Differs from the paper: convolution kernels count as matrices [out, in * k * k] (the paper's networks are transformers,
and its code leaves everything that is not 2-D to the mean). Embeddings count as they are stored, [tokens, width], as
in that code: what Iso-CTS takes to be outside of the common part is a matter of tokens there. Directions of singular
value zero are left out, of the mean as well as of the merge: the paper's flat spectrum would raise arbitrary vectors
of a null space to full strength. At full rank this changes nothing. The paper searches `scaling` on validation data;
here it is a number of the suite, 1 unless said (fusion_bench takes 1.5 for eight tasks).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction, Weight
from methods.merging.spectra import Triples, leading, polar_factor
from methods.merging.task_vectors import add, merge_matrices, task_vectors


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2502.04959", year=2025)
def iso_c(task: MergeTask, *, scaling: Weight = 1.0) -> nn.Module:
    """The sum of the task vectors with the spectrum of each weight matrix made flat."""
    vectors = task_vectors(task.init, task.parents)
    return add(task.init, merge_matrices(vectors, isotropic_sum), task.parents, scaling)


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2502.04959", year=2025)
def iso_cts(task: MergeTask, *, common: Fraction = 0.8, scaling: Weight = 1.0) -> nn.Module:
    """Iso-C with the weakest common directions replaced by task-specific ones.

    Args:
        common: share of each matrix's directions that the sum keeps; the rest is dealt out evenly to the tasks.
        scaling: factor of the merged change.
    """
    vectors = task_vectors(task.init, task.parents)
    merged = merge_matrices(vectors, lambda deltas: isotropic_subspaces(deltas, common))
    return add(task.init, merged, task.parents, scaling)


def isotropic_sum(deltas: list[Tensor]) -> Tensor:
    """Iso-C of task matrices [out, in]: mean(S) U V^T of the SVD U S V^T of their sum."""
    return flat([leading(sum(deltas[1:], deltas[0]))])


def isotropic_subspaces(deltas: list[Tensor], common: float) -> Tensor:
    """Iso-CTS of task matrices [out, in]: a flat spectrum over the sum's and each task's own leading directions."""
    total = sum(deltas[1:], deltas[0])
    rank = min(total.shape)
    own = directions_per_task(rank, common, len(deltas))
    scale = torch.stack([delta.norm() for delta in deltas]).max()
    shared = leading(total, rank - own * len(deltas), scale)
    u = shared[0]
    return flat([leading(delta - u @ (u.mT @ delta), own, scale) for delta in deltas] + [shared])


def directions_per_task(rank: int, common: float, tasks: int) -> int:
    """What the common share of a matrix's rank leaves to each task, rounded as the authors round; never too many."""
    return min(round((rank - int(common * rank)) / tasks), rank // tasks)


def flat(triples: list[Triples]) -> Tensor:
    """mean(S) polar(U) polar(V)^T of triples side by side; those of one matrix are orthonormal and stay as they are."""
    u = torch.cat([u for u, _, _ in triples], dim=1)
    s = torch.cat([s for _, s, _ in triples])
    vh = torch.cat([vh for _, _, vh in triples])
    if len(s) == 0:
        return u.new_zeros(u.shape[0], vh.shape[1])
    if len(triples) == 1:
        return s.mean() * u @ vh
    return s.mean() * polar_factor(u) @ polar_factor(vh.mT).mT
