"""ZSKT: Zero-shot Knowledge Transfer via Adversarial Belief Matching.

Micaelli and Storkey, NeurIPS 2019, arXiv:1905.09768; facts checked against the authors' code
(polo5/ZeroShotKnowledgeTransfer, `solver.py`). For each batch of noise, one step of a generator up the KL divergence
of student and teacher, then several updates of the student on what the generator now makes of the same noise,
towards the teacher's outputs and, where both have stages, towards where in the picture these are active.

Attention weighs against the divergence what it weighs in the code. There the divergence is averaged over classes too
(PyTorch's default reduction), with beta = 250 times the gap of attention beside it; here it is averaged over images
only, like all of this project's, and the gap has beta times the number of classes.

Differs from the paper: the student is trained by the board's SGD at the board's temperature (paper: Adam at 2e-3,
which minds no common factor of both terms, and temperature 1); the generator's convolutions
have no biases, which the BatchNorm behind them would cancel. As the generator stands still while the student learns,
its images and the teacher's answers are made once for these updates, which changes no number of theirs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Weight
from methods.datafree.generator import AffinePixels, Generator, normalizer
from methods.datafree.online import Term
from methods.datafree.student import LARGEST_GRADIENT, StudentTraining, still, targets
from methods.distillation.losses import distillation_kl
from methods.watching import Latest


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:1905.09768", year=2019)
def zskt(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    beta: Weight = 250.0,
    student_steps: Count = 5,
    lr_g: Rate = 1e-3,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """ZSKT: distil on images that a generator makes to set student and teacher apart, and copy attention maps.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the generator's loss.
        beta: weight of the difference of attention maps against the divergence's mean over images and classes; without
            effect where the networks have no stages to compare.
        student_steps: updates of the student on one batch of noise (paper: 10).
        lr_g: first learning rate of the generator's Adam; it falls to zero along a cosine.
        nz: length of the noise vector.
        ngf: width of the generator (paper: 64).
    """
    training = by or StudentTraining(task)
    teacher, student = task.teacher, training.model
    generator = Generator(nz, ngf, task.input_shape, AffinePixels(*normalizer(teacher)))
    task.compute.place(generator)
    optimizer = torch.optim.Adam(generator.parameters(), lr=lr_g)
    compared = compared_stages(student, teacher) if beta else ([], [])

    with Latest(compared[0]) as mine, Latest(compared[1]) as its:

        def learn(x: Tensor, t: Tensor, maps: list[Tensor]) -> None:
            def loss() -> Tensor:
                value = distillation_kl(student(x), t, task.temperature)
                return value + beta * task.num_classes * attention_gap(attention_maps(mine), maps)

            training.update(loss, x)

        while training.running:
            z = torch.randn(task.batch_size, nz, generator=task.generator).to(task.device)
            for group in optimizer.param_groups:
                group["lr"] = lr_g * (1 + math.cos(math.pi * training.spent)) / 2
            climb(task, generator, optimizer, z, student, extra)
            with torch.no_grad(), task.compute.autocast():
                x = generator(z).float()
            t, maps = targets(task, x), attention_maps(its)
            for _ in training.up_to(student_steps):
                learn(x, t, maps)
    return student


def climb(
    task: DataFreeTask,
    generator: Generator,
    optimizer: torch.optim.Optimizer,
    z: Tensor,
    student: nn.Module,
    extra: Term | None = None,
) -> Tensor:
    """One step of the generator up KL(teacher || student) on images of noise z [B, nz]; its loss before the step."""
    with still(student), task.compute.autocast():
        x = generator(z)
        t = task.teacher(x)
        loss = -distillation_kl(student(x), t, 1.0)
        if extra is not None:
            loss = loss + extra(x, t)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(generator.parameters(), LARGEST_GRADIENT)
    optimizer.step()
    return loss.detach()


def compared_stages(student: nn.Module, teacher: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """The layers whose activations are compared, in both networks: the children of `stages` (a ResNet's three).

    None where either network has no such layer, or the two have unlike many.
    """
    ours, theirs = (list(getattr(network, "stages", nn.Sequential()).children()) for network in (student, teacher))
    return (ours, theirs) if len(ours) == len(theirs) else ([], [])


def attention_maps(stages: Latest) -> list[Tensor]:
    """Of each stage's latest output [B, C, H, W]: mean square over channels, [B, H * W], scaled to length 1."""
    return [normalize(a.float().square().mean(1).flatten(1)) for _, a in sorted(stages.latest.items())]


def attention_gap(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Mean square difference of attention maps, summed over stages; a scalar, 0 where there are none."""
    gaps = [mse_loss(a, b) for a, b in zip(student, teacher, strict=True)]
    return torch.stack(gaps).sum() if gaps else torch.zeros(())
