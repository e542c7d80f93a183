from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench.device import Device, as_input
from bench.errors import BenchError
from bench.models import build
from bench.models.train import fit, learning_rate, make_optimizer, recalibrate
from bench.schema.recipe import Recipe

CPU = Device()


def train(digits, arch="mlp", options=None, seed=0, **changes):
    options = {"width": 32, "depth": 1} if options is None else options
    model = build(arch, options, 10, digits, seed=seed)
    settings = {"epochs": 1, "batch_size": 64, "peak_lr": 0.1, "augment": "shift"}
    keep = {name: changes.pop(name) for name in ("loss", "parameters", "progress") if name in changes}
    recipe = Recipe(**(settings | changes))
    generator = torch.Generator().manual_seed(seed)
    fit(model, digits.train.inputs, digits.train.labels, recipe, generator=generator, device=CPU, **keep)
    return model


def accuracy(model, split) -> float:
    with torch.no_grad():
        return float((model(as_input(split.inputs)).argmax(1) == split.labels).double().mean())


@pytest.mark.parametrize(
    ("arch", "options", "changes", "least"),
    [
        ("resnet8", {"width": 8}, {"epochs": 5, "batch_size": 32}, 0.8),
        (
            "vit",
            {"width": 32, "depth": 2},
            {"epochs": 12, "batch_size": 32, "optimizer": "adamw", "peak_lr": 3e-3},
            0.7,
        ),
        ("mlp", {"width": 64, "depth": 2}, {"epochs": 8, "label_smoothing": 0.1, "augment": "none"}, 0.85),
    ],
)
def test_it_learns_digits(digits, arch, options, changes, least):
    model = train(digits, arch, options, **changes)
    assert accuracy(model, digits.validation) >= least
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


def test_two_runs_give_the_same_bits_and_draw_from_the_generator_alone(digits):
    before = torch.random.get_rng_state()
    one, again = (train(digits, "resnet8", {"width": 4}, augment="crop-flip") for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(one.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    other = train(digits, "resnet8", {"width": 4}, augment="crop-flip", seed=1)
    assert not torch.equal(other.head.weight, one.head.weight)


def test_each_epoch_sees_whole_batches_of_distinct_rows_and_the_loss_gets_what_belongs_together(digits):
    seen: list[torch.Tensor] = []

    def loss(model, x, y, index):
        assert torch.equal(x, as_input(digits.train.inputs[index]))
        assert torch.equal(y, digits.train.labels[index])
        seen.append(index)
        return nn.functional.cross_entropy(model(x), y)

    steps: list[tuple[int, int]] = []
    train(digits, epochs=2, batch_size=128, augment="none", loss=loss, progress=lambda *s: steps.append(s))
    per_epoch = 600 // 128
    assert [len(rows) for rows in seen] == [128] * (2 * per_epoch)
    epochs = [torch.cat(seen[:per_epoch]), torch.cat(seen[per_epoch:])]
    assert all(len(rows.unique()) == len(rows) for rows in epochs)
    assert not torch.equal(*epochs)
    assert steps == [(i + 1, 2 * per_epoch) for i in range(2 * per_epoch)]


def test_a_set_smaller_than_a_batch_is_one_batch(digits):
    sizes: list[int] = []

    def loss(model, x, y, index):
        sizes.append(len(index))
        return nn.functional.cross_entropy(model(x), y)

    train(digits, batch_size=5000, epochs=3, loss=loss)
    assert sizes == [600] * 3


def test_only_the_given_parameters_move(digits):
    model = build("mlp", {"width": 16, "depth": 1}, 10, digits, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fit(
        model,
        digits.train.inputs,
        digits.train.labels,
        Recipe(epochs=1, augment="none"),
        generator=torch.Generator().manual_seed(0),
        device=CPU,
        parameters=model.head.parameters(),
    )
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"head.weight", "head.bias"}


def test_the_schedule_rises_then_falls_to_zero():
    recipe = Recipe(peak_lr=0.4, warmup=0.25)
    rates = [learning_rate(step, 100, recipe) for step in range(100)]
    assert rates[:25] == sorted(rates[:25])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert max(rates) == pytest.approx(0.4, rel=0.03)
    assert rates[0] == pytest.approx(0.4 * 0.5 / 25)
    assert 0 < rates[-1] < 0.01
    assert sum(rates) / 100 == pytest.approx(0.2)  # a triangle


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_the_schedule_may_do_without_one_of_its_sides(warmup):
    rates = [learning_rate(step, 10, Recipe(warmup=warmup)) for step in range(10)]
    assert all(0 < rate <= 0.2 for rate in rates)
    assert rates == sorted(rates, reverse=warmup == 0)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_spares_vectors(optimizer):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    made = make_optimizer(model.parameters(), Recipe(optimizer=optimizer, weight_decay=0.3))
    decay = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
        "0.weight": 0.3,
        "0.bias": 0,
        "1.weight": 0,
        "1.bias": 0,
    }


def test_sgd_is_the_textbook_nesterov_step():
    weight = nn.Parameter(torch.ones(2, 2, dtype=torch.float64))
    recipe = Recipe(peak_lr=0.1, momentum=0.9, weight_decay=0.01)
    optimizer = make_optimizer([weight], recipe)
    value, velocity = weight.detach().clone(), torch.zeros(2, 2, dtype=torch.float64)
    for _ in range(3):
        weight.grad = 3 * weight.detach()
        optimizer.step()
        gradient = 3 * value + 0.01 * value
        velocity = 0.9 * velocity + gradient
        value = value - 0.1 * (gradient + 0.9 * velocity)
    torch.testing.assert_close(weight.detach(), value, rtol=1e-12, atol=0)


def test_a_loss_that_is_not_finite_is_named(digits):
    count = itertools.count(1)

    def loss(model, x, y, index):
        return model(x).mean() * (float("nan") if next(count) == 3 else 1.0)

    with pytest.raises(BenchError, match=r"the loss is nan at step 3 of 9"):
        train(digits, loss=loss)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [(0, 0, "0 inputs and 0 labels"), (4, 3, "4 inputs and 3 labels")],
)
def test_data_that_cannot_be_fitted(digits, images, labels, message):
    model = build("mlp", {}, 10, digits, seed=0)
    with pytest.raises(BenchError, match=message):
        fit(
            model,
            digits.train.inputs[:images],
            digits.train.labels[:labels],
            Recipe(),
            generator=torch.Generator(),
            device=CPU,
        )


def test_a_model_frozen_altogether_is_refused(digits):
    model = build("mlp", {}, 10, digits, seed=0).requires_grad_(False)
    with pytest.raises(BenchError, match="no parameter requires a gradient"):
        fit(model, digits.train.inputs, digits.train.labels, Recipe(), generator=torch.Generator(), device=CPU)


def test_recalibrated_statistics_are_the_average_over_equal_batches():
    model = nn.Sequential(nn.BatchNorm2d(2, momentum=0.3), nn.Dropout(0.5), nn.BatchNorm2d(2, momentum=0.2))
    images = torch.randint(0, 256, (12, 2, 4, 4), dtype=torch.uint8)
    model(as_input(images))  # statistics to be forgotten
    recalibrate(model, images, CPU, batch_size=4)
    x = as_input(images)
    batches = x.split(4)
    mean = torch.stack([b.mean((0, 2, 3)) for b in batches]).mean(0)
    var = torch.stack([b.var((0, 2, 3)) for b in batches]).mean(0)
    torch.testing.assert_close(model[0].running_mean, mean)
    torch.testing.assert_close(model[0].running_var, var)
    torch.testing.assert_close(model[2].running_mean, torch.zeros(2), rtol=0, atol=1e-5)  # dropout was off
    assert [model[0].momentum, model[2].momentum] == [0.3, 0.2]
    assert not any(m.training for m in model.modules())


def test_recalibrating_without_batch_norm_computes_nothing(digits):
    model = build("resnet8", {"width": 4, "norm": "layer"}, 10, digits, seed=0)
    model.register_forward_hook(lambda *_: pytest.fail("a forward pass"))
    recalibrate(model, digits.train.inputs, CPU)


def test_the_forward_pass_runs_under_the_devices_autocast(digits):
    entered: list[int] = []

    class Context:
        def __enter__(self):
            entered.append(1)

        def __exit__(self, *_):
            entered.append(-1)

    device = SimpleNamespace(torch=torch.device("cpu"), place=CPU.place, autocast=Context)
    model = build("mlp", {"width": 8, "depth": 1}, 10, digits, seed=0)
    recipe = Recipe(epochs=1, batch_size=300)
    fit(
        model,
        digits.train.inputs,
        digits.train.labels,
        recipe,
        generator=torch.Generator().manual_seed(0),
        device=device,
    )
    assert entered == [1, -1] * 2
