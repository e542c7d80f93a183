"""How LAF moves features: two autoencoders of what they look like, and two losses in turns (see `laf`)."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bench import Skip
from bench.models.layers import HEAD, Classifier
from bench.scenarios.unlearn.task import UnlearnTask
from methods.unlearning.batches import endless
from methods.unlearning.vae import Scale, train_vae, views


@dataclass(frozen=True)
class LafOptions:
    """The arguments of `laf`."""

    steps: int
    lr: float
    ratio: float
    temperature: float
    batch_size: int
    latent: int
    vae_steps: int
    vae_lr: float

    @property
    def total(self) -> int:
        """Steps of all kinds, by which progress is told."""
        return 2 * self.vae_steps + self.steps


def forget_features(task: UnlearnTask, settings: LafOptions, further: int = 0) -> Classifier:
    """A copy of the given model after both kinds of steps; of no forgotten rows a copy as it is.

    Args:
        task: as given.
        settings: as of `laf`.
        further: steps that are still to come, for the progress told.

    Raises:
        Skip: the model does not say what its features are.
    """
    if not isinstance(task.model, Classifier):
        raise Skip("LAF needs a standard model: one with `features` and a `head` on them")
    original = task.model.eval()
    student = copy.deepcopy(original)
    if not len(task.forget_inputs):
        return student
    ticks = itertools.count(1)

    def tick() -> None:
        task.progress(next(ticks), settings.total + further)

    look = partial(views, original, augmentation=task.recipe.augment, generator=task.generator, device=task.device)
    everything = look(torch.cat([task.retain_inputs, task.forget_inputs]))
    scale = Scale(next(everything))
    learn = partial(
        train_vae,
        latent=settings.latent,
        steps=settings.vae_steps,
        lr=settings.vae_lr,
        batch_size=settings.batch_size,
        generator=task.generator,
        progress=tick,
    )
    h, k = learn(map(scale, everything)), learn(map(scale, look(task.forget_inputs)))
    extractor = [p for name, p in student.named_parameters() if not name.startswith(HEAD)]
    unlearn = torch.optim.Adam(extractor, lr=settings.ratio * settings.lr)
    align = torch.optim.Adam(extractor, lr=settings.lr)
    batches = partial(
        endless,
        batch_size=settings.batch_size,
        augmentation=task.recipe.augment,
        generator=task.generator,
        device=task.device,
    )
    pairs = zip(batches(task.forget_inputs), batches(task.retain_inputs), strict=True)
    for (x_f, _), (x_r, _) in itertools.islice(pairs, settings.steps):
        e_r, e_f = scale(student.features(x_r)), scale(student.features(x_f))
        step(unlearn, extractor_unlearning(h(e_r, task.generator) - e_r, k(e_f, task.generator) - e_f))
        moved_r, moved_f = moved(student, original, x_r), moved(student, original, x_f)
        step(align, representation_alignment(moved_r, moved_f, settings.temperature))
        tick()
    return student


def moved(student: Classifier, original: Classifier, x: Tensor) -> Tensor:
    """1 - cosine of a student's features of images with the original's, [B]."""
    with torch.no_grad():
        were = original.features(x)
    return 1 - nn.functional.cosine_similarity(student.features(x), were)


def extractor_unlearning(error_r: Tensor, error_f: Tensor) -> Tensor:
    """Mean s of retained rows minus mean s of forgotten rows, of reconstruction errors [B, d] by h and by k."""
    d_r, d_f = error_r.square().mean(1), error_f.square().mean(1)
    return torch.exp(d_r / (1 + d_r)).mean() - torch.exp(d_f / (1 + d_f)).mean()


def representation_alignment(moved_r: Tensor, moved_f: Tensor, temperature: float) -> Tensor:
    """Mean over retained rows of log(exp(c) / sum over forgotten rows of exp(c' / T)); c [B_r] and c' [B_f] >= 0."""
    return moved_r.mean() - torch.logsumexp(moved_f / temperature, dim=0)


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One descent step."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
