"""The pieces that data-free methods share: BatchNorm statistics, generator, loss terms, pool and memory."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench import Skip
from bench.device import as_input
from bench.models.augment import augment
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.generator import AffinePixels, Generator, NormalizedPixels, normalizer
from methods.datafree.losses import (
    activation,
    class_balance,
    decision_adversarial,
    jensen_shannon,
    one_hot,
    total_variation,
)
from methods.datafree.pool import ImagePool, ReplayMemory
from methods.watching import Latest, penultimate


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- BatchNorm statistics


def test_the_distance_is_the_formula_on_the_inputs_of_the_layers():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.BatchNorm1d(12)).eval()
    for norm in (network[0], network[2]):
        norm.running_mean.uniform_(-1, 1, generator=rng())
        norm.running_var.uniform_(0.5, 2, generator=rng(1))
    x = torch.randn(5, 3, 2, 2, generator=rng(2))
    with BatchNormStatistics(network) as statistics:
        network(x)
        got = statistics.distance()
    inside = network[0](x).flatten(1)
    expected = (
        (x.mean((0, 2, 3)) - network[0].running_mean).norm()
        + (x.var((0, 2, 3), unbiased=False) - network[0].running_var).norm()
        + (inside.mean(0) - network[2].running_mean).norm()
        + (inside.var(0, unbiased=False) - network[2].running_var).norm()
    )
    torch.testing.assert_close(got, expected)


def test_real_images_are_far_nearer_than_noise(trained, digits):
    real = as_input(augment(digits.train.inputs[:512], "shift", rng()))  # as in its training
    mean, std = normalizer(trained)
    noise = torch.randn(real.shape, generator=rng()) * std + mean
    with BatchNormStatistics(trained) as statistics:
        trained(real)
        near = float(statistics.distance())
        trained(noise)
        far = float(statistics.distance())
    assert near < far / 4


def test_its_gradient_reaches_the_images_and_leaves_the_teacher_alone(trained):
    before = copy.deepcopy(trained.state_dict())
    x = torch.rand(8, 1, 8, 8, generator=rng(), requires_grad=True)
    with BatchNormStatistics(trained) as statistics:
        trained(x)
        statistics.distance().backward()
    assert x.grad.abs().sum() > 0
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    assert all(tensor.grad is None for tensor in (*trained.parameters(), *trained.buffers()))


def test_the_average_enters_with_its_momentum():
    layer = nn.BatchNorm2d(2).eval()
    first, second = torch.randn(2, 6, 2, 3, 3, generator=rng())
    with BatchNormStatistics(layer, momentum=0.8) as statistics:
        layer(first)
        statistics.remember()
        layer(second)
        got = statistics.distance()
    mixed = [
        0.8 * s(first) + 0.2 * s(second)
        for s in (lambda x: x.mean((0, 2, 3)), lambda x: x.var((0, 2, 3), unbiased=False))
    ]
    torch.testing.assert_close(got, mixed[0].norm() + (mixed[1] - 1).norm())


def test_hooks_are_gone_afterwards_even_after_an_error(trained):
    def hooks() -> int:
        return sum(len(m._forward_pre_hooks) for m in trained.modules())

    with pytest.raises(ZeroDivisionError), BatchNormStatistics(trained), penultimate(trained):
        assert hooks() == 10  # nine BatchNorm layers of a ResNet-8, and its head
        raise ZeroDivisionError
    assert hooks() == 0


def test_a_network_without_batchnorm_is_a_reason_to_skip():
    with pytest.raises(Skip, match=r"BatchNorm statistics, and the teacher \(Linear\) keeps none"):
        BatchNormStatistics(nn.Linear(2, 2))


def test_penultimate_sees_what_the_head_is_given(trained):
    x = torch.rand(3, 1, 8, 8, generator=rng())
    with penultimate(trained) as seen:
        trained(x)
        torch.testing.assert_close(seen.latest[0], trained.features(x))
    with pytest.raises(Skip, match="no layer named 'head'"):
        penultimate(nn.Flatten())


def test_outputs_are_of_the_latest_pass_and_their_hooks_go():
    layers = [nn.Linear(2, 3), nn.Linear(3, 1)]
    network = nn.Sequential(*layers)
    with Latest(layers) as seen:
        network(torch.zeros(5, 2))
        z = network(torch.ones(4, 2))
        assert torch.equal(seen.latest[1], z)
        torch.testing.assert_close(seen.latest[0], layers[0](torch.ones(4, 2)))
        assert seen.latest[0].requires_grad
    assert not seen.latest
    assert not any(layer._forward_hooks for layer in layers)


# --- generator


@given(st.integers(1, 3), st.integers(5, 13), st.integers(5, 13), st.integers(1, 6), st.integers(1, 5))
@settings(max_examples=8)
def test_generators_make_images_of_any_shape(channels, height, width, nz, ngf):
    images = Generator(nz, ngf, (channels, height, width), nn.Sigmoid()).sample(4, rng())
    assert images.shape == (4, channels, height, width)
    assert images.min() >= 0
    assert images.max() <= 1


def test_normalised_pixels_look_normalised_to_the_teacher():
    mean, std = torch.tensor([0.2, 0.5]).view(1, 2, 1, 1), torch.tensor([0.1, 0.4]).view(1, 2, 1, 1)
    pixels = NormalizedPixels(mean, std)(3 + 2 * torch.randn(64, 2, 5, 5, generator=rng()))
    seen = (pixels - mean) / std
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.var((0, 2, 3), unbiased=False), torch.ones(2), atol=1e-2, rtol=0)


def test_affine_pixels_start_normalised_and_learn_scale_and_shift():
    mean, std = torch.tensor([0.2]).view(1, 1, 1, 1), torch.tensor([0.1]).view(1, 1, 1, 1)
    pixels = AffinePixels(mean, std).requires_grad_(False)
    x = 3 + 2 * torch.randn(64, 1, 5, 5, generator=rng())
    seen = (pixels(x) - mean) / std
    assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
    assert float(seen.std()) == pytest.approx(1, abs=1e-2)
    pixels.norm.weight.fill_(2.0)
    pixels.norm.bias.fill_(-1.0)
    assert {name for name, _ in pixels.named_parameters()} == {"norm.weight", "norm.bias"}
    torch.testing.assert_close((pixels(x) - mean) / std, 2 * seen - 1)


def test_a_teacher_without_a_normaliser_is_a_reason_to_skip():
    with pytest.raises(Skip, match="no layer `normalize`"):
        normalizer(nn.Linear(2, 2))


def test_the_noise_comes_from_the_generator_it_is_given():
    generator = Generator(3, 2, (1, 8, 8), nn.Sigmoid()).eval()
    assert torch.equal(generator.sample(2, rng(1)), generator.sample(2, rng(1)))
    assert not torch.equal(generator.sample(2, rng(1)), generator.sample(2, rng(2)))


# --- loss terms


@given(st.integers(2, 12))
@settings(max_examples=5)
def test_class_balance_is_lowest_where_all_classes_occur_equally(classes):
    balanced = 50 * torch.eye(classes)
    collapsed = balanced[:1].repeat(classes, 1)
    assert float(class_balance(balanced)) == pytest.approx(-math.log(classes), abs=1e-5)
    assert float(class_balance(balanced, base=10)) == pytest.approx(-math.log10(classes), abs=1e-5)
    assert float(class_balance(collapsed)) == pytest.approx(0, abs=1e-5)


def test_minimising_class_balance_evens_out_the_classes():
    logits = torch.randn(16, 5, generator=rng(), requires_grad=True)
    before = class_balance(logits)
    before.backward()
    assert class_balance(logits - 0.1 * logits.grad) < before


def test_class_balance_survives_probabilities_that_underflow():
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    class_balance(logits).backward()
    assert logits.grad.isfinite().all()


def test_one_hot_and_activation():
    logits = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    expected = -(logits.log_softmax(1)[0, 0] + logits.log_softmax(1)[1, 1]) / 2
    torch.testing.assert_close(one_hot(logits), expected)
    assert float(activation(torch.tensor([[1.0, -3.0]]))) == -2


def test_total_variation_is_the_four_differences():
    x = torch.randn(2, 3, 4, 5, generator=rng())
    sums = dict.fromkeys([(0, 1), (1, 0), (1, 1), (1, -1)], 0.0)
    for down, right in sums:
        for i in range(4 - down):
            for j in range(5):
                if 0 <= j + right < 5:
                    sums[down, right] += float((x[:, :, i + down, j + right] - x[:, :, i, j]).square().sum())
    assert float(total_variation(x)) == pytest.approx(sum(map(math.sqrt, sums.values())), rel=1e-5)


@given(st.integers(0, 100), st.floats(0.5, 5))
@settings(max_examples=10)
def test_jensen_shannon_is_its_formula_symmetric_and_bounded(seed, temperature):
    s, t = 4 * torch.randn(2, 6, 5, generator=rng(seed)).double()
    got = jensen_shannon(s, t, temperature)
    p, q = (s / temperature).softmax(1), (t / temperature).softmax(1)
    m = (p + q) / 2
    expected = ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)).mean() / 2
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(got, jensen_shannon(t, s, temperature))
    assert 0 <= float(got) <= math.log(2) + 1e-12


def test_jensen_shannon_at_its_ends():
    s = torch.tensor([[100.0, 0.0], [0.0, 100.0]], requires_grad=True)
    assert float(jensen_shannon(s, s).detach()) == pytest.approx(0, abs=1e-6)
    apart = jensen_shannon(s, s.detach().flip(1))
    assert float(apart.detach()) == pytest.approx(math.log(2), abs=1e-6)
    apart.backward()
    assert s.grad.isfinite().all()


def test_the_decision_adversarial_term_counts_only_where_both_decide_alike():
    s = torch.tensor([[2.0, 0.0], [0.0, 1.0]], requires_grad=True)
    t = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    loss = decision_adversarial(s, t)
    p = t[0].softmax(0)
    divergence = (p * (p.log() - s[0].log_softmax(0))).sum()
    torch.testing.assert_close(loss, -divergence / 2)  # a mean over the batch, the other row counting 0
    loss.backward()
    assert s.grad[0].abs().sum() > 0
    assert not s.grad[1].any()


# --- pool and memory


def test_the_pool_keeps_eight_bits_of_valid_pixels(trained, make_task):
    task, told = make_task(trained), []
    task.__dict__["monitor"] = SimpleNamespace(kept=told.append)
    pool = ImagePool(task)
    pool.add(torch.tensor([-1.0, 0.0, 0.5, 2.0]).view(4, 1, 1, 1))
    pool.add(torch.full((1, 1, 1, 1), 0.2))
    assert len(pool) == 5
    assert told == [4, 5]
    assert pool.images.dtype == torch.uint8
    assert pool.images.flatten().tolist() == [0, 0, 128, 255, 51]


def test_the_memory_forgets_the_oldest_and_tells_how_much_it_holds(trained, make_task):
    task, told = make_task(trained), []
    task.__dict__["monitor"] = SimpleNamespace(kept=told.append)
    memory = ReplayMemory(task, capacity=2)
    assert not memory
    for value in (1.0, 2.0, 3.0):
        memory.add(torch.full((4, 1), value), torch.full((4, 10), -value))
    draws = rng()
    pairs = {(float(x[0]), float(t[0, 0])) for x, t in (memory.sample(draws) for _ in range(50))}
    assert pairs == {(2.0, -2.0), (3.0, -3.0)}
    assert told == [4, 8, 8]
