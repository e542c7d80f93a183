"""Of distillation from a teacher with a backdoor: what a student with none gets wrong on stamped images."""

from __future__ import annotations

import torch
from torch import nn

from bench import method
from bench.device import as_input
from bench.models.augment import augment
from bench.scenarios.datafree.poisoned import PoisonedTask
from methods.datafree.student import StudentTraining


@method(family="reference", scenario="poisoned", access={"clean-teacher", "unlabeled"})
def kd_clean(task: PoisonedTask) -> nn.Module:
    """Distillation on real images from the teacher before it was poisoned: the floor of attack success."""
    training = StudentTraining(task)
    images = task.inputs.to(task.device)
    while training.running:
        rows = torch.randint(len(images), (task.batch_size,), generator=task.generator).to(task.device)
        x = as_input(augment(images[rows], task.recipe.augment, task.generator))
        with torch.no_grad(), task.compute.autocast():
            t = task.clean_teacher(x)
        training.imitate(x, t)
    return training.model
