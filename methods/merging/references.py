"""What a merge is measured against, beside the plain average (`methods.fusion`)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn

from bench import method
from bench.scenarios.merge.scenario import MergeTask
from methods.merging.tuning import best_source, train_jointly, tune


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


@method(family="reference", scenario="merge", access={"weights", "labels"})
def single_source(task: MergeTask) -> nn.Module:
    """The best single source fine-tuned on the labelled images, all of its backbone: what the other sources must beat.

    Best is the source whose features, before any tuning, give the labelled images the lowest cross-entropy under the
    fixed heads.
    """
    model = copy.deepcopy(task.parents[best_source(task)])
    model.head.requires_grad_(False)
    tune(task, model, model.features)
    return model


@method(family="reference", scenario="merge", access={"weights", "joint"})
def multi_task(task: MergeTask) -> nn.Module:
    """One backbone tuned from the initialisation on all images of all tasks together, for as many epochs as an expert.

    What merging tries to do without the data. With a held-out target its own data alone are trained on.
    """
    model = copy.deepcopy(task.init)
    model.head.requires_grad_(False)
    train_jointly(task, model, model.features, task.all_inputs, task.all_labels, task.fine_tune)
    return model
