"""What a merge is measured against, beside the plain average (`methods.fusion`)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn

from bench import method
from bench.scenarios.merge import MergeTask
from methods.merging.tuning import tune


@method(family="reference", scenario="merge", access={"weights"})
def initialisation(task: MergeTask) -> nn.Module:
    """The initialisation itself: what one has without the experts."""
    return task.init


@method(family="reference", scenario="merge", access={"experts"})
def experts(task: MergeTask) -> Sequence[nn.Module]:
    """Every task by its own expert: as many networks as tasks, and no merging."""
    return task.experts


@method(family="reference", scenario="merge", access={"weights", "labels"})
def few_shot(task: MergeTask) -> nn.Module:
    """The initialisation fine-tuned on the labelled images alone: what they are worth without the experts."""
    model = copy.deepcopy(task.init)
    model.head.requires_grad_(False)
    tune(task, model, model.features)
    return model
