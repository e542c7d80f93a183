"""Reference rows of unlearning: doing nothing, training anew at length or in haste, and the cheat to be exposed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.train import fit
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.recipe import Recipe
from bench.types import Count

MASKED = -1e4
"""A logit whose softmax is 0 in single precision, and whose cross-entropy is still a number."""


@method(family="reference", scenario="unlearn", access={"weights"})
def original(task: UnlearnTask) -> nn.Module:
    """The model as it is, trained on all rows."""
    return task.model


@method(family="reference", scenario="unlearn", access={"init", "retain_labels"})
def retrain(task: UnlearnTask) -> nn.Module:
    """Exact unlearning: the original's recipe on the retained rows, with a fresh initialisation and seed."""
    return retrained(task, task.retain_inputs, task.retain_labels, task.recipe)


@method(family="reference", scenario="unlearn", access={"init", "clean"})
def retrain_clean(task: UnlearnTask) -> nn.Module:
    """The original's recipe on the rows that nothing is wrong with, as the judges are trained.

    The upper reference where only a part of the poison is known; a board says `upper = "retrain-clean"`. Who removes
    the poisoned rows that were named and trains anew keeps the others, and the trigger with them ("Corrective Machine
    Unlearning", Goel, Prabhu, Torr, Kumaraguru and Sanyal 2024, arXiv:2402.14015): there `retrain` is no reference.
    """
    return retrained(task, task.clean_inputs, task.clean_labels, task.recipe)


@method(family="reference", scenario="unlearn", access={"init", "retain_labels"})
def scratch_fast(task: UnlearnTask, *, epochs: Count = 5) -> nn.Module:
    """Retraining cut short: what a method must beat to have a reason to exist, for it needs no original.

    The whole schedule of the recipe, warm-up and decay, in fewer epochs. As many as `finetune` goes through cost what
    that costs.

    Args:
        epochs: passes over the retained rows; as many as the recipe's, or more, is `retrain`, to the last bit.
    """
    recipe = task.recipe.model_copy(update={"epochs": min(epochs, task.recipe.epochs)})
    return retrained(task, task.retain_inputs, task.retain_labels, recipe)


@method(family="reference", scenario="unlearn", access={"weights", "forget_class"}, in_place=True)
def mask_class(task: UnlearnTask) -> nn.Module:
    """Negative control: never answer with the forgotten class. Nothing is forgotten, the features are the original's.

    Accuracies and MIA-efficacy call it perfect. What gives it away is an attack inside the forgotten class.
    """
    if task.forget_class is None:
        raise Skip("only a whole class can be masked")
    head = getattr(task.model, "head", None)
    if not isinstance(head, nn.Linear):
        raise Skip("the model has no linear `head` to mask a class of")
    with torch.no_grad():
        head.weight[task.forget_class] = 0
        head.bias[task.forget_class] = MASKED
    return task.model


def retrained(task: UnlearnTask, images: Tensor, labels: Tensor, recipe: Recipe) -> nn.Module:
    """The untrained network, trained on these rows: images uint8 [N, C, H, W], labels int64 [N]."""
    fit(
        task.student,
        images,
        labels,
        recipe,
        generator=task.generator,
        device=task.compute,
        progress=task.progress,
    )
    return task.student
