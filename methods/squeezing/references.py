"""Controls of the squeezing methods: their starting points, trained without any map."""

from __future__ import annotations

from torch import nn

from bench import method
from bench.models.train import fit
from bench.scenarios.squeeze import SqueezeTask
from methods.squeezing.initial import chosen_entries, copy_subnetwork


@method(family="reference", scenario="squeeze", access={"weights", "labels"}, in_place=True)
def finetune_small(task: SqueezeTask) -> nn.Module:
    """The pretrained small network, trained on: what `gated-weight-squeezing` is without a teacher."""
    return _trained(task, task.small)


@method(family="reference", scenario="squeeze", access={"weights", "labels"})
def subnetwork(task: SqueezeTask) -> nn.Module:
    """The teacher's units of largest norm, trained on: where `weight-squeezing` starts, without maps."""
    copy_subnetwork(task.student, task.teacher, chosen_entries(task.student, task.teacher))
    return _trained(task, task.student)


def _trained(task: SqueezeTask, model: nn.Module) -> nn.Module:
    fit(
        model,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        progress=task.progress,
    )
    return model
