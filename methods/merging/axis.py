"""Efficient Multi-Source Knowledge Transfer by Model Merging (AXIS). Osial, Wojcik, Zielinski, et al.
2025, arXiv:2508.19353.

Stage 1 pools the rank-one components of all sources' task matrices, weight by weight, and keeps the top K by singular
value. Stage 2 decomposes their sum anew and trains its top N singular values on the target's labelled images; the
singular vectors, the rest of the spectrum, everything that is no matrix (mean of the sources) and the head stay fixed.

Differences: K and N are shares of a matrix's rank (the paper: K = 76 of 768, N = 10, 20 or 40 %); convolution kernels
count as matrices [out, in * k * k]; the schedule is this project's one-cycle under the scenario's recipe. Where a
scenario has several tasks and no held-out target, stage 2 trains on the labelled images of all of them jointly.

Controls of the paper's tables: another merge in place of the pooled components, before the same stage 2 (`stage1`:
average; DARE, which drops half and averages; TIES at 0.2 and scaling 1; TSV-Merge), and arbitrary or the weakest
components in place of the strongest (`components`). `stage1 = "best-source"` is ours: the one source whose features
give the labelled images the lowest cross-entropy under the fixed heads, chosen without any training.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench import method
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction, Rate
from methods.merging import ties
from methods.merging.dare import drop_and_rescale
from methods.merging.spectra import leading
from methods.merging.task_vectors import TaskVector, add, as_matrix, mean, merge_matrices, task_vectors
from methods.merging.tsv_merge import decorrelated_sum
from methods.merging.tuning import best_source, tune

Stage1 = Literal["axis", "average", "dare", "ties", "tsv", "best-source"]
Components = Literal["top", "random", "bottom"]


@method(family="merging", scenario="merge", access={"weights", "labels"}, paper="arXiv:2508.19353", year=2025)
def axis(
    task: MergeTask,
    *,
    top_k: Fraction = 0.1,
    top_n: Fraction = 0.4,
    lr: Rate = 0.03,
    stage1: Stage1 = "axis",
    components: Components = "top",
    stage2: bool = True,
) -> nn.Module:
    """Strongest rank-one components of all sources, then training of the leading singular values of their sum.

    Args:
        top_k: K, as a share of each matrix's rank.
        top_n: N, as a share of each matrix's rank.
        lr: peak learning rate of stage 2.
        stage1: what merges the sources.
        components: which K of the pooled components are kept; of no effect on other merges than AXIS's own.
        stage2: whether singular values are trained.
    """
    change = merge_sources(task, stage1, top_k, components)
    merged = add(task.init, change, task.parents)
    if not stage2:
        return merged
    return tune_spectra(task, merged, change, top_n, lr)


def merge_sources(task: MergeTask, stage1: Stage1, top_k: float, components: Components) -> TaskVector:
    """Stage 1: one change of the initialisation from all sources' task vectors."""
    vectors = task_vectors(task.init, task.parents)
    match stage1:
        case "average":
            return mean(vectors)
        case "dare":
            return mean([drop_and_rescale(vector, 0.5, task.generator) for vector in vectors])
        case "ties":
            return ties.merge(vectors, keep=0.2)
        case "tsv":
            return merge_matrices(vectors, decorrelated_sum)
        case "best-source":
            return vectors[best_source(task)]
        case "axis":
            return merge_matrices(
                vectors, lambda deltas: pool(deltas, share(top_k, deltas[0]), components, task.generator)
            )


def share(fraction: float, matrix: Tensor) -> int:
    """A share of a matrix's rank as a number of components; at least one."""
    return max(1, math.ceil(fraction * min(matrix.shape)))


def pool(
    deltas: Sequence[Tensor],
    count: int,
    components: Components = "top",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Sum of `count` rank-one terms s u v^T among those of all matrices [out, in]: of largest s, smallest s, or random.

    Terms of singular value zero are not among them.
    """
    triples = [leading(delta) for delta in deltas]
    u = torch.cat([u for u, _, _ in triples], dim=1)
    s = torch.cat([s for _, s, _ in triples])
    vh = torch.cat([vh for _, _, vh in triples])
    if components == "random":
        kept = torch.randperm(len(s), generator=generator)[:count].to(s.device)
    else:
        kept = s.argsort(descending=components == "top", stable=True)[:count]
    return (u[:, kept] * s[kept]) @ vh[kept]


class Spectrum:
    """A weight theta_0 + U diag(s) V^T of which the leading n singular values s are trained, and nothing else."""

    def __init__(self, merged: Tensor, change: Tensor, n: int) -> None:
        """`merged` = theta_0 + `change`, both of the weight's shape; the change is decomposed in float64."""
        u, s, vh = torch.linalg.svd(change.flatten(1).double(), full_matrices=False)
        self.u, self.vh = u[:, :n].to(merged.dtype), vh[:n].to(merged.dtype)
        self.leading = nn.Parameter(s[:n].to(merged.dtype))
        self.rest = merged.detach() - self._product().detach().view_as(merged)

    def weight(self) -> Tensor:
        """The weight at the present singular values; gradients flow into `leading`."""
        return self.rest + self._product().view_as(self.rest)

    def _product(self) -> Tensor:
        return (self.u * self.leading) @ self.vh


def tune_spectra(task: MergeTask, merged: nn.Module, change: TaskVector, top_n: float, lr: float) -> nn.Module:
    """Stage 2: train the leading singular values of every merged task matrix; returns the merged model with them.

    The network stays in eval mode: running statistics are no matrices and stay as they are.
    """
    weights = dict(merged.named_parameters())
    spectra = {
        name: Spectrum(weights[name], delta, share(top_n, delta.flatten(1)))
        for name, delta in change.items()
        if as_matrix(delta) is not None
    }
    backbone = copy.deepcopy(merged).requires_grad_(False).eval()
    backbone.head = nn.Identity()  # so that calling it gives features

    def features(x: Tensor) -> Tensor:
        return functional_call(backbone, {name: s.weight() for name, s in spectra.items()}, (x,))

    tune(task, nn.ParameterList([s.leading for s in spectra.values()]), features, lr=lr)
    with torch.no_grad():
        for name, spectrum in spectra.items():
            weights[name].copy_(spectrum.weight())
    return merged
