"""What a method of unlearning receives."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from bench.schema.recipe import Recipe
from bench.task.task import Access, Task


class UnlearnTask(Task):
    """What is given: the recipe of the original; what may be asked for: its weights, and parts of the training rows."""

    model: Annotated[nn.Module, Access("weights")]
    """The original theta_o, trained on all rows; in eval mode."""
    student: Annotated[nn.Module, Access("init")]
    """Untrained, of the same architecture; neither the original's initialisation nor a judge's."""
    retain_inputs: Annotated[Tensor, Access("retain", "retain_labels")]
    """The training inputs that stay, as stored [R, ...]."""
    retain_labels: Annotated[Tensor, Access("retain_labels")]
    """Their labels, int64 [R]."""
    forget_inputs: Annotated[Tensor, Access("forget", "forget_labels")]
    """The training inputs to be forgotten, as stored [F, ...]."""
    forget_labels: Annotated[Tensor, Access("forget_labels")]
    """Their labels, int64 [F]."""
    forget_class: Annotated[int | None, Access("forget_class", "forget_labels")]
    """The class to be forgotten, without its images unless they are granted too; None if the request is no class."""
    clean_inputs: Annotated[Tensor, Access("clean")]
    """The retained inputs that nothing is wrong with, as stored [Q, ...]: without poison that is not named. For a
    reference only."""
    clean_labels: Annotated[Tensor, Access("clean")]
    """Their labels, int64 [Q]."""
    validation_inputs: Annotated[Tensor, Access("validation")]
    """Inputs never trained on, for methods that select, as stored [V, ...]; the judge does not use them."""
    validation_labels: Annotated[Tensor, Access("validation")]
    """Their labels, int64 [V]."""
    recipe: Recipe
    """How the original and the judges were trained: batch size, augmentation, label smoothing, weight decay ..."""
