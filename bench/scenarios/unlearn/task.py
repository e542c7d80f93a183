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
    retain_images: Annotated[Tensor, Access("retain", "retain_labels")]
    """The training images that stay, uint8 [R, C, H, W]."""
    retain_labels: Annotated[Tensor, Access("retain_labels")]
    """Their labels, int64 [R]."""
    forget_images: Annotated[Tensor, Access("forget", "forget_labels")]
    """The training images to be forgotten, uint8 [F, C, H, W]."""
    forget_labels: Annotated[Tensor, Access("forget_labels")]
    """Their labels, int64 [F]."""
    forget_class: Annotated[int | None, Access("forget_class", "forget_labels")]
    """The class to be forgotten, without its images unless they are granted too; None if the request is no class."""
    clean_images: Annotated[Tensor, Access("clean")]
    """The retained images that nothing is wrong with, uint8 [Q, C, H, W]: without poison that is not named. For a
    reference only."""
    clean_labels: Annotated[Tensor, Access("clean")]
    """Their labels, int64 [Q]."""
    validation_images: Annotated[Tensor, Access("validation")]
    """Images never trained on, for methods that select, uint8 [V, C, H, W]; the judge does not use them."""
    validation_labels: Annotated[Tensor, Access("validation")]
    """Their labels, int64 [V]."""
    recipe: Recipe
    """How the original and the judges were trained: batch size, augmentation, label smoothing, weight decay ..."""
