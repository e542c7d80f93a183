"""NAYER: Noisy Layer Data Generation for Efficient and Effective Data-free Knowledge Distillation.

Tran, Le, Le, Harandi, Tran and Phung, CVPR 2024, arXiv:2310.00258; facts checked against the authors' code
(tmtuan1307/NAYER, `nayer.py`). The generator gets the embedding of the wanted class in place of noise. Images of a
class differ because a linear layer in front, one for each group of K images, is drawn anew before every batch and
trained with the generator.

Differs from the paper: class embeddings are random orthonormal vectors in place of a language model's embeddings of
the classes' names (CLIP's in the code; without it the row is known as `nayer-randle`), so no knowledge of names is
needed, and none helps; groups, embeddings and noisy layers are smaller, batches come after fewer updates and the
warm-up makes fewer of them; synthesis and pool are augmented as the suite's recipe augments, so digits are not
mirrored.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Steps, Weight
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.generator import Generator
from methods.datafree.inversion import InversionLoss, Lowest, alternate
from methods.datafree.online import Term
from methods.datafree.student import StudentTraining

BETAS = (0.5, 0.999)
MOMENTUM = 0.9
"""Of the BatchNorm statistics over earlier batches."""


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2310.00258", year=2024)
def nayer(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    noisy_layer: bool = True,
    bn: Weight = 10.0,
    oh: Weight = 0.5,
    adv: Weight = 1.33,
    g_steps: Count = 10,
    kd_steps: Count = 20,
    warmup: Steps = 5,
    g_life: Count = 10,
    size: Count = 100,
    lr_g: Rate = 4e-3,
    le_size: Count = 64,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """NAYER: distil on images inverted from class embeddings that pass through a layer of fresh random weights.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the synthesis loss.
        noisy_layer: False is the ablation: plain latents, trained like the noisy layers, take the place of class
            embeddings and noisy layers; all else is equal.
        bn: weight of the distance of BatchNorm statistics.
        oh: weight of the cross-entropy with the wanted classes.
        adv: weight of the student's disagreement, on images on which it still decides like the teacher, after the
            warm-up.
        g_steps: steps of Adam on generator and noisy layers for a batch (authors' code: 40 on CIFAR-100).
        kd_steps: updates of the student for a batch (paper: 400 for one or two).
        warmup: batches before the first update (paper: 20 times 10).
        g_life: batches after which the generator starts anew (paper: 10 rounds).
        size: images of a batch, in groups with every class once (paper: 400 of CIFAR-100).
        lr_g: learning rate of generator and noisy layers.
        le_size: length of class embeddings, or the number of classes where that is larger (paper: 512).
        nz: length of what a noisy layer makes of them, and of plain latents (paper: 1000).
        ngf: width of the generator (paper: 64).
    """
    training = by or StudentTraining(task)
    k = task.num_classes
    embeddings = orthonormal(k, max(le_size, k), task.generator).to(task.device) if noisy_layer else None
    with BatchNormStatistics(task.teacher, MOMENTUM) as statistics:
        loss = InversionLoss(task, training.model, statistics, extra, bn=bn, oh=oh, adv=adv)
        steps: dict[str, Any] = {"g_steps": g_steps, "g_life": g_life, "size": size, "lr_g": lr_g}
        inverter = Inverter(task, loss, embeddings, **steps, nz=nz, ngf=ngf)
        return alternate(task, training, inverter.batch, kd_steps=kd_steps, warmup=warmup)


class Inverter:
    """Batches by a generator that lives for some of them, the noise before it drawn anew for each.

    Args:
        task: gives image shape, classes and noise.
        loss: of images and their wanted classes.
        embeddings: of classes, [K, d], for noisy layers; None for plain latents.
    """

    def __init__(
        self,
        task: DataFreeTask,
        loss: InversionLoss,
        embeddings: Tensor | None,
        *,
        g_steps: int,
        g_life: int,
        size: int,
        lr_g: float,
        nz: int,
        ngf: int,
    ) -> None:
        self._task = task
        self._loss = loss
        self._embeddings = embeddings
        self.g_steps, self.g_life, self.size, self.lr_g = g_steps, g_life, size, lr_g
        self._shape = (nz, ngf)
        self._made = 0
        self.source = self._new()

    def batch(self, adversarial: bool) -> Tensor:
        """The best of the images [size, C, H, W] that the generator comes to make of new noise."""
        if self._made and self._made % self.g_life == 0:
            self.source = self._new()
        self._made += 1
        classes, best = grouped_classes(self._task, self.size), Lowest()
        self.source.redraw(self._task.generator)
        optimizer = torch.optim.Adam(self.source.parameters(), self.lr_g, BETAS)
        for _ in range(self.g_steps):
            with self._task.compute.autocast():
                images = self.source(classes).float()
            value = self._loss(images, classes, adversarial=adversarial)
            best.offer(value, images)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        self._loss.statistics.remember()
        return best.kept[0]

    def _new(self) -> ImageSource:
        generator = Generator(*self._shape, self._task.input_shape, nn.Sigmoid())
        e, size = self._embeddings, self.size
        source = FromLatents(generator, size) if e is None else FromLabels(e, generator, size)
        self._task.compute.place(source)
        return source


def orthonormal(classes: int, length: int, rng: torch.Generator) -> Tensor:
    """A random unit vector for every class, each at right angles to all others, [classes, length >= classes]."""
    return torch.linalg.qr(torch.randn(length, classes, generator=rng)).Q.T.contiguous()


def grouped_classes(task: DataFreeTask, size: int) -> Tensor:
    """int64 [size]: every class once in each whole group of `num_classes`, random ones in the rest."""
    k = task.num_classes
    rest = torch.randint(k, (size % k,), generator=task.generator)
    return torch.cat([torch.arange(k).repeat(size // k), rest]).to(task.device)


class ImageSource(nn.Module):
    """A generator and what stands before it: classes, int64 [B], to images [B, C, H, W]."""

    generator: Generator

    def redraw(self, rng: torch.Generator) -> None:
        """New noise, for a new batch."""
        raise NotImplementedError


class FromLabels(ImageSource):
    """Class embeddings, BatchNorm over the batch, a noisy layer for every group of as many images as classes.

    Args:
        embeddings: of the classes, [K, d].
        size: images of a batch.
    """

    embeddings: Tensor

    def __init__(self, embeddings: Tensor, generator: Generator, size: int) -> None:
        super().__init__()
        k, d = embeddings.shape
        self.register_buffer("embeddings", embeddings)
        self.norm = nn.BatchNorm1d(d)
        groups = -(-size // k)
        self.weight = nn.Parameter(torch.empty(groups, d, generator.nz))
        self.bias = nn.Parameter(torch.empty(groups, 1, generator.nz))
        self.generator = generator

    @torch.no_grad()
    def redraw(self, rng: torch.Generator) -> None:
        """Weights N(0, 1), biases 0."""
        self.weight.copy_(torch.randn(self.weight.shape, generator=rng))
        self.bias.zero_()

    def forward(self, classes: Tensor) -> Tensor:
        """A last group that is not full is filled up for the product, and cut again."""
        e = self.norm(self.embeddings[classes])
        groups, k = len(self.weight), len(self.embeddings)
        filled = nn.functional.pad(e, (0, 0, 0, groups * k - len(e)))
        z = torch.baddbmm(self.bias, filled.view(groups, k, -1), self.weight)
        return self.generator(z.flatten(0, 1)[: len(e)])


class FromLatents(ImageSource):
    """A plain latent for every image, trained like weights; the class is left to the loss."""

    def __init__(self, generator: Generator, size: int) -> None:
        super().__init__()
        self.z = nn.Parameter(torch.empty(size, generator.nz))
        self.generator = generator

    @torch.no_grad()
    def redraw(self, rng: torch.Generator) -> None:
        """Standard normal latents."""
        self.z.copy_(torch.randn(self.z.shape, generator=rng))

    def forward(self, classes: Tensor) -> Tensor:  # noqa: ARG002
        return self.generator(self.z)
