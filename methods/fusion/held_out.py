"""Choosing by held-out images: how often networks are right on them, each judged as a board would judge it."""

from __future__ import annotations

import copy

from torch import nn

from bench.models.train import recalibrate
from bench.scenarios.fuse.scenario import FuseTask
from methods.watching import show


def calibrated(task: FuseTask, model: nn.Module) -> nn.Module:
    """A copy of the network, its BatchNorm statistics estimated anew on the unlabelled images, as boards do."""
    ready = copy.deepcopy(model)
    recalibrate(ready, task.unlabeled, task.compute)
    return ready


def right_answers(task: FuseTask, model: nn.Module) -> int:
    """How many held-out images a network in eval mode puts into the right class."""
    right = 0
    for images, labels in zip(task.validation_inputs.split(500), task.validation_labels.split(500), strict=True):
        right += int((show(model, images, task.device).argmax(1) == labels.to(task.device)).sum())
    return right


def best_parent(task: FuseTask) -> nn.Module:
    """The parent with the most right answers on held-out images; of several the first."""
    return max(task.parents, key=lambda parent: right_answers(task, calibrated(task, parent)))
