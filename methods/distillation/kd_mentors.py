"""Distillation from the mean of several mentors: what papers on several mentors compare with.

Shan You, Chang Xu, Chao Xu and Dacheng Tao, KDD 2017 (Learning from Multiple Teacher Networks), of whose method this is
the first part, the averaged softened probabilities; the triplets of their hidden layers are left out.

The teacher is one of the mentors, and all count alike. Weights and temperature are those of `kd`, which it is on a
board without mentors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.types import Fraction, Rate


@method(
    family="distillation",
    scenario="distill",
    access={"outputs", "mentors", "labels"},
    paper="You et al., KDD 2017",
    year=2017,
)
def kd_mentors(task: DistillTask, *, alpha: Fraction = 0.1, temperature: Rate = 4.0) -> nn.Module:
    """Average mentors: match the mean of the teacher's and the mentors' softened outputs and, a little, the labels.

    Args:
        alpha: weight of the labels' cross-entropy; the softened divergence weighs 1 - alpha.
        temperature: T of the softened probabilities.
    """
    smoothing = task.recipe.label_smoothing

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        z = model(x)
        hard = nn.functional.cross_entropy(z, y, label_smoothing=smoothing)
        mentors = torch.cat([task.teacher_outputs(x)[None], task.mentor_outputs(x)])
        soft = divergence_from_mean(z, mentors, temperature)
        return alpha * hard + (1 - alpha) * soft

    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        progress=task.progress,
    )
    return task.student


def divergence_from_mean(student: Tensor, mentors: Tensor, temperature: float) -> Tensor:
    """T^2 KL(mean of the mentors' probabilities || the student's), of logits [M, B, C] and [B, C]; a mean over B."""
    mean = (mentors / temperature).softmax(2).mean(0)
    mine = (student / temperature).log_softmax(1)
    return temperature**2 * nn.functional.kl_div(mine, mean, reduction="batchmean")
