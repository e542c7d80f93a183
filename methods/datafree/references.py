"""The two ends of data-free distillation: one student, optimiser and number of updates, on noise and on real images.

Both distil by KL divergence alone, without labels, as zju-vipa/CMI's `vanilla_kd.py` does with its label term left out.
"""

from __future__ import annotations

import torch
from torch import nn

from bench import method
from bench.scenarios.datafree import DataFreeTask
from methods.datafree.generator import normalizer
from methods.datafree.student import StudentTraining, distill, targets


@method(family="datafree", scenario="datafree", access={"weights"})
def kd_noise(task: DataFreeTask) -> nn.Module:
    """Distillation on noise: standard normal pixels behind the teacher's normaliser, new ones for every update."""
    mean, std = normalizer(task.teacher)
    training = StudentTraining(task)
    while training.left:
        noise = torch.randn(task.batch_size, *task.input_shape, generator=task.generator).to(task.device)
        x = noise * std + mean
        training.imitate(x, targets(task, x))
    return training.model


@method(family="datafree", scenario="datafree", access={"weights", "unlabeled"})
def kd_real(task: DataFreeTask) -> nn.Module:
    """Distillation on the teacher's own training images, without their labels."""
    training = StudentTraining(task)
    distill(training, task.images, task, training.left)
    return training.model
