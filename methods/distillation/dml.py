"""Deep Mutual Learning.

Ying Zhang, Tao Xiang, Timothy M. Hospedales and Huchuan Lu, CVPR 2018, arXiv:1706.00384.

Untrained networks learn side by side: each from the labels, and from the mean divergence of the others' probabilities
from its own, at temperature 1. There is no teacher. The paper updates them one after another within a step; here all
are updated at once, by the student's recipe.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from methods.distillation.group import members
from methods.distillation.losses import distillation_kl


@method(
    family="distillation",
    scenario="distill",
    access={"assistants", "labels"},
    paper="arXiv:1706.00384",
    year=2018,
    in_place=True,
)
def dml(task: DistillTask) -> nn.Module:
    """Mutual learning: the student and untrained assistants learn from labels and from each other."""
    if not task.assistants:
        raise Skip("needs assistants, and the scenario names none")
    group = members(task)

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        return mutual_loss([network(x) for network in group], y, task.recipe.label_smoothing)

    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        parameters=group.parameters(),
        progress=task.progress,
    )
    return task.student


def mutual_loss(logits: Sequence[Tensor], labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """The sum of all networks' losses, of logits [B, C] each: labels, and the mean divergence of the others from it."""
    terms = []
    for i, z in enumerate(logits):
        rest = [distillation_kl(z, other.detach(), 1.0) for j, other in enumerate(logits) if j != i]
        terms.append(nn.functional.cross_entropy(z, labels, label_smoothing=smoothing) + torch.stack(rest).mean())
    return torch.stack(terms).sum()
