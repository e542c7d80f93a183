"""Gated Weight Squeezing, of: Weight Squeezing: Reparameterization for Knowledge Transfer and Model Compression.

Artem Chumachenko, Daniil Gavrilov, Nikita Balagansky and Pavel Kalaidin, 2020, arXiv:2010.06993.

A pretrained small network is fine-tuned while it takes in a larger one: W = g * (L W_t R) + (1 - g) * W_small with
g = sigmoid(s), where L, R, s and W_small are trained and the teacher's W_t is frozen. Folded into W in the end.

What is mapped, and how maps start, is as in `weight_squeezing`; norms and their statistics are the small network's. The
gate starts half open: on validation images that was better than s = -2 (digits, 3 seeds; CIFAR-10, one). The control
is `finetune_small`: the same network, images and steps without the teacher.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from bench import method
from bench.scenarios.squeeze import SqueezeTask
from bench.types import Fraction, Rate
from methods.squeezing.initial import Init, starting_maps
from methods.squeezing.training import train_maps


@method(
    family="squeezing",
    scenario="squeeze",
    access={"weights", "labels"},
    paper="arXiv:2010.06993",
    year=2020,
    in_place=True,
)
def gated_weight_squeezing(
    task: SqueezeTask,
    *,
    gate: float = 0.0,
    per: Literal["matrix", "entry"] = "matrix",
    init: Init = "selection",
    kd_weight: Fraction = 0.0,
    temperature: Rate = 4.0,
) -> nn.Module:
    """Gated weight squeezing: fine-tune a small network mixed with maps of the teacher.

    Args:
        gate: initial s; minus infinity is fine-tuning the small network, infinity is weight squeezing.
        per: one gate a `matrix` (a bias has its own), or one an `entry`.
        init: where L and R start: `selection` or `gaussian`.
        kd_weight: weight of the teacher's softened outputs; the labels' cross-entropy weighs 1 - kd_weight.
        temperature: of the softening.
    """
    maps = starting_maps(init, task.small, task.teacher, task.generator)

    def gates(own: Tensor) -> Tensor:
        return own.new_full(own.shape if per == "entry" else (), gate)

    return train_maps(task, task.small, maps, gates, kd_weight=kd_weight, temperature=temperature)
