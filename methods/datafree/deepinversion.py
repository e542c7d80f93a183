"""DeepInversion: Dreaming to Distill, Data-free Knowledge Transfer via DeepInversion.

Yin, Molchanov, Li, Alvarez, Mallya, Hoiem, Jha and Kautz, CVPR 2020, arXiv:1912.08795; facts checked against the
authors' code (NVlabs/DeepInversion, `cifar10/`). Pixels are optimised until the teacher sees the wanted classes in
them and its BatchNorm layers see the statistics that they remember; the student is then distilled on the pictures.

Differs from the paper: far fewer and shorter inversions by default; pixels are clipped to the valid range after
every step, as the authors do on ImageNet but not on CIFAR-10; the best iterate is copied, where the public code keeps
a reference to the tensor that goes on changing; the pool is augmented in distillation, like the real images of
`kd-real`; the student's optimiser is the board's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Weight
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.generator import normalizer
from methods.datafree.losses import total_variation
from methods.datafree.online import Term
from methods.datafree.pool import ImagePool
from methods.datafree.student import StudentTraining, distill

LONGEST_SYNTHESIS = 0.5
"""Where seconds are the budget, no inversion begins after this share of them."""


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:1912.08795", year=2020)
def deepinversion(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    batches: Count = 10,
    size: Count = 100,
    iterations: Count = 100,
    lr: Rate = 0.1,
    bn: Weight = 1.0,
    tv: Weight = 2.5e-5,
    l2: Weight = 0.0,
) -> nn.Module:
    """DeepInversion: distil on pictures optimised to have their class and the teacher's BatchNorm statistics.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the pictures' loss.
        batches: synthesised batches in the pool.
        size: pictures of a batch, classes in turn (paper: 256).
        iterations: steps of Adam on the pixels of a batch (paper: 2000).
        lr: its learning rate, in units of normalised pixels.
        bn: weight of the distance of BatchNorm statistics (paper: 10, for a teacher of 36 such layers).
        tv: weight of the total variation.
        l2: weight of the pictures' norm.
    """
    training = by or StudentTraining(task)
    pool = ImagePool(task)
    with BatchNormStatistics(task.teacher) as statistics:
        while len(pool) < batches * size and training.spent < LONGEST_SYNTHESIS:
            classes = torch.arange(size, device=task.device) % task.num_classes
            pool.add(invert(task, statistics, classes, extra, iterations=iterations, lr=lr, bn=bn, tv=tv, l2=l2))
    distill(training, pool.images, task)
    return training.model


def invert(
    task: DataFreeTask,
    statistics: BatchNormStatistics,
    classes: Tensor,
    extra: Term | None = None,
    *,
    iterations: int,
    lr: float,
    bn: float,
    tv: float,
    l2: float,
) -> Tensor:
    """The best of the iterates: pixels in [0, 1], [B, C, H, W], that the teacher puts into `classes`, int64 [B]."""
    mean, std = normalizer(task.teacher)
    u = torch.randn(len(classes), *task.input_shape, generator=task.generator).to(task.device).requires_grad_()
    optimizer = torch.optim.Adam([u], lr=lr)
    lowest, best = torch.full((), math.inf, device=u.device), u.detach().clone()
    for _ in range(iterations):
        rolled = _roll(u, task.generator)
        with task.compute.autocast():
            logits = task.teacher(rolled * std + mean)
        loss = cross_entropy(logits, classes) + bn * statistics.distance()
        loss = loss + tv * total_variation(rolled) + l2 * torch.linalg.vector_norm(rolled)
        if extra is not None:
            loss = loss + extra(rolled * std + mean, logits)
        best = torch.where(loss < lowest, u, best).detach()  # a copy, made without waiting for the device
        lowest = torch.minimum(loss.detach(), lowest)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            u.copy_(torch.clamp(u, -mean / std, (1 - mean) / std))
    return (best * std + mean).clamp(0, 1)


def _roll(images: Tensor, rng: torch.Generator) -> Tensor:
    """All images shifted alike, around the border, by up to a sixteenth of the side (2 pixels of 32) each way."""
    offsets = []
    for side in images.shape[2:]:
        reach = max(1, side // 16)
        offsets.append(int(torch.randint(-reach, reach + 1, (), generator=rng)))
    return images.roll(offsets, dims=(2, 3))
