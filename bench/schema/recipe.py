"""The one training recipe, as data. `bench.models.train.fit` is the loop that follows it."""

from __future__ import annotations

from typing import Literal

from bench.schema.settings import Settings
from bench.types import Count, Fraction, Rate, Weight


class Recipe(Settings):
    """How a network is trained: one-cycle schedule, label smoothing, batched augmentation."""

    epochs: Count = 12
    """Passes over the training images."""
    batch_size: Count = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov momentum, or AdamW."""
    peak_lr: Rate = 0.2
    """Highest learning rate of the one-cycle schedule."""
    warmup: Fraction = 0.25
    """Share of the steps in which the learning rate rises."""
    momentum: Fraction = 0.9
    weight_decay: Weight = 5e-4
    """Not applied to biases and norm parameters."""
    label_smoothing: Fraction = 0.0
    """None by default: teachers trained with it distil worse (Müller et al. 2019, arXiv:1906.02629)."""
    augment: Literal["none", "shift", "crop-flip"] = "crop-flip"
    """`shift` moves by up to an eighth of the side (digits), `crop-flip` also mirrors (objects)."""
