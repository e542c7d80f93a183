"""ABD: Anti-Backdoor Data-Free Distillation, as a plug-in of other methods.

Hong, Zeng, Yu, Lyu, Jia and Zhou, "Revisiting Data-Free Knowledge Distillation with Poisoned Teachers", ICML 2023,
arXiv:2306.02368; facts checked against the authors' code (illidanlab/ABD). While images are made, the Shuffling
Vaccine (`vaccine.py`) drives them from what teacher and shuffled teachers agree on; in a stage of its own at the end
Self-Retrospection (`retrospection.py`) makes the student indifferent to the change of images that moves it most. The
method knows neither trigger nor target.

Differs from the paper: the hosts (the paper's are ZSKT, CMI and distillation on images from elsewhere, which is
`abd-proxy`) are as this project has them, with the board's optimiser and budget; the stage is the last 100 updates of
it at a rate of 3e-3, where the code takes the last 400 to 800 of 80,000 at 5e-4 (`retrospection.py` says more).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from bench import method
from bench.device import as_input
from bench.models.augment import augment
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Fraction, Rate, Steps, Weight
from methods.datafree import (
    adi,
    adv_bn,
    cmi,
    dafl,
    deepinversion,
    dfad,
    dfq,
    fast_dfkd,
    mad,
    nayer,
    pre_dfkd,
    references,
    zskt,
)
from methods.datafree.online import Term
from methods.datafree.retrospection import RetrospectiveTraining
from methods.datafree.student import targets
from methods.datafree.vaccine import Vaccine, mean_where, suspected

Host = Literal[
    "adi", "adv-bn", "cmi", "dafl", "deepinversion", "dfad", "dfq", "fast-dfkd", "mad", "nayer", "pre-dfkd", "zskt"
]
_GENERATORS: dict[Host, Callable[..., nn.Module]] = {
    "adv-bn": adv_bn.adv_bn,
    "cmi": cmi.cmi,
    "dafl": dafl.dafl,
    "dfad": dfad.dfad,
    "dfq": dfq.dfq,
    "fast-dfkd": fast_dfkd.fast_dfkd,
    "mad": mad.mad,
    "nayer": nayer.nayer,
    "pre-dfkd": pre_dfkd.pre_dfkd,
    "zskt": zskt.zskt,
}
_OPTIMISED: dict[Host, Callable[..., nn.Module]] = {"adi": adi.adi, "deepinversion": deepinversion.deepinversion}
"""Their pictures are optimised pixel by pixel, without a generator."""


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2306.02368", year=2023)
def abd(
    task: DataFreeTask,
    *,
    host: Host = "adv-bn",
    c: Weight = 0.1,
    copies: Count = 3,
    layers: Count = 3,
    check: Steps = 0,
    retrospect: Weight = 1.0,
    stage: Steps = 100,
    stage_lr: Rate = 3e-3,
    portion: Fraction = 0.1,
    steps: Count = 10,
    ngf: Count = 24,
    batches: Count = 10,
    size: Count = 100,
    iterations: Count = 100,
) -> nn.Module:
    """ABD on a method that makes its images: keep the teacher's backdoor out of them, and out of the student.

    Args:
        host: whose images and whose loss; its parameters that are not below are at their defaults.
        c: weight of the vaccine in the synthesis loss; 0 leaves it out.
        copies: shuffled teachers, whose logits are averaged.
        layers: last convolutions that are shuffled (paper: 5, the last stage of its teacher; 3 are that of a ResNet-8).
        check: batches of images after which shufflings are tested, the vaccine acting only then; 0: at once, as in the
            authors' published sweeps (their code tests after 50 where asked to).
        retrospect: weight of retrospection beside distillation in its stage; 0 leaves the stage out.
        stage: updates at the budget's end that are retrospection's (code: 400 or 800); one costs many of the others.
        stage_lr: their learning rate (code: 5e-4).
        portion: share of a batch that carries the perturbation (code: 2 % of 128 or more images).
        steps: of the search for the perturbation (code: 10 or 20).
        ngf: width of the generator, where the host has one.
        batches: of `deepinversion` and `adi`, like the two below.
    """
    vaccine = Vaccine(task, copies=copies, layers=layers, check=check) if c > 0 else None
    extra: Term | None = None if vaccine is None else lambda x, t: c * vaccine.term(x, t)
    training = _training(task, retrospect, stage, stage_lr, portion, steps)
    if host in _OPTIMISED:
        return _OPTIMISED[host](task, training, extra, batches=batches, size=size, iterations=iterations)
    return _GENERATORS[host](task, training, extra, ngf=ngf)


@method(
    family="datafree",
    scenario=("datafree", "poisoned"),
    access={"weights", "proxy"},
    paper="arXiv:2306.02368",
    year=2023,
)
def abd_proxy(
    task: DataFreeTask,
    *,
    c: Weight = 0.1,
    copies: Count = 3,
    layers: Count = 3,
    check: Steps = 0,
    retrospect: Weight = 1.0,
    stage: Steps = 100,
    stage_lr: Rate = 3e-3,
    portion: Fraction = 0.1,
    steps: Count = 10,
) -> nn.Module:
    """ABD on distillation by images from elsewhere: suspected ones are unlearned, the student is made indifferent.

    Args:
        c: weight of unlearning on suspected images; 0 leaves the vaccine out.
        copies: as in `abd`, like the rest.
    """
    training = _training(task, retrospect, stage, stage_lr, portion, steps)
    if c == 0:
        return references.kd_proxy(task, training)
    vaccine = Vaccine(task, copies=copies, layers=layers, check=check)
    images = task.proxy.to(task.device)

    def learn(x: Tensor) -> None:
        t = targets(task, x)
        if vaccine.ready(x, t) and not training.retrospecting:
            with torch.no_grad(), task.compute.autocast():
                mask = suspected(vaccine.logits(x), t)
            training.update(lambda: vaccinated(training.model(x), t, mask, c, task.temperature), x)
        else:
            training.imitate(x, t)

    while training.running:
        rows = torch.randint(len(images), (task.batch_size,), generator=task.generator).to(task.device)
        learn(as_input(augment(images[rows], task.recipe.augment, task.generator)))
    return training.model


def vaccinated(z: Tensor, t: Tensor, mask: Tensor, c: float, temperature: float) -> Tensor:
    """Mean distillation loss of the images that are not suspected, less c times that of those which are; a scalar.

    Args:
        z: the student's logits [B, K].
        t: the teacher's.
        mask: the suspected images, bool [B].
    """
    log_p, log_q = (t / temperature).log_softmax(1), (z / temperature).log_softmax(1)
    losses = temperature**2 * (log_p.exp() * (log_p - log_q)).sum(1)
    return mean_where(~mask, losses) - c * mean_where(mask, losses)


def _training(
    task: DataFreeTask, weight: float, stage: int, rate: float, portion: float, steps: int
) -> RetrospectiveTraining:
    return RetrospectiveTraining(task, weight=weight, updates=stage, rate=rate, portion=portion, steps=steps)
