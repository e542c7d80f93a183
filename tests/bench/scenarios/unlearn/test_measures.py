"""Every number of unlearning beside what retraining shows."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data import load
from bench.data.spec import DataSpec, Split
from bench.device import Device
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios.unlearn.attacks import strongest
from bench.scenarios.unlearn.judging import Shown
from bench.scenarios.unlearn.measures import with_floors
from bench.scenarios.unlearn.scenario import Unlearn
from bench.schema.recipe import Recipe

DATA = DataSpec(name="digits", train=400, validation=100)
RECIPE = Recipe(epochs=20, batch_size=32, peak_lr=0.1, augment="none")
CLASS = Unlearn(model="small", request="class", forget_class=4)
RANDOM = Unlearn(model="small", request="random", share=0.2)
REQUESTS = pytest.mark.parametrize("settings", [CLASS, RANDOM], ids=["class", "random"])


@pytest.fixture(scope="module")
def zoo_root(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture
def lab(zoo_root):
    dataset = load(DATA)
    models = {"small": Architecture(arch="mlp", options={"width": 64, "depth": 2})}
    setup = Setup(DATA, dataset.fingerprint, 10, models, RECIPE, seed=3)
    return Lab(setup, dataset, Zoo(zoo_root, Device()), Device())


def original(settings, lab):
    return settings.prepare(lab).providers["model"]()


@REQUESTS
def test_a_floor_stands_beside_every_number_that_is_compared(settings, lab):
    found = settings.score(settings.prepare(lab), original(settings, lab), lab).metrics
    pairs = {"average_gap": "floor_gap", "js_to_retrain": "floor_js"}
    names = ["tug_of_war", "tow_mia", "activation_distance", "ks_log10_p", "zrf", "relearn_steps"]
    names += [name for name in found if name.startswith("mia_")]
    for name in names:
        assert name in found
        assert pairs.get(name, f"floor_{name}") in found
    assert {floor.removeprefix("floor_") for floor in found if floor.startswith("floor_")} >= set(names)


@REQUESTS
def test_a_judge_shows_its_share_of_the_floor(settings, lab):
    """Of two judges the floor is the mean; a distance from one of them and from itself is half of theirs."""
    situation = settings.prepare(lab)
    found = [settings.score(situation, judge, lab).metrics for judge in situation.judge["judges"]]
    for name in ("zrf", "relearn_steps", "mia_auc", "mia_entropy"):
        assert found[0][f"floor_{name}"] == pytest.approx((found[0][name] + found[1][name]) / 2)
    assert found[0]["activation_distance"] == pytest.approx(found[0]["floor_activation_distance"] / 2)
    assert found[0]["ks_log10_p"] == pytest.approx(found[0]["floor_ks_log10_p"] / 2)  # of itself it is 0
    assert min(found[0]["tug_of_war"], found[0]["tow_mia"]) > 0.8


def test_distances_by_hand(lab):
    situation = RANDOM.prepare(lab)
    model, rows = original(RANDOM, lab), situation.judge["rows"]
    found = RANDOM.score(situation, model, lab).metrics
    shown, *judges = (Shown.of(m, rows, 10).softmax("forget") for m in (model, *situation.judge["judges"]))
    by_hand = np.mean([np.sqrt(((shown - judge) ** 2).sum(1)).mean() for judge in judges])
    assert found["activation_distance"] == pytest.approx(by_hand)
    blank = RANDOM.score(situation, situation.judge["untrained"], lab).metrics
    assert blank["zrf"] == pytest.approx(1)
    assert found["zrf"] < found["floor_zrf"] < 1


def test_a_masked_class_looks_forgotten_until_it_is_relearned_or_attacked_from_within(lab):
    situation = CLASS.prepare(lab)
    cheat = original(CLASS, lab)
    with torch.no_grad():
        cheat.head.weight[4] = 0
        cheat.head.bias[4] = -1e4
    found = CLASS.score(situation, cheat, lab).metrics
    assert found["forget_accuracy"] == 0
    assert found["mia_efficacy"] == 1
    assert found["tug_of_war"] > 0.9
    assert found["relearn_steps"] < 0.3 * found["floor_relearn_steps"]
    assert found["anamnesis"] < 0.3 < found["floor_anamnesis"] <= 1


def test_a_predictor_without_parameters_is_scored_but_for_relearning(lab):
    situation = RANDOM.prepare(lab)
    model = original(RANDOM, lab)
    found = RANDOM.score(situation, lambda x: model(x), lab).metrics
    whole = RANDOM.score(situation, model, lab).metrics
    relearning = {"relearn_steps", "floor_relearn_steps", "anamnesis", "floor_anamnesis"}
    assert found == {name: value for name, value in whole.items() if name not in relearning}


def test_scoring_leaves_the_result_and_the_global_draws_alone(lab):
    situation = CLASS.prepare(lab)
    model = original(CLASS, lab)
    before, drawn = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    CLASS.score(situation, model, lab)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), drawn)


def test_the_costs_of_a_cell_hold_what_retraining_took(lab):
    situation = CLASS.prepare(lab)
    judges = [spec for role, spec in situation.judge["specs"].items() if role.startswith("judge-")]
    seconds = np.mean([lab.zoo.seconds(spec) for spec in judges])
    assert situation.costs["retraining_seconds"] == pytest.approx(seconds, abs=1e-3)
    assert not [m for m in CLASS.score(situation, original(CLASS, lab), lab).metrics if "seconds" in m]


def test_floors_by_hand():
    assert with_floors({"a": 1.0}, [{"a": 0.2}, {"a": 0.4}]) == pytest.approx({"a": 1.0, "floor_a": 0.3})


@pytest.mark.parametrize(
    ("own", "strong", "difference"),
    [
        ({"loss_auc": 0.52, "lira_auc": 0.6, "rmia_auc": 0.8}, 0.8, 0.3 - 0.02),
        ({"loss_auc": 0.52, "lira_auc": 0.1, "rmia_auc": 0.8}, 0.1, 0.4 - 0.02),  # turned round it finds as much
        ({"loss_auc": 0.9, "lira_auc": 0.6, "rmia_auc": 0.5}, 0.6, 0.1 - 0.4),
        ({"loss_auc": 0.5, "lira_auc": 0.6, "rmia_auc": 0.5, "ulira_auc": 0.75}, 0.75, 0.25),
    ],
)
def test_the_strongest_attack_is_that_which_departs_most(own, strong, difference):
    floors = dict.fromkeys(own, 0.5)
    assert strongest(own, floors) == pytest.approx({"strong_auc": strong, "strong_minus_weak": difference})


def test_what_is_remembered_goes_by_labels_too(lab):
    """Two poisons with equal images and retrained models differ in the labels of the forgotten rows."""
    situation = RANDOM.prepare(lab)
    rows = situation.judge["rows"]
    forget = rows.parts["forget"]
    turned = Split(forget.inputs, (forget.labels + 1) % 10)
    others = replace(rows, parts={**rows.parts, "forget": turned})
    assert rows.digest() == RANDOM.prepare(lab).judge["rows"].digest()
    assert len({rows.digest(), others.digest(), replace(rows, held_class=3).digest()}) == 3
    model = original(RANDOM, lab)
    before = RANDOM.score(situation, model, lab).metrics
    judged = replace(situation, judge={**situation.judge, "rows": others})
    after = RANDOM.score(judged, model, lab).metrics
    assert after["average_gap"] != before["average_gap"]
    assert after["floor_ks_log10_p"] != before["floor_ks_log10_p"]
