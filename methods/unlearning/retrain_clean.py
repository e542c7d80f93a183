"""Retraining on what is really clean: the upper reference where only a part of the poison is known.

Who removes the poisoned rows that were named and trains anew keeps the others, and the trigger with them ("Corrective
Machine Unlearning", Goel, Prabhu, Torr, Kumaraguru and Sanyal 2024, arXiv:2402.14015): there `retrain` is no upper
reference. A board says `upper = "retrain-clean"`.
"""

from __future__ import annotations

from torch import nn

from bench import method
from bench.models.train import fit
from bench.scenarios.unlearn.task import UnlearnTask


@method(family="reference", scenario="unlearn", access={"init", "clean"})
def retrain_clean(task: UnlearnTask) -> nn.Module:
    """The original's recipe on the rows that nothing is wrong with, as the judges are trained."""
    fit(
        task.student,
        task.clean_images,
        task.clean_labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        progress=task.progress,
    )
    return task.student
