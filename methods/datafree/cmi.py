"""CMI: Contrastive Model Inversion for Data-Free Knowledge Distillation.

Fang, Song, Wang, Shen, Wang and Song, IJCAI 2021, arXiv:2105.08584; facts checked against the authors' code
(zju-vipa/CMI, `contrastive.py`). Batch after batch is inverted by a generator that starts anew each time; a
contrastive loss on the teacher's features makes each image tell itself apart from all others made so far, a local
view of it recognising a global one.

Differs from the paper: fewer and larger steps of synthesis (paper: 200 of 1e-3 for 256 images, then 400 or 2000
updates) and a smaller bank, at sizes a processor bears; the images of a batch that the pool keeps are those of its
lowest loss, as in the code; views and pool are augmented as the suite's recipe augments, so digits are not mirrored;
features are those before every BatchNorm layer of the teacher for all teachers (the code takes a ResNet-34's four
stages); no pre-inverted pool to start from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Weight
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.contrast import Contrast
from methods.datafree.generator import Generator
from methods.datafree.inversion import InversionLoss, Lowest, alternate, noise, random_classes, reset_normal
from methods.datafree.online import Term
from methods.datafree.student import StudentTraining

BETAS = (0.5, 0.999)


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2105.08584", year=2021)
def cmi(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    bn: Weight = 3.0,
    oh: Weight = 0.5,
    adv: Weight = 0.5,
    cr: Weight = 0.8,
    cr_T: Rate = 0.1,  # the paper's harness calls it so
    g_steps: Count = 40,
    kd_steps: Count = 60,
    size: Count = 100,
    lr_g: Rate = 5e-3,
    n_neg: Count = 256,
    bank_size: Count = 1024,
    head_dim: Count = 128,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """CMI: distil on inverted images that a contrastive loss keeps different from each other.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the synthesis loss.
        bn: weight of the distance of BatchNorm statistics (paper: 1, for a teacher of 37 such layers).
        oh: weight of the cross-entropy with the wanted classes (authors' code: 0.5 or 1).
        adv: weight of the student's disagreement, on images on which it still decides like the teacher.
        cr: weight of the contrastive loss; 0 leaves it out.
        cr_T: its temperature (authors' code: 0.1 or 0.2).
        g_steps: steps of Adam on generator, latents and head for a batch (paper: 200).
        kd_steps: updates of the student for a batch (paper: 400 from scratch).
        size: images of a batch (paper: 256).
        lr_g: learning rate of generator, latents and head (paper: 1e-3).
        n_neg: earlier images that a step compares with (paper: 4096).
        bank_size: earlier images remembered by their features (paper: 40960).
        head_dim: length of projected features (paper: 256).
        nz: length of the latents (paper: 256).
        ngf: width of the generator (paper: 64).
    """
    training = by or StudentTraining(task)
    with BatchNormStatistics(task.teacher) as statistics:
        loss = InversionLoss(task, training.model, statistics, extra, bn=bn, oh=oh, adv=adv)
        contrast = None
        if cr > 0:
            memory = {"n_neg": n_neg, "bank_size": bank_size, "head_dim": head_dim}
            contrast = Contrast(task, statistics, cr=cr, cr_T=cr_T, lr=lr_g, **memory)
        generator = Generator(nz, ngf, task.input_shape, nn.Sigmoid())
        task.compute.place(generator)

        def synthesise(_: bool) -> Tensor:
            return invert(task, generator, loss, contrast, g_steps=g_steps, size=size, lr_g=lr_g)

        return alternate(task, training, synthesise, kd_steps=kd_steps)


def invert(
    task: DataFreeTask,
    generator: Generator,
    loss: InversionLoss,
    contrast: Contrast | None,
    *,
    g_steps: int,
    size: int,
    lr_g: float,
) -> Tensor:
    """A new batch [size, C, H, W] by the generator, which starts anew; the bank learns its features.

    Args:
        contrast: None is generator-based DeepInversion.
    """
    z, classes, best = noise(task, size, generator.nz), random_classes(task, size), Lowest()
    reset_normal(generator)
    optimizer = torch.optim.Adam([*generator.parameters(), z], lr_g, BETAS)
    for _ in range(g_steps):
        with task.compute.autocast():
            images = generator(z).float()
        value = loss(images, classes)
        if contrast is None:
            best.offer(value, images)
        else:
            distinction, features = contrast(images)
            value = value + distinction
            best.offer(value, images, features)
            contrast.optimizer.zero_grad()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if contrast is not None:
            contrast.optimizer.step()
    if contrast is not None:
        contrast.bank.add(best.kept[1])
    return best.kept[0]
