"""What a step of a data-free method costs beside a plain script of the same passes: at most 1.2 times is asked for.

Each method is run for some updates of its student, and beside it, in the same process and by turns, its loop written
out anew: bare networks and optimisers, the same losses in the plainest form, no harness. Neither checks the other's
numbers (the methods' tests do that); ratios are printed and kept with the benchmark, and not asserted, since a busy
machine moves them. Here: generators that are trained beside the student.

pytest tests/perf/test_datafree_perf.py --benchmark-only -s
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, l1_loss, mse_loss, normalize

from methods.datafree.generator import NormalizedPixels, normalizer
from methods.datafree.vae_memory import Encoder

TEMPERATURE = 4.0


def divergence(s: Tensor, t: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    log_s, log_t = (s / temperature).log_softmax(1), (t / temperature).log_softmax(1)
    return temperature**2 * kl_div(log_s, log_t, reduction="batchmean", log_target=True)


def balance(t: Tensor) -> Tensor:
    p = t.softmax(1).mean(0)
    return (p * p.log()).sum()


def adv_bn_loss(parts: Any, s: Tensor, t: Tensor) -> Tensor:
    return parts.statistics() - l1_loss(s, t)


def dfq_loss(parts: Any, s: Tensor, t: Tensor) -> Tensor:
    return parts.statistics() + cross_entropy(t, t.argmax(1)) + 20 * balance(t) - divergence(s, t, 1.0)


def climb(parts: Any, loss: Callable[[Any, Tensor, Tensor], Tensor]) -> None:
    """A step of the generator, which does not pay for the student's weights."""
    parts.student.requires_grad_(False)
    x = parts.generator(parts.noise())
    t = parts.teacher(x)
    value = loss(parts, parts.student(x), t)
    parts.student.requires_grad_(True)
    parts.climb(value)


def adversary(
    parts: Any,
    student_loss: Callable[[Tensor, Tensor], Tensor],
    generator_loss: Callable[[Any, Tensor, Tensor], Tensor],
    *,
    average: bool = False,
) -> None:
    """Five updates of the student, each on new images (half of them an average generator's), then one step up."""
    twin = copy.deepcopy(parts.generator).requires_grad_(False) if average else None
    for update in range(1, parts.updates + 1):
        if twin is None:
            x = parts.images(parts.noise())
        else:
            half = parts.batch // 2
            x = torch.cat([parts.images(parts.noise(half)), parts.images(parts.noise(half), twin)])
        parts.learn(student_loss(parts.student(x), parts.ask(x)))
        if update % 5 == 0 and update < parts.updates:
            climb(parts, generator_loss)
            if twin is not None:
                torch._foreach_lerp_(list(twin.parameters()), list(parts.generator.parameters()), 0.05)


def test_adv_bn(compare, make_parts):
    def plain() -> None:
        parts = make_parts()
        parts.watch()
        adversary(parts, l1_loss, adv_bn_loss)

    compare("adv-bn", plain)


def test_mad(compare, make_parts):
    def plain() -> None:
        parts = make_parts()
        parts.watch()
        adversary(parts, l1_loss, adv_bn_loss, average=True)

    compare("mad", plain)


def test_dfq(compare, make_parts):
    def plain() -> None:
        parts = make_parts()
        parts.watch()
        adversary(parts, divergence, dfq_loss)

    compare("dfq", plain)


def test_dfad(compare, make_parts):
    compare("dfad", lambda: adversary(make_parts(nz=256), l1_loss, lambda _, s, t: -l1_loss(s, t)))


def test_dafl(compare, make_parts):
    def plain() -> None:
        parts, features = make_parts(), []
        parts.teacher.head.register_forward_pre_hook(lambda _m, x: features.append(x[0]))
        for _ in range(parts.updates):
            x = parts.generator(parts.noise())
            t = parts.teacher(x)
            parts.climb(cross_entropy(t, t.argmax(1)) + 8.7 * balance(t) - 0.01 * features.pop().abs().mean())
            parts.learn(divergence(parts.student(x.detach()), t.detach()))

    compare("dafl", plain)


def test_zskt(compare, make_parts):
    def plain() -> None:
        parts = make_parts(pixels="affine")
        maps: dict[str, list[Tensor]] = {"teacher": [], "student": []}
        for name, kept in maps.items():
            for stage in getattr(parts, name).stages:
                stage.register_forward_hook(lambda _m, _x, a, kept=kept: kept.append(a))

        def attention(kept: list[Tensor]) -> list[Tensor]:
            return [normalize(a.square().mean(1).flatten(1)) for a in kept]

        for update in range(parts.updates):
            if update % 5 == 0:
                z = parts.noise()
                parts.student.requires_grad_(False)
                x = parts.generator(z)
                loss = -divergence(parts.student(x), parts.teacher(x), 1.0)
                parts.student.requires_grad_(True)
                parts.climb(loss, clip=True)
                maps["teacher"].clear()
                x = parts.images(z)
                t = parts.ask(x)
                wanted = attention(maps["teacher"])
            maps["student"].clear()
            loss = divergence(parts.student(x), t)
            gap = sum(mse_loss(a, b) for a, b in zip(attention(maps["student"]), wanted, strict=True))
            parts.learn(loss + 250 * gap)

    compare("zskt", plain)


def test_lra_dfkd(compare, make_parts):
    def plain() -> None:
        parts = make_parts()
        parts.watch()
        memory: tuple[Tensor, Tensor] | None = None
        for update in range(1, parts.updates + 1):
            new = parts.images(parts.noise(parts.batch if memory is None else parts.batch // 2))
            acquire = l1_loss(parts.student(new), parts.ask(new))
            if memory is None:
                parts.learn(acquire)
                old = parts.images(parts.noise(parts.batch // 2))
                memory = old, parts.ask(old)
            else:
                weights = dict(parts.student.named_parameters())
                slopes = torch.autograd.grad(acquire, list(weights.values()), create_graph=True)
                ahead = {name: p - 0.1 * g for (name, p), g in zip(weights.items(), slopes, strict=True)}
                buffers = {name: b.clone() for name, b in parts.student.named_buffers()}
                s = torch.func.functional_call(parts.student, {**ahead, **buffers}, (memory[0],))
                parts.learn(acquire + l1_loss(s, memory[1]))
            if update % 5 == 0 and update < parts.updates:
                climb(parts, adv_bn_loss)

    compare("lra-dfkd", plain)


def test_pre_dfkd(compare, make_parts):
    remembered = 7

    def plain() -> None:
        parts, features = make_parts(), []
        parts.watch()
        parts.teacher.head.register_forward_pre_hook(lambda _m, x: features.append(x[0]))
        mean, std = normalizer(parts.teacher)
        encoder = Encoder(parts.nz, 16, parts.shape, mean, std).to(memory_format=torch.channels_last)
        decoder = parts.new_generator("tanh", ngf=16)
        assert isinstance(decoder.pixels, NormalizedPixels)
        memory = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)

        def match(t: Tensor) -> Tensor:
            return cross_entropy(t, t.argmax(1)) + 2.2 * balance(t)

        def generator_loss(parts: Any, s: Tensor, t: Tensor) -> Tensor:
            log_p, log_q = (s / 3).log_softmax(1), (t / 3).log_softmax(1)
            log_m = ((log_p.exp() + log_q.exp()) / 2).log()
            apart = sum(kl_div(log_m, log_x, reduction="batchmean", log_target=True) for log_x in (log_p, log_q)) / 2
            return match(t) - 0.1 * features[-1].abs().mean() - apart + parts.statistics()

        def recall() -> Tensor:
            decoder.eval()
            z = torch.randn(remembered, parts.nz, requires_grad=True)
            away = (z.var(0, correction=0) - 1).square().mean() + z.mean(0).square().mean()
            [slope] = torch.autograd.grad(match(parts.teacher(decoder(z))) + away, z)
            return parts.images((z - 0.02 * slope.sign()).detach(), decoder)

        def rehearse(x: Tensor, t: Tensor) -> None:
            decoder.train()
            code, log_variance = encoder(x)
            rebuilt = decoder(code + (log_variance / 2).exp() * torch.randn(code.shape))
            spread = (code.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
            loss = l1_loss(rebuilt, x) + l1_loss(parts.teacher(rebuilt), t) + 1e-5 * spread
            memory.zero_grad()
            loss.backward()
            memory.step()

        for update in range(parts.updates):
            if update % 10 == 0:
                climb(parts, generator_loss)
            count = parts.batch - remembered if update else parts.batch
            x = parts.images(parts.noise(count))
            if update:
                x = torch.cat([x, recall()])
            t = parts.ask(x)
            parts.learn(l1_loss(parts.student(x), t))
            if update % 10 < 4:
                half = parts.batch // 2
                rehearse(torch.cat([x[:half], x[-remembered:]]), torch.cat([t[:half], t[-remembered:]]))
            features.clear()

    compare("pre-dfkd", plain)
