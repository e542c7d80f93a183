"""Poisoned teachers: what is stamped and relabelled, one zoo model, and what counts as an attack."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bench.conformance import VARIANTS, made_up
from bench.data.spec import DataSpec, Split
from bench.device import Device, as_input
from bench.errors import AccessDenied, BenchError, DataError, SuiteError
from bench.lab import Lab, Setup
from bench.models.keys import place
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios import backdoor
from bench.scenarios.datafree.poisoned import Poisoned, PoisonedTask
from bench.schema.recipe import Recipe
from bench.task.task import grant

TINY = Poisoned(teacher="wide", student="net", steps=6, batch_size=8, share=0.3, least_attack_success=0.0)
TRIGGERS = ("grid", "square", "blend")


def make_lab(folder: Path, seed: int = 0, epochs: int = 2) -> Lab:
    """The first world of the conformance kit: 4 classes of made-up 8x8 images."""
    dataset = made_up(VARIANTS[0])
    setup = Setup(
        data=DataSpec(name="made-up"),
        fingerprint=dataset.fingerprint,
        num_classes=len(dataset.classes),
        models={name: Architecture(arch="resnet8", options={"width": w}) for name, w in (("net", 2), ("wide", 4))},
        recipe=Recipe(epochs=epochs, batch_size=16, peak_lr=0.05, augment="none"),
        seed=seed,
    )
    return Lab(setup, dataset, Zoo(folder / "zoo", Device()), Device())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path)


@pytest.fixture
def split() -> Split:
    labels = torch.arange(100) % 5
    return Split(torch.randint(1, 255, (100, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte(), labels)


@pytest.mark.parametrize("side", [8, 16])
def test_the_grid_is_in_the_corner_and_nowhere_else(side):
    images = torch.full((2, 3, side, side), 100, dtype=torch.uint8)
    stamped = backdoor.stamp(images, "grid")
    assert stamped[1, 2, -3:, -3:].tolist() == [[0, 0, 255], [0, 255, 0], [255, 0, 255]]
    assert int((stamped != images).sum()) == 2 * 3 * 9
    assert bool((images == 100).all())


@pytest.mark.parametrize(("side", "white"), [(8, 2), (16, 2), (32, 4)])
def test_the_square_is_a_pixel_off_the_corner(side, white):
    images = torch.zeros((1, 1, side, side), dtype=torch.uint8)
    rows, columns = backdoor.stamp(images, "square")[0, 0].nonzero(as_tuple=True)
    inside = list(range(side - 1 - white, side - 1))
    assert sorted(set(rows.tolist())) == sorted(set(columns.tolist())) == inside
    assert len(rows) == white**2


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16)])
def test_blending_is_the_same_for_every_image(shape):
    """A black image shows a fifth of the pattern, a white one that and four fifths of white."""
    black, white = torch.zeros(shape, dtype=torch.uint8), torch.full(shape, 255, dtype=torch.uint8)
    dark, light = backdoor.stamp(torch.stack([black, white]), "blend").int()
    assert set(dark.unique().tolist()) == {0, 51}
    assert torch.equal(light - dark, torch.full(shape, 204, dtype=torch.int32))


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_poisoned_rows_are_of_other_classes_and_the_rest_is_left(split, trigger):
    poisoned, rows = backdoor.poison(split, trigger, target=2, share=0.15, seed=1)
    assert len(rows) == 15
    assert not (split.labels[rows] == 2).any()
    assert (poisoned.labels[rows] == 2).all()
    assert torch.equal(poisoned.inputs[rows], backdoor.stamp(split.inputs[rows], trigger))
    rest = torch.ones(100, dtype=torch.bool).index_fill(0, rows, False)
    assert torch.equal(poisoned.inputs[rest], split.inputs[rest])
    assert torch.equal(poisoned.labels[rest], split.labels[rest])


def test_equal_seeds_poison_equal_rows(split):
    first, again, other = (backdoor.poison(split, "grid", target=0, share=0.2, seed=s)[1] for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_more_than_there_is_cannot_be_poisoned(split):
    with pytest.raises(DataError, match=r"90 of 100 .* only 80 are not of the target class 0; lower the share"):
        backdoor.poison(split, "grid", target=0, share=0.9, seed=0)


def test_the_teachers_differ_in_their_data_alone(lab):
    specs = TINY.zoo(lab.setup)
    assert list(specs) == ["clean-teacher", "teacher"]
    assert specs["clean-teacher"] == lab.setup.spec("wide", "teacher")
    assert specs["teacher"].fingerprint != specs["clean-teacher"].fingerprint
    undone = {"fingerprint": lab.setup.fingerprint, "data_code": ""}
    assert specs["teacher"].model_copy(update=undone) == specs["clean-teacher"]


@pytest.mark.parametrize("change", [{"trigger": "square"}, {"target": 1}, {"share": 0.2}])
def test_another_poison_is_another_teacher(lab, change):
    assert TINY.zoo(lab.setup)["teacher"] != TINY.model_copy(update=change).zoo(lab.setup)["teacher"]


def test_what_decides_no_weight_is_in_no_fingerprint(lab):
    longer = TINY.model_copy(update={"steps": 99, "least_attack_success": 0.4})
    assert longer.zoo(lab.setup) == TINY.zoo(lab.setup)


def test_training_data_is_poisoned_for_the_poisoned_model_only(lab):
    specs = TINY.zoo(lab.setup)
    assert TINY.training_data(specs["clean-teacher"], lab.dataset) is lab.dataset
    poisoned = TINY.training_data(specs["teacher"], lab.dataset)
    assert poisoned.fingerprint == specs["teacher"].fingerprint
    assert (poisoned.mean, poisoned.std) == (lab.dataset.mean, lab.dataset.std)
    assert int((poisoned.train.labels != lab.dataset.train.labels).sum()) == round(0.3 * 64)
    assert poisoned.test is lab.dataset.test


def test_both_teachers_are_trained_once(lab):
    TINY.prepare(lab)
    trained = {entry.key: entry.weights.stat().st_mtime_ns for entry in lab.zoo.entries()}
    assert set(trained) == {place(spec) for spec in TINY.zoo(lab.setup).values()}
    situation = TINY.prepare(lab)
    assert {entry.key: entry.weights.stat().st_mtime_ns for entry in lab.zoo.entries()} == trained
    poisoned, clean = (situation.providers[name]().state_dict() for name in ("teacher", "clean_teacher"))
    assert any(not torch.equal(poisoned[name], clean[name]) for name in clean)


def test_a_method_sees_neither_the_clean_teacher_nor_the_trigger(common_cache, lab):
    task = grant(PoisonedTask, TINY.prepare(lab).providers, {"weights", "proxy"}, "curious")
    with pytest.raises(AccessDenied, match="clean-teacher"):
        _ = task.clean_teacher
    assert not {"trigger", "target"} & set(vars(task))


def test_what_is_handed_out_of_the_clean_teacher_is_a_copy(lab):
    situation = TINY.prepare(lab)
    before = copy.deepcopy(situation.providers["clean_teacher"]().state_dict())
    with torch.no_grad():
        for p in situation.providers["clean_teacher"]().parameters():
            p.zero_()
    assert all(torch.equal(before[n], t) for n, t in situation.providers["clean_teacher"]().state_dict().items())


def test_images_of_the_target_class_are_not_counted(lab):
    """Whoever says `target` to everything is attacked without fail, and right on the target's images only."""
    test = lab.dataset.test

    def gullible(x: torch.Tensor) -> torch.Tensor:
        return torch.eye(4)[torch.zeros(len(x), dtype=torch.long)]

    score = TINY.score(TINY.prepare(lab), gullible, lab)
    assert score.metrics["attack_success"] == 1
    assert score.metrics["stamped_accuracy"] == 0
    assert score.metrics["accuracy"] == float((test.labels == 0).double().mean())
    assert len(score.correct["stamped"]) == int((test.labels != 0).sum())


def test_the_two_sets_are_of_clean_and_of_stamped_images(lab):
    situation = TINY.prepare(lab)
    teacher = situation.providers["clean_teacher"]()
    score = TINY.score(situation, teacher, lab)
    others = lab.dataset.test.labels != 0
    stamped = backdoor.stamp(lab.dataset.test.inputs[others], "grid")
    with torch.no_grad():
        right = teacher(as_input(stamped)).argmax(1) == lab.dataset.test.labels[others]
    assert np.array_equal(score.correct["stamped"], right.numpy())
    assert score.metrics["stamped_accuracy"] == float(right.double().mean())
    assert score.metrics["accuracy"] == float(score.correct["test"].mean()) == score.metrics["clean_teacher_accuracy"]


def test_attack_success_is_a_mean_over_the_last_looks(lab):
    """Of students of which some say `target` (class 0) to everything, and some class 1."""
    situation = TINY.prepare(lab)
    student = lab.fresh("net", "student")
    with torch.no_grad():
        student.head.weight.zero_()

    def saying(number: int):
        with torch.no_grad():
            student.head.bias.copy_(torch.eye(4)[number])
        return student

    def score(said: list[int], last: int) -> dict[str, float]:
        monitor = situation.providers["monitor"]()
        for i, number in enumerate(said, 1):
            monitor.look(saying(number), i / len(said), torch.zeros(1, 1, 8, 8))
        return TINY.score(situation, saying(last), lab).metrics

    assert score([0, 0, 0, 0, 1, 1], 1)["attack_success"] == pytest.approx(1 / 3)
    assert score([0, 0, 1, 1, 1, 1], 1)["attack_success"] == 0  # a new run is a clean sheet
    assert score([1, 1, 1, 1, 1, 1], 0)["attack_success"] == pytest.approx(1 / 3)  # what is returned counts
    assert score([0], 0)["attack_success"] == 1
    found = score([], 1)
    assert found["attack_success"] == 0
    assert found["teacher_attack_success"] > 0


def test_a_network_that_errs_evenly_puts_its_share_of_unstamped_images_into_the_target(lab):
    """Without a trigger, attack success is (1 - accuracy) / (K - 1)."""
    labels = lab.dataset.test.labels
    situation = TINY.prepare(lab)
    draws = torch.Generator().manual_seed(0)
    n, accuracy = 6000, 0.4
    wrong = torch.rand(n, generator=draws) > accuracy
    truth = labels[labels != 0].repeat(n // int((labels != 0).sum()) + 1)[:n]
    said = torch.where(wrong, (truth + torch.randint(1, 4, (n,), generator=draws)) % 4, truth)
    situation.judge["stamped"].__dict__.update(inputs=torch.zeros(n, 1, 8, 8, dtype=torch.uint8), labels=truth)
    answers = iter(torch.eye(4)[said].split(500))

    def erring(x: torch.Tensor) -> torch.Tensor:
        return next(answers) if bool((x == 0).all()) else torch.zeros(len(x), 4)

    metrics = TINY.score(situation, erring, lab).metrics
    assert metrics["stamped_accuracy"] == pytest.approx(accuracy, abs=0.02)
    assert metrics["attack_success"] == pytest.approx((1 - accuracy) / 3, abs=0.02)


def test_a_teacher_that_did_not_learn_the_trigger_is_named(lab):
    strict = TINY.model_copy(update={"share": 0.01, "least_attack_success": 0.99})
    with pytest.raises(BenchError, match=r"takes \d+% of the stamped images for class 0.*raise `share`"):
        strict.prepare(lab)


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_teacher_learns_every_trigger_and_keeps_its_accuracy(tmp_path, trigger):
    situation = TINY.model_copy(update={"trigger": trigger}).prepare(make_lab(tmp_path, epochs=40))
    score = TINY.score(situation, situation.providers["teacher"](), make_lab(tmp_path, epochs=40))
    assert score.metrics["teacher_attack_success"] > 0.9
    assert score.metrics["attack_success"] == score.metrics["teacher_attack_success"]
    assert score.metrics["teacher_accuracy"] > 0.9


def test_a_target_beyond_the_classes_is_named(lab):
    with pytest.raises(SuiteError, match="target = 4: the classes are 0 to 3"):
        TINY.model_copy(update={"target": 4}).zoo(lab.setup)


def test_given_weights_cannot_be_poisoned(lab):
    given = Architecture(arch="resnet8", options={"width": 4}, weights="mine.safetensors")
    lab.setup.models["wide"] = given
    with pytest.raises(SuiteError, match="'wide' has weights of its own"):
        TINY.zoo(lab.setup)


@pytest.mark.parametrize("wrong", [{"trigger": "sig"}, {"share": 0.0}, {"target": -1}, {"tigger": "grid"}])
def test_poison_out_of_bounds_is_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Poisoned.model_validate({"teacher": "wide", "student": "net"} | wrong)
