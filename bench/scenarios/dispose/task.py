"""What a method of disposal receives."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from bench.data.spec import Split
from bench.models.layers import Classifier
from bench.recipe import Recipe
from bench.task import Access, Task


class DisposeTask(Task):
    """What is given: both recipes; what may be asked for: the transferred network, and the data of either task."""

    model: Annotated[Classifier, Access("weights")]
    """The transferred network theta_T, with a head over the target's classes; in eval mode."""
    source_head: Annotated[nn.Linear, Access("weights")]
    """The head [m, d] that the network had when it was trained on the source, m classes."""
    student: Annotated[Classifier, Access("init")]
    """Untrained, with a head over the target's classes; nobody else's initialisation."""
    source_images: Annotated[Tensor, Access("source")]
    """The training images of the source's classes, uint8 [S, C, H, W]."""
    source_labels: Annotated[Tensor, Access("source")]
    """Their labels as `source_head` counts them, int64 [S]."""
    target_images: Annotated[Tensor, Access("target")]
    """The training images of the target, uint8 [N, C, H, W]."""
    target_labels: Annotated[Tensor, Access("target")]
    """Their labels as the model's head counts them, int64 [N]."""
    validation_source: Annotated[Split, Access("validation")]
    """Images of the source's classes that nothing was trained on, for methods that select; labels as above."""
    validation_target: Annotated[Split, Access("validation")]
    """The same of the target."""
    recipe: Recipe
    """How the network was tuned to the target."""
    pretraining: Recipe
    """How it was trained on the source, as any network is trained from scratch."""
