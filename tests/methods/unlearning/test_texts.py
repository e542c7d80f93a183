"""Every method of unlearning takes texts as the scenario gives them, or says why it does not apply."""

import math

import pytest
import torch

from bench import Skip, registry
from bench.data import load
from bench.data.spec import DataSpec
from bench.device import Device
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.running.cell import seed_everything
from bench.scenarios.unlearn.scenario import Unlearn
from bench.schema.recipe import Recipe
from bench.task.task import grant

DATA = DataSpec(name="grammar6", train=300, validation=60, test=180)
RECIPE = Recipe(epochs=6, batch_size=16, optimizer="adamw", peak_lr=3e-3, augment="none")
REQUESTS = {
    "class": Unlearn(model="text", request="class", forget_class=1),
    "random": Unlearn(model="text", request="random", share=0.1),
}
# SGD at the rates of a residual network ruins a transformer that AdamW trained; the rest are the defaults or fewer.
GENTLE = {"epochs": 2, "lr": 5e-3}
WORKING = {
    "retrain": {},
    "finetune": GENTLE,
    "neggrad-plus": GENTLE,
    "l1-sparse": GENTLE | {"gamma": 1e-4},
    "random-labels": GENTLE,
    "cf-k": GENTLE,
    "eu-k": {},
    "scrub": {"turns": 2, "ascent_turns": 1},
    "bad-teacher": {"epochs": 1},
    "laf": {"steps": 10, "vae_steps": 20},
    "ssd": {},
    "influence": {"rows": 40},
}
UNSUITABLE = {"boundary-shrink": "pixels", "unsir": "images"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    registry.discover()
    dataset = load(DATA)
    models = {"text": Architecture(arch="text_classifier", options={"width": 24, "depth": 1})}
    setup = Setup(DATA, dataset.fingerprint, 6, models, RECIPE, seed=1)
    return Lab(setup, dataset, Zoo(tmp_path_factory.mktemp("zoo"), Device()), Device())


@pytest.fixture(scope="module")
def situations(lab):
    return {name: settings.prepare(lab) for name, settings in REQUESTS.items()}


def run(name, situation, lab, **params):
    """What a method returns on its task, as a cell runs it."""
    entry = registry.METHODS.get(name)
    common = {
        "device": lambda: torch.device("cpu"),
        "compute": Device,
        "seed": lambda: 0,
        "generator": lambda: torch.Generator().manual_seed(0),
        "input_shape": lambda: lab.dataset.shape,
        "progress": lambda: lambda _done, _total: None,
    }
    seed_everything(0)
    task = grant(registry.SCENARIOS.get("unlearn").task, common | dict(situation.providers), entry.access, name)
    return entry.function(task, **params)


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("name", WORKING)
def test_a_method_takes_texts(name, request_name, situations, lab):
    situation = situations[request_name]
    model = run(name, situation, lab, **WORKING[name])
    found = REQUESTS[request_name].score(situation, model, lab).metrics
    assert all(math.isfinite(value) for value in found.values())
    before, after = situation.providers["model"]().state_dict(), model.state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[entry], after[entry]) for entry in before)
    if name in ("retrain", "finetune", "random-labels", "cf-k", "eu-k", "bad-teacher", "laf"):
        assert found["retain_accuracy"] > 0.8


def test_a_class_of_texts_is_learnt_and_retraining_never_meets_it(situations, lab):
    situation, settings = situations["class"], REQUESTS["class"]
    original = settings.score(situation, situation.providers["model"](), lab).metrics
    retrained = settings.score(situation, run("retrain", situation, lab), lab).metrics
    assert original["forget_accuracy"] > 0.9
    assert original["test_forget_accuracy"] > 0.5
    assert retrained["forget_accuracy"] == retrained["test_forget_accuracy"] == 0
    assert retrained["average_gap"] < 0.1 < original["average_gap"]


@pytest.mark.parametrize("name", UNSUITABLE)
def test_what_does_not_suit_texts_says_so(name, situations, lab):
    with pytest.raises(Skip, match=UNSUITABLE[name]):
        run(name, situations["class"], lab)
