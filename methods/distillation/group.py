"""The student and the assistants of a board as one group that is trained together."""

from __future__ import annotations

from torch import nn

from bench.scenarios.distill import DistillTask


def members(task: DistillTask) -> nn.ModuleList:
    """The student, the first, and the assistants, ready to be trained in place."""
    return nn.ModuleList(task.compute.place(network).train() for network in (task.student, *task.assistants))
