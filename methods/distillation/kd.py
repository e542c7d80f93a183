"""Distilling the Knowledge in a Neural Network.

Geoffrey Hinton, Oriol Vinyals and Jeff Dean, NIPS 2014 Deep Learning Workshop, arXiv:1503.02531.

The student imitates the teacher's softened class probabilities and, with a small weight, the labels. Weights and
temperature are those that the vision literature settled on for CIFAR (RepDistiller: 0.1, 0.9 and 4). The teacher sees
every augmented image that the student sees. Only the teacher's outputs are needed, not its weights.
"""

from __future__ import annotations

from torch import nn

from bench import method
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.scenarios.squeeze import SqueezeTask
from bench.types import Fraction, Rate
from methods.distillation.losses import soft_and_hard_labels


@method(
    family="distillation",
    scenario=("distill", "squeeze"),
    access={"outputs", "labels"},
    paper="arXiv:1503.02531",
    year=2014,
)
def kd(task: DistillTask | SqueezeTask, *, alpha: Fraction = 0.1, temperature: Rate = 4.0) -> nn.Module:
    """Knowledge distillation: match the teacher's softened outputs and, a little, the labels.

    Args:
        alpha: weight of the labels' cross-entropy; the softened divergence weighs 1 - alpha. With 1 it is `scratch`.
        temperature: T of the softened probabilities.
    """
    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        loss=soft_and_hard_labels(task.teacher_outputs, task.recipe, alpha, temperature),
        progress=task.progress,
    )
    return task.student
