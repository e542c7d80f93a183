"""Shadow models of unlearning: who sees which rows, and what attacks with them find on a planted memory."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bench import conformance
from bench.data import load, select
from bench.data.spec import DataSpec, Images, Rows, Split
from bench.device import Device
from bench.errors import BadResult, BenchError
from bench.lab import Lab, Setup
from bench.models import make
from bench.models.keys import place
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios.unlearn import attacks, shadows
from bench.scenarios.unlearn.scenario import Unlearn
from bench.scenarios.unlearn.shadows import Pool
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.recipe import Recipe
from bench.task.task import grant

DATA = DataSpec(name="digits", train=400, validation=100)
MODELS = {"small": Architecture(arch="mlp", options={"width": 32, "depth": 1})}
CLASS = Unlearn(model="small", request="class", forget_class=4, shadows=6, ulira=True)
RANDOM = Unlearn(model="small", request="random", share=0.2, shadows=6, ulira=True)
REQUESTS = pytest.mark.parametrize("settings", [CLASS, RANDOM], ids=["class", "random"])
EVERYTHING = ["weights", "init", "retain_labels", "forget_labels", "validation"]


@pytest.fixture(scope="module")
def zoo_root(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture
def lab(zoo_root):
    dataset = load(DATA)
    recipe = Recipe(epochs=2, batch_size=64, peak_lr=0.1, augment="none")
    setup = Setup(DATA, dataset.fingerprint, 10, MODELS, recipe, seed=3)
    return Lab(setup, dataset, Zoo(zoo_root, Device()), Device())


@pytest.fixture(scope="module")
def noise(zoo_root):
    """Noise with labels drawn for it: whatever a model knows of these rows, it has memorised."""
    draws = torch.Generator().manual_seed(0)

    def split(n):
        images = torch.randint(0, 256, (n, 1, 6, 6), generator=draws, dtype=torch.uint8)
        return Split(images, torch.arange(n) % 4)

    names = tuple("abcd")
    dataset = Images("noise", "noise", "n0153", names, split(600), split(40), split(600), (0.5,), (0.29,))
    recipe = Recipe(epochs=40, batch_size=32, peak_lr=0.1, weight_decay=0.0, augment="none")
    models = {"small": Architecture(arch="mlp", options={"width": 96, "depth": 1})}
    setup = Setup(DataSpec(name="noise"), dataset.fingerprint, 4, models, recipe, seed=1)
    return Lab(setup, dataset, Zoo(zoo_root, Device()), Device())


def prints(images):
    """The fingerprints of images."""
    return {image.numpy().tobytes() for image in images}


def seen_by(spec, lab):
    return set(select(spec.rows, lab.dataset.train.labels).tolist())


def named(rows, lab):
    return set(select(rows, lab.dataset.train.labels).tolist())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ulira": True}, "ulira = true needs shadow models"),
        ({"shadows": 2}, "shadows = 2: an even number from 4 on"),
        ({"shadows": 5}, "shadows = 5: an even number from 4 on"),
        ({"shadows": -4}, "greater than or equal to 0"),
        ({"shadows": 4, "ulira": True}, "with ulira at least 6"),
        ({"shadows": 4, "share": 0.6}, r"share = 0\.6: with shadows as many rows are held back"),
    ],
)
def test_shadows_that_there_cannot_be_are_refused(wrong, says):
    with pytest.raises(ValidationError, match=says):
        Unlearn(model="small", request="random", **({"share": 0.2} | wrong))


def test_without_shadows_nothing_is_held_back(lab):
    plain = RANDOM.model_copy(update={"shadows": 0, "ulira": False})
    request = plain.asked(lab.setup)
    assert request.held is None
    assert list(plain.zoo(lab.setup)) == ["original", "judge-0", "judge-1"]
    assert named(request.all, lab) == set(range(len(lab.dataset.train)))
    situation = plain.prepare(lab)
    assert "pool" not in situation.judge
    assert not situation.repeats


@REQUESTS
def test_members_and_non_members_part_the_pool_class_by_class(settings, lab):
    request, labels = settings.asked(lab.setup), lab.dataset.train.labels
    pool, members, others = (named(rows, lab) for rows in (request.pool, request.forget, request.held))
    assert members | others == pool
    assert not members & others
    counts = [torch.bincount(labels[sorted(rows)], minlength=10) for rows in (members, others)]
    assert int((counts[0] - counts[1]).abs().max()) <= 1
    if settings is RANDOM:
        assert len(members) == pytest.approx(0.2 * len(labels), abs=10)  # each class is rounded
    else:
        assert set(labels[sorted(pool)].tolist()) == {4}
        assert len(pool) == int((labels == 4).sum())


@REQUESTS
def test_who_is_trained_on_what(settings, lab):
    request, specs = settings.asked(lab.setup), settings.zoo(lab.setup)
    everyone = set(range(len(lab.dataset.train)))
    pool, members, others = (named(rows, lab) for rows in (request.pool, request.forget, request.held))
    assert seen_by(specs["original"], lab) == everyone - others
    for number in range(2):
        assert seen_by(specs[f"judge-{number}"], lab) == everyone - pool
    out = [everyone - seen_by(specs[f"shadow-{k}"], lab) for k in range(6)]
    assert all(rows < pool for rows in out)
    for k in (0, 2, 4):
        assert out[k] | out[k + 1] == pool
        assert not out[k] & out[k + 1]
    assert len({frozenset(rows) for rows in [*out, members, others]}) == 8
    assert len({place(spec) for spec in specs.values()}) == 9


@REQUESTS
def test_no_retrained_model_and_no_shadow_has_a_row_that_it_must_not_have(settings, lab):
    """By what the rows hold, not by their numbers."""
    train = lab.dataset.train
    specs, request = settings.zoo(lab.setup), settings.asked(lab.setup)
    trained = {role: prints(make.training_rows(spec, lab.dataset).inputs) for role, spec in specs.items()}
    forgotten, held = (prints(train.inputs[select(rows, train.labels)]) for rows in (request.forget, request.held))
    assert forgotten <= trained["original"]
    assert not held & trained["original"]
    for number in range(2):
        assert not (forgotten | held) & trained[f"judge-{number}"]
    for k in range(6):
        out = shadows.left_out(request.pool, k, lab.setup.seed)
        assert not prints(train.inputs[select(out, train.labels)]) & trained[f"shadow-{k}"]


@REQUESTS
def test_what_the_judge_knows_of_the_pool(settings, lab):
    judge, request = settings.prepare(lab).judge, settings.asked(lab.setup)
    pool, labels = judge["pool"], lab.dataset.train.labels
    rows = select(request.pool, labels)
    assert torch.equal(pool.rows.labels, labels[rows])
    assert set(rows[torch.from_numpy(pool.member)].tolist()) == named(request.forget, lab)
    assert pool.seen.shape == (6, len(rows))
    assert (pool.seen.sum(0) == 3).all()
    specs = settings.zoo(lab.setup)
    for k, seen in enumerate(pool.seen):
        assert set(rows[torch.from_numpy(seen)].tolist()) == seen_by(specs[f"shadow-{k}"], lab) & set(rows.tolist())
    assert set(pool.population.labels.tolist()) == set(pool.rows.labels.tolist())
    assert prints(pool.population.inputs) <= prints(judge["rows"].parts["attack"].inputs)


@REQUESTS
def test_a_repeat_forgets_what_its_shadow_saw_and_knows_nothing_of_the_rest(settings, lab):
    situation = settings.prepare(lab)
    main = grant(UnlearnTask, situation.providers, EVERYTHING, "main")
    pool = situation.judge["pool"]
    repeats = situation.repeats
    assert len(repeats) == 6
    for k, providers in enumerate(repeats):
        task = grant(UnlearnTask, providers, EVERYTHING, "again")
        seen = torch.from_numpy(pool.seen[k])
        assert prints(task.forget_inputs) == prints(pool.rows.inputs[seen])
        assert torch.equal(task.retain_inputs, main.retain_inputs)
        assert not prints(pool.rows.inputs[~seen]) & (prints(task.forget_inputs) | prints(task.retain_inputs))
        assert task.forget_class == main.forget_class
        shadow = lab.model(settings.zoo(lab.setup)[f"shadow-{k}"])
        assert torch.equal(task.model.head.weight, shadow.head.weight)
        assert not torch.equal(task.student.head.weight, main.student.head.weight)


@REQUESTS
def test_nothing_of_the_judge_can_be_reached_from_a_task(settings, lab):
    situation = settings.prepare(lab)
    judge = situation.judge
    secrets = [*judge["judges"], judge["untrained"], judge["pool"], judge["rows"], judge["specs"], situation.repeats]
    weights = conformance.prints(judge["judges"], above=8)
    assert weights
    for providers in (situation.providers, *situation.repeats):
        things = list(conformance.reachable(grant(UnlearnTask, providers, EVERYTHING, "walker")))
        assert not {id(thing) for thing in things} & {id(secret) for secret in secrets}
        assert not conformance.prints(things) & weights


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 1] * 3, "could name 6 rows, 2 of which it names, 3 of the rarest class"),
        ([0] * 12 + [1], "could name 13 rows, 7 of which it names, 1 of the rarest class"),
    ],
)
def test_a_pool_that_is_too_small_is_refused(labels, says, lab):
    few = Split(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), torch.tensor(labels))
    with pytest.raises(BenchError, match=rf"{says}; .* two of each class: set share or data\.train higher"):
        Pool.of(replace(lab.dataset, train=few), Rows(), few, 4, seed=0)


NOISY = RANDOM.model_copy(update={"share": 0.2})


def scored(lab, result, repeated=()):
    return NOISY.score(replace(NOISY.prepare(lab), repeated=repeated), result, lab).metrics


ATTACKS = ("loss", "lira", "rmia")


def test_attacks_find_what_was_memorised_and_nothing_in_a_retrained_model(noise):
    situation = NOISY.prepare(noise)
    assert int(situation.judge["pool"].member.sum()) == 120
    original = scored(noise, grant(UnlearnTask, situation.providers, ["weights"], "original").model)
    for name in ATTACKS:
        assert original[f"{name}_auc"] > 0.9
    assert original["lira_tpr_at_1pct_fpr"] > 0.5
    assert original["mia_auc"] > 0.9
    assert original["mia_classwise_confidence"] > 0.8
    assert original["strong_auc"] > 0.9
    for judge in situation.judge["judges"]:
        retrained = scored(noise, judge)
        for name in (*ATTACKS, "strong"):
            assert retrained[f"{name}_auc"] == pytest.approx(0.5, abs=0.12)  # 3 deviations of 120 against 120
        assert retrained["lira_tpr_at_1pct_fpr"] < 0.1
        for name in ATTACKS:  # with two judges the floor is the mean of what they show
            assert original[f"floor_{name}_auc"] == retrained[f"floor_{name}_auc"]
            assert retrained[f"floor_{name}_auc"] == pytest.approx(0.5, abs=0.12)


def test_a_method_that_does_nothing_is_attacked_by_u_lira_as_the_original_by_lira(noise):
    situation = NOISY.prepare(noise)
    tasks = [grant(UnlearnTask, p, ["weights"], "nothing") for p in (situation.providers, *situation.repeats)]
    found = scored(noise, tasks[0].model, [task.model for task in tasks[1:]])
    assert found["ulira_auc"] == found["lira_auc"]
    assert found["floor_ulira_auc"] == found["floor_lira_auc"]
    assert found["forgetting_quality"] < 0.1  # every row is told apart, and at three a side that gives no point


def test_a_method_that_retrains_leaves_u_lira_nothing(noise):
    """Each run gives a model that saw no row of the pool; here two of them take turns."""
    judges = NOISY.prepare(noise).judge["judges"]
    runs = [copy.deepcopy(judges[k % 2]) for k in range(6)]
    found = scored(noise, judges[0], runs)
    assert found["ulira_auc"] == pytest.approx(0.5, abs=0.12)


def test_without_repeats_u_lira_is_left_out(noise):
    """Trials of a search run no repeats."""
    found = scored(noise, NOISY.prepare(noise).judge["judges"][0])
    assert "lira_auc" in found
    assert not {"ulira_auc", "floor_ulira_auc", "forgetting_quality"} & set(found)


def test_few_non_members_have_no_rate_at_one_percent(lab):
    situation = CLASS.prepare(lab)
    found = CLASS.score(situation, situation.judge["judges"][0], lab).metrics
    assert "lira_auc" in found
    assert not [name for name in found if name.startswith(("lira_tpr", "rmia_tpr", "loss_tpr"))]


def test_a_run_that_cannot_be_judged_is_named(noise):
    judges = NOISY.prepare(noise).judge["judges"]
    with pytest.raises(BadResult, match="the method's result on shadow-2: a model or predictor was expected, got int"):
        scored(noise, judges[0], [judges[0], judges[1], 7, *judges, judges[0]])


def test_shadows_are_asked_once_for_all_cells_of_a_seed(noise, monkeypatch):
    judge = NOISY.prepare(noise).judge["judges"][0]
    first = scored(noise, judge)
    asked = []
    load_model = Zoo.load
    monkeypatch.setattr(Zoo, "load", lambda self, spec, data: asked.append(spec.role) or load_model(self, spec, data))
    assert scored(noise, judge) == first
    assert sorted(asked) == ["judge-0", "judge-1", "original"]


def test_probabilities_out_of_log_odds():
    phi = np.array([-1000.0, 0.0, np.log(3), 1000.0])
    assert attacks._probability(phi) == pytest.approx([0, 0.5, 0.75, 1])
