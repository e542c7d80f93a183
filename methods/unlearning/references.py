"""Reference rows of unlearning: doing nothing, training anew, and the cheat that every metric must expose."""

from __future__ import annotations

import torch
from torch import nn

from bench import Skip, method
from bench.models.train import fit
from bench.scenarios.unlearn import UnlearnTask

MASKED = -1e4
"""A logit whose softmax is 0 in single precision, and whose cross-entropy is still a number."""


@method(family="reference", scenario="unlearn", access={"weights"})
def original(task: UnlearnTask) -> nn.Module:
    """The model as it is, trained on all rows."""
    return task.model


@method(family="reference", scenario="unlearn", access={"init", "retain_labels"})
def retrain(task: UnlearnTask) -> nn.Module:
    """Exact unlearning: the original's recipe on the retained rows, with a fresh initialisation and seed."""
    fit(
        task.student,
        task.retain_images,
        task.retain_labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        progress=task.progress,
    )
    return task.student


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
