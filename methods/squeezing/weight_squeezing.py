"""Weight Squeezing: Reparameterization for Knowledge Transfer and Model Compression.

Artem Chumachenko, Daniil Gavrilov, Nikita Balagansky and Pavel Kalaidin, 2020, arXiv:2010.06993.

Every matrix of the student is W_s = L W_t R, with the teacher's W_t frozen and L and R trained on the task; a bias is
b_s = L b_t. Once trained, W_s is computed and L and R are thrown away.

Differs from the paper, which squeezes BERT: kernels are mapped on their channels, with one L and R for all kernel
positions; norms are trained as they are; channels of images and classes are not mapped, as they mean the same in both
networks. By default L and R start as a choice of the teacher's units of largest norm, the same ones throughout, so that
training starts at a sub-network of the teacher. On validation images that was better for ResNets (digits and CIFAR-10),
and no worse for MLPs (digits), than random maps that keep the variance, which `init = "gaussian"` gives. What such a
start is worth by itself tells `subnetwork`.
"""

from __future__ import annotations

from torch import nn

from bench import method
from bench.scenarios.squeeze import SqueezeTask
from bench.types import Fraction, Rate
from methods.squeezing.initial import Init, chosen_entries, copy_subnetwork, starting_maps
from methods.squeezing.training import train_maps


@method(family="squeezing", scenario="squeeze", access={"weights", "labels"}, paper="arXiv:2010.06993", year=2020)
def weight_squeezing(
    task: SqueezeTask, *, init: Init = "selection", kd_weight: Fraction = 0.0, temperature: Rate = 4.0
) -> nn.Module:
    """Weight squeezing: learn linear maps from the teacher's weights to the student's.

    Args:
        init: where L and R start: `selection` or `gaussian`; with `gaussian` norms start as the student's.
        kd_weight: weight of the teacher's softened outputs; the labels' cross-entropy weighs 1 - kd_weight.
        temperature: of the softening.
    """
    student, teacher = task.student, task.teacher
    if init == "selection":
        copy_subnetwork(student, teacher, chosen_entries(student, teacher))
    maps = starting_maps(init, student, teacher, task.generator)
    return train_maps(task, student, maps, None, kd_weight=kd_weight, temperature=temperature)
