"""Requests `subclass` and `poison` with trained models: what methods are given, what is judged, what the score says."""

import dataclasses

import numpy as np
import pytest
import torch

from bench.data import load, select
from bench.data.spec import DataSpec
from bench.device import Device
from bench.errors import AccessDenied, Skip
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios import backdoor
from bench.scenarios.unlearn.judging import Shown
from bench.scenarios.unlearn.scenario import Unlearn
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.recipe import Recipe
from bench.task.task import grant
from methods.unlearning.references import mask_class, retrain, retrain_clean

DATA = DataSpec(name="digits", train=600, validation=100)
RECIPE = Recipe(epochs=12, batch_size=32, peak_lr=0.1, augment="none")
TARGET = 6
SUBCLASS = Unlearn(
    model="small", request="subclass", forget_class=3, coarse=((0, 1), (2, 3), (4, 5), (6, 7), (8, 9)), judges=2
)
POISON = Unlearn(model="small", request="poison", share=0.2, target=TARGET)
PARTIAL = POISON.model_copy(update={"known": 0.5})
ALL = ["weights", "init", "retain_labels", "forget_labels", "validation"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    dataset = load(DATA)
    models = {"small": Architecture(arch="mlp", options={"width": 48, "depth": 1})}
    setup = Setup(DATA, dataset.fingerprint, 10, models, RECIPE, seed=3)
    return Lab(setup, dataset, Zoo(tmp_path_factory.mktemp("zoo"), Device()), Device())


@pytest.fixture(scope="module")
def subclass(lab):
    return SUBCLASS.prepare(lab)


@pytest.fixture(scope="module")
def poison(lab):
    return POISON.prepare(lab)


@pytest.fixture(scope="module")
def partial(lab):
    return PARTIAL.prepare(lab)


def task_of(situation, access=ALL):
    return grant(UnlearnTask, situation.providers, access, "some")


def prints(images):
    return [image.numpy().tobytes() for image in images]


def rows_in(images, split):
    """For each of `images` the first row of a split that is the same."""
    places = {found: row for row, found in reversed(list(enumerate(prints(split.inputs))))}
    return torch.tensor([places[found] for found in prints(images)])


# --- subclass ---


def test_a_method_knows_coarse_classes_only(subclass, lab):
    task, train = task_of(subclass), lab.dataset.train
    assert task.num_classes == 5
    assert task.forget_class is None
    assert task.model.head.out_features == task.student.head.out_features == 5
    forget = train.labels == 3
    assert torch.equal(task.forget_inputs, train.inputs[forget])
    assert torch.equal(task.retain_inputs, train.inputs[~forget])
    assert (task.forget_labels == 1).all()
    assert torch.equal(task.retain_labels, train.labels[~forget] // 2)
    assert torch.equal(task.validation_labels, lab.dataset.validation.labels // 2)


def test_no_whole_class_can_be_masked(subclass):
    with pytest.raises(Skip, match="only a whole class"):
        mask_class(task_of(subclass, ["weights", "forget_class"]))


def test_the_fine_class_is_attacked_and_not_scored(subclass, lab):
    rows, test = subclass.judge["rows"], lab.dataset.test
    fine = {name: test.labels[rows_in(rows.parts[name].inputs, test)] for name in ("test", "attack")}
    assert 3 not in fine["test"]
    assert 2 in fine["test"]  # its sibling is scored
    assert torch.equal(fine["attack"] == 3, torch.from_numpy(rows.comparable))
    assert rows.comparable.sum() == (test.labels == 3).sum()
    for name, labels in fine.items():
        assert torch.equal(rows.parts[name].labels, labels // 2)


def test_a_judge_of_a_subclass_is_what_one_hopes_for_and_not_zero(subclass, lab):
    found = [SUBCLASS.score(subclass, judge, lab).metrics for judge in subclass.judge["judges"]]
    original = SUBCLASS.score(subclass, subclass.providers["model"](), lab).metrics
    for judge in found:
        assert 0 < judge["forget_accuracy"] < original["forget_accuracy"]
        assert judge["average_gap"] == pytest.approx(judge["floor_gap"] / 2)
        assert judge["average_gap"] < original["average_gap"]
        assert judge["accuracy"] > 0.8
    floor = np.mean([judge["test_forget_accuracy"] for judge in found])
    assert original["floor_test_forget_accuracy"] == pytest.approx(floor)
    assert original["test_forget_accuracy"] > floor + 0.1


def test_shadows_of_a_subclass_are_asked_about_coarse_classes(lab):
    asked = SUBCLASS.model_copy(update={"shadows": 4})
    short = lab.setup.recipe.model_copy(update={"epochs": 2})
    quick = dataclasses.replace(lab, setup=dataclasses.replace(lab.setup, recipe=short))
    situation = asked.prepare(quick)
    assert (situation.judge["pool"].rows.labels == 1).all()
    assert (situation.judge["pool"].population.labels == 1).all()
    found = asked.score(situation, situation.providers["model"](), quick).metrics
    assert {"lira_auc", "floor_lira_auc", "rmia_auc"} <= found.keys()


# --- poison ---


@pytest.mark.parametrize("settings", [POISON, PARTIAL], ids=["whole", "partial"])
def test_a_method_is_given_what_the_original_saw(settings, lab):
    task, request = task_of(settings.prepare(lab)), settings.asked(lab.setup)
    train = lab.dataset.train
    forget, poisoned = select(request.forget, train.labels), select(request.pool, train.labels)
    assert torch.equal(task.forget_inputs, backdoor.stamp(train.inputs[forget], "grid"))
    assert (task.forget_labels == TARGET).all()
    assert task.forget_class is None
    assert task.num_classes == 10
    retain = select(request.retain, train.labels)
    unknown = torch.isin(retain, poisoned)
    assert unknown.any() == (settings is PARTIAL)
    assert torch.equal(task.retain_inputs[unknown], backdoor.stamp(train.inputs[retain[unknown]], "grid"))
    assert (task.retain_labels[unknown] == TARGET).all()
    clean = task_of(settings.prepare(lab), ["clean"])
    for images, labels in (
        (task.retain_inputs[~unknown], task.retain_labels[~unknown]),
        (clean.clean_inputs, clean.clean_labels),
    ):
        assert torch.equal(images, train.inputs[retain[~unknown]])
        assert torch.equal(labels, train.labels[retain[~unknown]])


@pytest.mark.parametrize("settings", [POISON, PARTIAL], ids=["whole", "partial"])
def test_what_is_judged_of_a_poison(settings, lab):
    parts, comparable = (getattr(settings.prepare(lab).judge["rows"], name) for name in ("parts", "comparable"))
    stamped = set(prints(backdoor.stamp(lab.dataset.train.inputs, "grid")))
    assert set(prints(parts["forget"].inputs)) <= stamped
    assert not set(prints(parts["retain"].inputs)) & stamped  # also where part of the poison is unknown
    scored, attack = parts["test"], parts["attack"]
    clean = attack.inputs[torch.from_numpy(~comparable)]
    assert not set(prints(clean)) & set(prints(scored.inputs))
    others = scored.labels != TARGET
    assert torch.equal(parts["stamped"].inputs, backdoor.stamp(scored.inputs[others], "grid"))
    assert torch.equal(parts["stamped"].labels, scored.labels[others])
    unseen = torch.from_numpy(comparable)
    originals = clean[attack.labels[~unseen] != TARGET]
    assert torch.equal(attack.inputs[unseen], backdoor.stamp(originals, "grid"))
    assert (attack.labels[unseen] == TARGET).all()


def test_the_trigger_works_on_the_original_and_on_no_judge(poison, lab):
    original = POISON.score(poison, poison.providers["model"](), lab)
    judges = [POISON.score(poison, judge, lab) for judge in poison.judge["judges"]]
    assert original.metrics["attack_success"] > 0.9
    assert original.metrics["stamped_accuracy"] < 0.1
    assert original.metrics["test_accuracy"] > 0.8
    floor = np.mean([judge.metrics["attack_success"] for judge in judges])
    assert original.metrics["floor_attack_success"] == pytest.approx(floor)
    assert floor < 0.3
    assert original.correct["stamped"].mean() == original.metrics["stamped_accuracy"]
    assert len(original.correct["stamped"]) == len(poison.judge["rows"].parts["stamped"])
    for judge in judges:
        assert judge.metrics["stamped_accuracy"] > 0.5
        assert judge.metrics["average_gap"] == pytest.approx(judge.metrics["floor_gap"] / 2)
        assert judge.metrics["average_gap"] < 0.1 < original.metrics["average_gap"]


def test_the_gap_of_a_poison_by_hand(poison, lab):
    rows = poison.judge["rows"]
    found = POISON.score(poison, poison.providers["model"](), lab).metrics
    judges = [Shown.of(judge, rows, 10) for judge in poison.judge["judges"]]
    gaps = [
        abs(found[f"{part}_accuracy"] - np.mean([judge.correct(part).mean() for judge in judges]))
        for part in ("retain", "forget", "test")
    ]
    fooled = [float((judge.logits["stamped"].argmax(1) == TARGET).double().mean()) for judge in judges]
    gaps.append(abs(found["attack_success"] - np.mean(fooled)))
    assert found["average_gap"] == pytest.approx(np.mean(gaps))
    assert "tow_mia" not in found
    assert "test_forget_accuracy" not in found


def test_a_trigger_is_no_membership(poison, lab):
    """A perfect backdoor that saw nothing: unseen stamped images look as trained on as the poisoned rows do."""

    def fooled(x):
        stamped = (x[:, 0, -3:, -3:] * 255).round() == torch.tensor(backdoor.GRID).float()
        return 9.0 * torch.nn.functional.one_hot(torch.where(stamped.all((1, 2)), TARGET, 0), 10).float()

    found = POISON.score(poison, fooled, lab).metrics
    assert found["attack_success"] == found["forget_accuracy"] == 1
    assert found["mia_auc"] == 0.5


def test_what_is_not_named_still_counts(partial, lab):
    """Judges saw no poison at all; who removes what was named, and no more, is far from them."""
    whole = {"device": lambda: torch.device("cpu"), "compute": Device, "progress": lambda: lambda _done, _total: None}
    whole |= partial.providers
    found = {}
    for name, access, method in (("named", "retain_labels", retrain), ("all", "clean", retrain_clean)):
        given = whole | {"generator": lambda: torch.Generator().manual_seed(0)}
        result = method(grant(UnlearnTask, given, ["init", access], name))
        found[name] = PARTIAL.score(partial, result, lab).metrics
    assert found["named"]["floor_attack_success"] < 0.3
    assert found["named"]["attack_success"] > 0.9
    assert found["all"]["attack_success"] < 0.3
    assert found["all"]["average_gap"] < 0.1 < found["named"]["average_gap"]


def test_clean_rows_are_not_granted_with_the_retained_ones(partial):
    task = task_of(partial)
    for name in ("clean_inputs", "clean_labels"):
        with pytest.raises(AccessDenied, match="'clean'"):
            getattr(task, name)


def test_both_variants_share_their_models(poison, partial):
    assert poison.judge["specs"] == partial.judge["specs"]


def test_tuning_scores_on_held_out_rows(lab):
    """A board that tunes puts the validation rows in the place of the test rows."""
    held_out = dataclasses.replace(lab, dataset=dataclasses.replace(lab.dataset, test=lab.dataset.validation))
    for settings in (POISON, SUBCLASS):
        situation = settings.prepare(held_out)
        found = settings.score(situation, situation.judge["judges"][0], held_out).metrics
        assert len(situation.judge["rows"].parts["test"]) < 100
        assert found["average_gap"] == pytest.approx(found["floor_gap"] / 2)
