"""Reference rows of a teacher and a student: the teacher itself, the student from scratch, a false teacher."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import fit
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.scenarios.distill import DistillTask
from bench.scenarios.squeeze import SqueezeTask
from bench.types import Fraction, Rate
from methods.distillation.losses import soft_and_hard_labels


@method(family="reference", scenario=("datafree", "distill", "squeeze"), access={"weights"})
def teacher(task: DataFreeTask | DistillTask | SqueezeTask) -> nn.Module:
    """The teacher as it is."""
    return task.teacher


@method(family="reference", scenario=("datafree", "distill", "squeeze"), access={"labels"})
def scratch(task: DataFreeTask | DistillTask | SqueezeTask) -> nn.Module:
    """The student trained on images and labels alone."""
    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        progress=task.progress,
    )
    return task.student


@method(family="reference", scenario="distill", access={"labels"}, paper="arXiv:1512.00567", year=2015)
def label_smoothing(task: DistillTask, *, smoothing: Fraction = 0.1) -> nn.Module:
    """`scratch` with smoothed labels: what a teacher that knows nothing would give (Szegedy et al., 2015).

    Args:
        smoothing: share of each label that is spread over all classes, in place of the recipe's.
    """
    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe.model_copy(update={"label_smoothing": smoothing}),
        generator=task.generator,
        device=task.compute,
        progress=task.progress,
    )
    return task.student


@method(family="reference", scenario=("distill", "squeeze"), access={"outputs", "labels"})
def kd_shuffled(task: DistillTask | SqueezeTask, *, alpha: Fraction = 0.1, temperature: Rate = 4.0) -> nn.Module:
    """Negative control: `kd` from a teacher whose answers are shuffled within each batch."""

    def shuffled(x: Tensor) -> Tensor:
        z = task.teacher_outputs(x)
        # From the global generator, so that images come in the order that `kd` has with this seed.
        return z[torch.randperm(len(z)).to(z.device)]

    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        loss=soft_and_hard_labels(shuffled, task.recipe, alpha, temperature),
        progress=task.progress,
    )
    return task.student
