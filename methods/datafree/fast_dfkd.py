"""Fast-DFKD: Up to 100x Faster Data-Free Knowledge Distillation.

Fang, Mo, Wang, Song, Bei, Zhang and Song, AAAI 2022, arXiv:2112.06253; facts checked against the authors' code
(zju-vipa/Fast-Datafree, `fast_meta.py`). A generator is meta-learned: each batch is inverted by a copy of it in a few
steps, and it moves to where such steps get far, so that later batches need no more of them.

Differs from the paper: batches are smaller and come after fewer updates (paper: 400), so that a short budget's pool
keeps growing; synthesis and pool are augmented as the suite's recipe augments, so
digits are not mirrored.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Steps, Weight
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.generator import Generator
from methods.datafree.inversion import InversionLoss, Lowest, alternate, noise, random_classes
from methods.datafree.online import Term
from methods.datafree.student import StudentTraining

BETAS = (0.5, 0.999)
MOMENTUM = 0.9
"""Of the BatchNorm statistics over earlier batches."""
RESET = 0.6
"""Share of the budget after which the generator's first layer starts anew (authors' code: 120 of 200 epochs)."""
REPTILE_SCALE = 67.0
"""Times (weights - weights of the copy), in place of a gradient, where the meta-learner is Reptile (authors' code)."""

Meta = Literal["fomaml", "reptile", "none"]


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2112.06253", year=2022)
def fast_dfkd(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    meta: Meta = "fomaml",
    bn: Weight = 10.0,
    oh: Weight = 0.5,
    adv: Weight = 1.33,
    g_steps: Count = 5,
    kd_steps: Count = 20,
    warmup: Steps = 20,
    size: Count = 100,
    lr_g: Rate = 3e-3,
    lr_z: Rate = 0.01,
    reset_l0: bool = True,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """Fast-DFKD: distil on images inverted in a few steps each by a generator that is meta-learned for it.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the synthesis loss.
        meta: how the generator learns from its copies: first-order MAML, Reptile, or not at all, each batch then
            beginning with a generator of new random weights.
        bn: weight of the distance of BatchNorm statistics.
        oh: weight of the cross-entropy with the wanted classes (paper: 0.4 or 0.5).
        adv: weight of the student's disagreement, on images on which it still decides like the teacher, after the
            warm-up (paper: 1 to 1.33, by the pair of networks).
        g_steps: steps of Adam on the copy and its latents for a batch (paper: 2, 5 or 10).
        kd_steps: updates of the student for a batch.
        warmup: batches before the first update (paper: 20, of 220).
        size: images of a batch (paper: 256).
        lr_g: learning rate of the copy; the meta-learner's is g_steps times that (paper: 5e-3, 3e-3 or 2e-3).
        lr_z: learning rate of the latents (paper: 0.015 or 0.01).
        reset_l0: whether the generator's first layer starts anew once, late in the budget.
        nz: length of the latents (paper: 256).
        ngf: width of the generator (paper: 64).
    """
    training = by or StudentTraining(task)
    with BatchNormStatistics(task.teacher, MOMENTUM) as statistics:
        loss = InversionLoss(task, training.model, statistics, extra, bn=bn, oh=oh, adv=adv)
        inverter = MetaInverter(task, loss, meta=meta, g_steps=g_steps, lr_g=lr_g, lr_z=lr_z, nz=nz, ngf=ngf)
        fresh = not reset_l0

        def synthesise(adversarial: bool) -> Tensor:
            nonlocal fresh
            if not fresh and training.spent >= RESET:
                reset_first_layer(inverter.generator)
                fresh = True
            return inverter.batch(size, adversarial=adversarial)

        return alternate(task, training, synthesise, kd_steps=kd_steps, warmup=warmup)


class MetaInverter:
    """A generator whose copies invert a batch each, and what it learns from them.

    Args:
        task: gives image shape and noise.
        loss: of images and their wanted classes.
        g_steps: steps of a copy; `lr_g` and `lr_z` are the learning rates of its weights and of its latents.
    """

    def __init__(
        self,
        task: DataFreeTask,
        loss: InversionLoss,
        *,
        meta: Meta,
        g_steps: int,
        lr_g: float,
        lr_z: float,
        nz: int,
        ngf: int,
    ) -> None:
        self._task = task
        self._loss = loss
        self._meta = meta
        self.g_steps, self.lr_g, self.lr_z = g_steps, lr_g, lr_z
        self._shape = (nz, ngf)
        self.generator = self._new()
        self._optimizer = torch.optim.Adam(self.generator.parameters(), lr_g * g_steps, BETAS)

    def batch(self, size: int, *, adversarial: bool) -> Tensor:
        """The best of the images [size, C, H, W] that a copy makes of fresh latents and classes."""
        task = self._task
        z, classes, best = noise(task, size, self.generator.nz), random_classes(task, size), Lowest()
        copied = self._new() if self._meta == "none" else copy.deepcopy(self.generator)
        groups: list[dict[str, Any]] = [{"params": copied.parameters()}, {"params": [z], "lr": self.lr_z}]
        optimizer = torch.optim.Adam(groups, self.lr_g, BETAS)
        self._optimizer.zero_grad()
        for _ in range(self.g_steps):
            with task.compute.autocast():
                images = copied(z).float()
            value = self._loss(images, classes, adversarial=adversarial)
            best.offer(value, images)
            optimizer.zero_grad()
            value.backward()
            if self._meta == "fomaml":
                add_gradient(self.generator, copied)
            optimizer.step()
        self._loss.statistics.remember()
        if self._meta == "reptile":
            point_towards(self.generator, copied)
        if self._meta != "none":
            self._optimizer.step()
        return best.kept[0]

    def _new(self) -> Generator:
        generator = Generator(*self._shape, self._task.input_shape, nn.Sigmoid())
        self._task.compute.place(generator)
        return generator


def add_gradient(generator: nn.Module, copied: nn.Module) -> None:
    """Add the copy's gradient to the generator's: first-order MAML's meta-gradient is their sum over inner steps."""
    for p, q in zip(generator.parameters(), copied.parameters(), strict=True):
        assert q.grad is not None
        p.grad = q.grad.clone() if p.grad is None else p.grad.add_(q.grad)


@torch.no_grad()
def point_towards(generator: nn.Module, copied: nn.Module) -> None:
    """Reptile: the generator's gradient becomes its difference from the adapted copy, scaled."""
    for p, q in zip(generator.parameters(), copied.parameters(), strict=True):
        p.grad = REPTILE_SCALE * (p - q)


def reset_first_layer(generator: Generator) -> None:
    """N(0, 0.02) for the weights of the first linear layer and of the BatchNorm after it, biases 0."""
    for layer in (generator.project, generator.norm0):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        nn.init.zeros_(layer.bias)
