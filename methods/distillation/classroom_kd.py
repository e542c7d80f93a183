"""Classroom-Inspired Multi-Mentor Distillation with Adaptive Learning Strategies (ClassroomKD).

Shalini Sarode, Muhammad Saif Ullah Khan, Tahira Shehzadi, Didier Stricker and Muhammad Zeshan Afzal, IntelliSys 2025,
arXiv:2409.20237.

The student asks those mentors only that are better than it is on the batch, each at a temperature that grows with the
distance between the two, and listens to the labels the more, the better it is itself. The teacher is one of the
mentors.

All is as the released code runs it (saifkhichi96/classroom-kd, `--ask`), in three points otherwise than in the paper:
who is better is decided by the mean cross-entropy of a batch, not by single images; weights are rounded to hundredths
of their sum; the divergence is multiplied by the square of its temperature 1 + 12 g, so that a mentor as good as the
student teaches at temperature 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.types import Weight
from methods.distillation.losses import distillation_kl


@method(
    family="distillation",
    scenario="distill",
    access={"outputs", "mentors", "labels"},
    paper="arXiv:2409.20237",
    year=2025,
)
def classroom_kd(task: DistillTask, *, stretch: Weight = 12.0) -> nn.Module:
    """Classroom: mentors who are better than the student teach it, the further ahead the softer.

    Args:
        stretch: how fast a mentor's temperature grows with its lead.
    """

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        mentors = [task.teacher_outputs(x), *task.mentor_outputs(x)]
        return classroom_loss(model(x), mentors, y, stretch, task.recipe.label_smoothing)

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


def classroom_loss(
    student: Tensor, mentors: Sequence[Tensor], labels: Tensor, stretch: float, smoothing: float = 0.0
) -> Tensor:
    """The whole loss of logits [B, C] of the student and of each mentor, and labels [B]."""
    hard = nn.functional.cross_entropy(student, labels, label_smoothing=smoothing)
    value = skill(student, labels) * hard
    weights = shares([skill(z, labels) for z in (student, *mentors)])
    for weight, z in zip(weights[1:], mentors, strict=True):
        if weight >= weights[0]:
            value = value + weight * distillation_kl(student, z, 1 + stretch * lead(weight, weights[0]))
    return value


@torch.no_grad()
def skill(logits: Tensor, labels: Tensor) -> float:
    """exp of minus the mean cross-entropy of logits [B, C] with labels [B]: 1 for who knows, 0 for who does not."""
    return float(nn.functional.cross_entropy(logits, labels).neg().exp())


def shares(skills: Sequence[float]) -> list[float]:
    """Each skill over their sum, rounded to hundredths, times how many networks there are beside the student."""
    return [round(own / sum(skills), 2) * (len(skills) - 1) for own in skills]


def lead(mentor: float, student: float) -> float:
    """How far a mentor's weight lies ahead of the student's, as a share of its own; 0 where both weigh nothing."""
    return (mentor - student) / mentor if mentor > 0 else 0.0
