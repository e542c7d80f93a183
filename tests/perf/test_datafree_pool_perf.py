"""As `test_datafree_perf.py`, for methods that keep their images in a pool, each batch inverted by a generator.

What the plain loops take from the project are networks and augmentation. Warm-ups are short, so that updates of the
student have their share of the time; the plain loop makes as many batches.

pytest tests/perf/test_datafree_pool_perf.py --benchmark-only -s
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, normalize

from bench.models.augment import augment
from methods.datafree.contrast import random_resized_crop
from methods.datafree.inversion import reset_normal
from methods.datafree.nayer import FromLabels

SIZE, TEMPERATURE = 100, 4.0
BETAS = (0.5, 0.999)


def augmented(images: Tensor) -> Tensor:
    return augment(images, "crop-flip", torch.default_generator)


def inversion_loss(parts: Any, images: Tensor, classes: Tensor, *, bn: float, adv: float) -> Tensor:
    """On augmented images: cross-entropy, R_bn, and the divergence where student and teacher decide alike."""
    x = augmented(images)
    t = parts.teacher(x)
    loss = 0.5 * cross_entropy(t, classes) + bn * parts.statistics()
    if adv:
        s = parts.student(x)
        gap = kl_div(s.log_softmax(1), t.log_softmax(1), reduction="none", log_target=True).sum(1)
        loss = loss - adv * (gap * (s.argmax(1) == t.argmax(1))).mean()
    return loss


def rounds(parts: Any, synthesise: Callable[[bool], Tensor], *, kd_steps: int, warmup: int = 0) -> None:
    """Warm-up, then by turns a batch for the pool and updates of the student on all of it."""
    parts.watch()
    pool: list[Tensor] = []

    def add(adversarial: bool) -> None:
        parts.student.eval().requires_grad_(False)
        pool.append(synthesise(adversarial).mul(255).round().byte())
        parts.student.train().requires_grad_(True)

    for _ in range(warmup):
        add(False)
    for update in range(parts.updates):
        if update % kd_steps == 0:
            add(True)
            images = torch.cat(pool)
        x = augmented(images[torch.randint(len(images), (parts.batch,))])
        x = x.to(memory_format=torch.channels_last).float() / 255
        log_s, log_t = ((z / TEMPERATURE).log_softmax(1) for z in (parts.student(x), parts.ask(x)))
        parts.learn(TEMPERATURE**2 * kl_div(log_s, log_t, reduction="batchmean", log_target=True))


class Best:
    """The images of the lowest loss so far."""

    def __init__(self) -> None:
        self.loss, self.images = float("inf"), torch.empty(0)

    def offer(self, loss: Tensor, images: Tensor) -> None:
        if float(loss.detach()) < self.loss:
            self.loss, self.images = float(loss.detach()), images.detach().clone()


def test_fast_dfkd(compare, make_parts):
    def plain() -> None:
        parts = make_parts(pixels="sigmoid")
        outer = torch.optim.Adam(parts.generator.parameters(), 15e-3, BETAS)

        def synthesise(adversarial: bool) -> Tensor:
            z, classes, best = parts.noise(SIZE).requires_grad_(), torch.randint(parts.classes, (SIZE,)), Best()
            inner = copy.deepcopy(parts.generator)
            optimizer = torch.optim.Adam([{"params": inner.parameters()}, {"params": [z], "lr": 0.01}], 3e-3, BETAS)
            outer.zero_grad()
            for _ in range(5):
                images = inner(z)
                loss = inversion_loss(parts, images, classes, bn=10, adv=1.33 * adversarial)
                best.offer(loss, images)
                optimizer.zero_grad()
                loss.backward()
                for p, q in zip(parts.generator.parameters(), inner.parameters(), strict=True):
                    p.grad = q.grad.clone() if p.grad is None else p.grad + q.grad
                optimizer.step()
            parts.remember()
            outer.step()
            return best.images

        rounds(parts, synthesise, kd_steps=20, warmup=2)

    compare("fast-dfkd", plain, warmup=2)


def test_nayer(compare, make_parts):
    def plain() -> None:
        parts = make_parts(pixels="sigmoid")
        embeddings = torch.linalg.qr(torch.randn(64, parts.classes)).Q.T.contiguous()
        source = FromLabels(embeddings, parts.generator, SIZE)

        def synthesise(adversarial: bool) -> Tensor:
            classes, best = torch.arange(parts.classes).repeat(SIZE // parts.classes), Best()
            nn.init.normal_(source.weight)
            nn.init.zeros_(source.bias)
            optimizer = torch.optim.Adam(source.parameters(), 4e-3, BETAS)
            for _ in range(10):
                images = source(classes)
                loss = inversion_loss(parts, images, classes, bn=10, adv=1.33 * adversarial)
                best.offer(loss, images)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            parts.remember()
            return best.images

        rounds(parts, synthesise, kd_steps=20, warmup=1)

    compare("nayer", plain, warmup=1)


def test_cmi(compare, make_parts):
    steps = 10

    def plain() -> None:
        parts = make_parts(pixels="sigmoid")
        d = sum(m.num_features for m in parts.teacher.modules() if isinstance(m, nn.BatchNorm2d))
        head = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, 128))
        projecting = torch.optim.Adam(head.parameters(), 5e-3)
        bank = torch.empty(0, 2 * d)

        def features() -> Tensor:
            return torch.cat([x.mean((2, 3)) for x in parts.inputs.values()], 1)

        def contrast(images: Tensor) -> tuple[Tensor, Tensor]:
            whole = features().detach()
            parts.teacher(random_resized_crop(images, torch.default_generator, flip=True))
            local = features()
            old_local, old_whole = bank[torch.randperm(len(bank))[:256]].chunk(2, dim=1)
            with torch.no_grad():
                keys = normalize(head(torch.cat([whole, old_whole])))
            queries = normalize(head(torch.cat([local, old_local])))
            each = cross_entropy(queries @ keys.T / 0.1, torch.arange(len(keys)), reduction="none")
            loss = each[:SIZE].mean() + (each[SIZE:].mean() if len(each) > SIZE else 0)
            return 0.8 * loss, torch.cat([local.detach(), whole], 1)

        def synthesise(_: bool) -> Tensor:
            nonlocal bank
            z, classes, best = parts.noise(SIZE).requires_grad_(), torch.randint(parts.classes, (SIZE,)), Best()
            reset_normal(parts.generator)
            optimizer = torch.optim.Adam([*parts.generator.parameters(), z], 5e-3, BETAS)
            for _ in range(steps):
                images = parts.generator(z)
                loss = inversion_loss(parts, images, classes, bn=3, adv=0.5)
                distinction, seen = contrast(images)
                loss = loss + distinction
                best.offer(loss, images)
                optimizer.zero_grad()
                projecting.zero_grad()
                loss.backward()
                optimizer.step()
                projecting.step()
            bank = torch.cat([bank, seen])[-1024:]
            return best.images

        rounds(parts, synthesise, kd_steps=10)

    compare("cmi", plain, g_steps=steps, kd_steps=10)
