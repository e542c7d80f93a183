"""CF-k and EU-k: which layers are the last k, that no other moves, and the two ends of the scale."""

import pytest
import torch

from bench.data import load
from bench.data.spec import DataSpec
from bench.models import build
from methods.unlearning import last_layers
from methods.unlearning.finetune import finetune
from methods.unlearning.last_layers import cf_k, eu_k, keep_the_rest, last, layers
from methods.unlearning.references import retrain

FROZEN = ("hidden.0.", "norms.0.")
LAST_TWO = ("hidden.1.", "norms.1.", "head.")


def names(model, modules):
    return {name for name, module in model.named_modules() if module in modules}


def digits(arch, **options):
    return build(arch, options, 10, load(DataSpec(name="digits", train=100, validation=50)), seed=0)


def layer_names(model):
    by_module = {module: name for name, module in model.named_modules()}
    return [[by_module[module] for module in layer] for layer in layers(model, torch.zeros(1, 1, 8, 8))]


def test_layers_are_in_the_order_of_the_pass_each_with_its_norm():
    assert layer_names(digits("mlp", width=8, depth=2, norm="batch")) == [
        ["hidden.0", "norms.0"],
        ["hidden.1", "norms.1"],
        ["head"],
    ]
    convolutions = layer_names(digits("vgg", width=2))
    assert convolutions == [[f"convs.{i}", f"norms.{i}"] for i in range(6)] + [["head"]]


def test_four_layers_of_a_resnet8_are_its_last_stage_and_the_head():
    last_four = layer_names(digits("resnet8", width=2))[-4:]
    block = "stages.2.0"
    assert last_four == [
        [f"{block}.conv1", f"{block}.norm1"],
        [f"{block}.conv2", f"{block}.norm2"],
        [f"{block}.shortcut.0", f"{block}.shortcut.1"],
        ["head"],
    ]


def test_all_layers_are_all_modules_and_no_parameter_is_left_out(make_task):
    model = digits("vit", width=8, depth=1, heads=2)
    depth = len(layers(model, torch.zeros(1, 1, 8, 8)))
    task = make_task("cf-k")
    assert last(model, depth, task) == set(model.modules())
    assert "" not in names(model, last(model, depth - 1, task))  # which owns the position embedding


def test_cf_k_leaves_every_other_weight_and_statistic_to_the_bit(make_task, original, same):
    for k, (kept, moved) in {1: ((*FROZEN, *LAST_TWO[:2]), LAST_TWO[2:]), 2: (FROZEN, LAST_TWO)}.items():
        model = cf_k(make_task("cf-k"), k=k, epochs=2)
        assert all(same(model, original, part) for part in kept)
        assert not any(same(model, original, part) for part in moved)
        assert all(p.requires_grad for p in model.parameters())


def test_cf_k_of_all_layers_is_finetuning(make_task, same):
    tuned = finetune(make_task("finetune"), epochs=2, lr=0.03)
    assert same(cf_k(make_task("cf-k"), k=3, epochs=2, lr=0.03), tuned)
    assert same(cf_k(make_task("cf-k"), k=30, epochs=2, lr=0.03), tuned)
    assert not same(cf_k(make_task("cf-k"), k=2, epochs=2, lr=0.03), tuned)


def test_eu_k_of_all_layers_is_retraining(make_task, same):
    again = retrain(make_task("retrain"))
    assert same(eu_k(make_task("eu-k"), k=3), again)
    assert not same(eu_k(make_task("eu-k"), k=2), again)


def test_eu_k_gives_fresh_values_to_the_last_k_and_to_no_other(make_task, original, same, monkeypatch):
    monkeypatch.setattr(last_layers, "train_modules", lambda *arguments: None)
    fresh = make_task("eu-k").student
    start = eu_k(make_task("eu-k"), k=2)
    assert all(same(start, original, part) for part in FROZEN)
    assert all(same(start, fresh, part) for part in LAST_TWO)
    assert not any(same(fresh, original, part) for part in ("hidden.0.", *LAST_TWO))


def test_eu_k_trains_them_and_nothing_else(make_task, original, same, accuracy):
    task = make_task("eu-k")
    fresh = make_task("eu-k").student
    model = eu_k(task, k=2)
    assert all(same(model, original, part) for part in FROZEN)
    assert not any(same(model, fresh, part) or same(model, original, part) for part in LAST_TWO)
    assert same(task.model, original)
    assert accuracy(model, forgotten=True) == 0
    assert accuracy(model) > accuracy(original) - 0.05


def test_keeping_the_rest_leaves_statistics_of_fresh_norms_fresh(original):
    fresh = digits("mlp", width=48, depth=2, norm="batch")
    keep_the_rest(fresh, {fresh.norms[1]}, original)
    assert torch.equal(fresh.norms[0].running_mean, original.norms[0].running_mean)
    assert torch.equal(fresh.norms[1].running_mean, torch.zeros(48))
    assert torch.equal(fresh.head.weight, original.head.weight)


def test_cf_k_forgets_a_class_and_keeps_the_others(make_task, original, accuracy):
    model = cf_k(make_task("cf-k"), k=2)
    assert accuracy(model, forgotten=True) < 0.2
    assert accuracy(model) > accuracy(original) - 0.05


@pytest.mark.parametrize("arch", ["vgg", "resnet8"])
def test_frozen_convolutions_stay_too(make_task, arch):
    model = digits(arch, width=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = cf_k(make_task("cf-k", model=model), k=1, epochs=1).state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"head.weight", "head.bias"}
