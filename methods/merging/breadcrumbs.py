"""Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks. Davari, Belilovsky.
ECCV 2024, arXiv:2312.06795.

Of each weight of each task vector the entries of largest magnitude (outliers) and those of smallest magnitude
(negligible) are set to zero; what is left between the two is summed over the tasks and scaled.

Differs from the paper: it masks layer by layer, which here is tensor by tensor; the authors' code ranks within the
last axis of a tensor, of a convolution's kernel that is three entries. The defaults are the values that are told of the
paper for CLIP ViT-B/32 on eight tasks: alpha = 1, beta = 0.1, gamma = 0.01, beta (`density` here) being the share that
stays, as in the authors' code. The paper searches them on few tasks and keeps them for more; here nothing is searched.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction, Weight
from methods.merging.task_vectors import add, task_vectors, total


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2312.06795", year=2024)
def breadcrumbs(
    task: MergeTask, *, density: Fraction = 0.1, gamma: Fraction = 0.01, scaling: Weight = 1.0
) -> nn.Module:
    """Sum of the task vectors without their largest and their smallest entries.

    Args:
        density: share of each tensor's entries that stay (fewer where gamma leaves fewer).
        gamma: share of each tensor's entries, the largest, that are removed before.
        scaling: factor of the sum.
    """
    masked = [
        {name: between(delta, density, gamma) for name, delta in vector.items()}
        for vector in task_vectors(task.init, task.parents)
    ]
    return add(task.init, total(masked), task.parents, scaling)


def between(delta: Tensor, density: float, gamma: float) -> Tensor:
    """Zero all but the floor(density * d) largest entries that follow the floor(gamma * d) largest; same shape.

    Exactly so many stay: of entries that tie at a border some do.
    """
    magnitude = delta.abs().flatten().cpu().numpy()
    upper = len(magnitude) - int(gamma * len(magnitude))
    lower = max(upper - int(density * len(magnitude)), 0)
    borders = [border for border in (lower, upper) if border < len(magnitude)]
    order = np.argpartition(magnitude, borders) if borders else np.arange(len(magnitude))
    kept = torch.from_numpy(order[lower:upper]).to(delta.device)
    masked = torch.zeros_like(delta).flatten()
    masked[kept] = delta.flatten()[kept]
    return torch.where(delta.isfinite(), masked.view_as(delta), delta)  # what is NaN or infinite stays to be seen
