"""The pieces that data-free methods share: BatchNorm statistics, generator, loss terms, pool, student's updates."""

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
from methods.datafree.generator import Generator, NormalizedPixels, normalizer
from methods.datafree.hooks import penultimate
from methods.datafree.losses import activation, class_balance, one_hot, total_variation
from methods.datafree.pool import ImagePool, ReplayMemory
from methods.datafree.student import LARGEST_GRADIENT, StudentTraining, distill


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
    real = as_input(augment(digits.train.images[:512], "shift", rng()))  # as in its training
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


# --- generator


@given(st.integers(1, 3), st.integers(5, 13), st.integers(5, 13), st.integers(1, 6), st.integers(1, 5))
@settings(max_examples=8, deadline=None)
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


def test_a_teacher_without_a_normaliser_is_a_reason_to_skip():
    with pytest.raises(Skip, match="no layer `normalize`"):
        normalizer(nn.Linear(2, 2))


def test_the_noise_comes_from_the_generator_it_is_given():
    generator = Generator(3, 2, (1, 8, 8), nn.Sigmoid()).eval()
    assert torch.equal(generator.sample(2, rng(1)), generator.sample(2, rng(1)))
    assert not torch.equal(generator.sample(2, rng(1)), generator.sample(2, rng(2)))


# --- loss terms


@given(st.integers(2, 12))
@settings(max_examples=5, deadline=None)
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


# --- pool and memory


def test_the_pool_keeps_eight_bits_of_valid_pixels():
    pool = ImagePool()
    pool.add(torch.tensor([-1.0, 0.0, 0.5, 2.0]).view(4, 1, 1, 1))
    pool.add(torch.full((1, 1, 1, 1), 0.2))
    assert len(pool) == 5
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


# --- the student's updates


def test_the_budget_is_kept_to_the_step_and_the_rate_ends_at_zero(trained, make_task, digits):
    told = []
    task = make_task(trained, steps=4)
    task.__dict__["progress"] = lambda done, total: told.append((done, total))
    training = StudentTraining(task)
    distill(training, digits.train.images, task, training.left)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert training.left == 0
    assert training._optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-8)


def test_an_update_is_momentum_sgd_with_clipped_gradients(trained, make_task):
    student = nn.Linear(1, 1, bias=False)
    start = student.weight.detach().clone()
    training = StudentTraining(make_task(trained, student, steps=1000))
    training.update(1e4 * student.weight.sum())
    task = training._task
    expected = start - task.lr * (LARGEST_GRADIENT + task.weight_decay * start)
    torch.testing.assert_close(student.weight.detach(), expected, rtol=1e-4, atol=1e-6)
