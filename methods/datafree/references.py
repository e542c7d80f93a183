"""The ends and the middle of data-free distillation: one student, optimiser and budget, on noise, on images from
elsewhere, and on real images.

All distil by KL divergence alone, without labels, as zju-vipa/CMI's `vanilla_kd.py` does with its label term left out.
"""

from __future__ import annotations

import torch
from torch import nn

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from methods.datafree.generator import normalizer
from methods.datafree.student import StudentTraining, distill


@method(family="reference", scenario=("datafree", "poisoned"), access={"weights"})
def kd_noise(task: DataFreeTask) -> nn.Module:
    """Distillation on noise: standard normal pixels behind the teacher's normaliser, new ones for every update."""
    mean, std = normalizer(task.teacher)
    training = StudentTraining(task)
    while training.running:
        noise = torch.randn(task.batch_size, *task.input_shape, generator=task.generator).to(task.device)
        training.imitate(noise * std + mean)
    return training.model


@method(family="reference", scenario=("datafree", "poisoned"), access={"weights", "proxy"})
def kd_proxy(task: DataFreeTask, by: StudentTraining | None = None) -> nn.Module:
    """Distillation on unlabelled images from elsewhere.

    Args:
        by: a training of the student that another method brings along.
    """
    training = by or StudentTraining(task)
    distill(training, task.proxy, task)
    return training.model


@method(family="reference", scenario=("datafree", "poisoned"), access={"weights", "unlabeled"})
def kd_real(task: DataFreeTask) -> nn.Module:
    """Distillation on the teacher's own training images, without their labels."""
    training = StudentTraining(task)
    distill(training, task.inputs, task)
    return training.model
