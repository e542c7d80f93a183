"""Requests of unlearning before anything is trained: their keys, their rows, and what models are to be trained on."""

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from bench.data import load, select
from bench.data.spec import DataSpec, Rows, Split
from bench.errors import BenchError, DataError, SuiteError
from bench.lab import Setup
from bench.models import make
from bench.models.keys import place
from bench.models.spec import Architecture
from bench.scenarios import backdoor
from bench.scenarios.unlearn.keys import check_shares
from bench.scenarios.unlearn.scenario import Unlearn
from bench.schema.recipe import Recipe
from bench.suite import suite as suites

DATA = DataSpec(name="digits", train=400, validation=100)
PAIRS = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
KEYS = {
    "class": {"request": "class", "forget_class": 4},
    "random": {"request": "random", "share": 0.2},
    "subclass": {"request": "subclass", "forget_class": 3, "coarse": PAIRS},
    "poison": {"request": "poison", "share": 0.2, "target": 6},
    "partial": {"request": "poison", "share": 0.2, "target": 6, "known": 0.5, "trigger": "square"},
}


def settings(name, **more):
    return Unlearn.model_validate({"model": "small"} | KEYS[name] | more)


EVERY = pytest.mark.parametrize("name", KEYS)
POISONS = pytest.mark.parametrize("name", ["poison", "partial"])


@pytest.fixture(scope="module")
def dataset():
    return load(DATA)


@pytest.fixture
def setup(dataset):
    models = {"small": Architecture(arch="mlp", options={"width": 16, "depth": 1})}
    return Setup(DATA, dataset.fingerprint, 10, models, Recipe(epochs=1), seed=3)


def chosen(rows, dataset):
    return set(select(rows, dataset.train.labels).tolist())


# --- keys ---


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("class", {"share": 0.1}, r"request 'class' takes forget_class, and no share \["),
        ("class", {"coarse": PAIRS}, "and no coarse"),
        ("random", {"target": 1}, "request 'random' takes share, and no target"),
        ("random", {"trigger": "blend"}, "and no trigger"),
        ("random", {"known": 0.5}, "and no known"),
        ("random", {"share": None}, "takes share, share is missing"),
        ("subclass", {"share": 0.1}, "takes forget_class and coarse, and no share"),
        ("subclass", {"coarse": None}, "takes forget_class and coarse, coarse is missing"),
        ("subclass", {"forget_class": None}, "forget_class is missing"),
        ("subclass", {"coarse": [[0, 1], [1, 2, 3]]}, "coarse names class 1 twice"),
        ("subclass", {"coarse": [[0, 3], []]}, "two lists or more, none of them empty"),
        ("subclass", {"coarse": [list(range(10))]}, "two lists or more"),
        ("subclass", {"coarse": [[0, 1, 2], [3]]}, "alone in its list of coarse: forgetting it is request 'class'"),
        ("subclass", {"coarse": [[0, 1], [2, -3]]}, "greater than or equal to 0"),
        ("poison", {"forget_class": 1}, "takes share and target, and no forget_class"),
        ("poison", {"share": None}, "share is missing"),
        ("poison", {"target": None}, "target is missing"),
        ("poison", {"trigger": "gird"}, "'grid', 'square' or 'blend'"),
        ("poison", {"known": 0.0}, "greater than 0"),
        ("poison", {"shadows": 4}, "request 'poison' takes no shadows"),
    ],
)
def test_keys_that_do_not_belong_together_are_refused(name, more, says):
    with pytest.raises(ValidationError, match=says):
        settings(name, **more)


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("class", {"forget_class": 10}, "forget_class = 10: the data set has 10 classes, from 0"),
        ("subclass", {"forget_class": 12}, "forget_class = 12"),
        ("subclass", {"coarse": PAIRS[:4]}, "coarse: class 8 is in no list; its lists part the classes 0 to 9"),
        ("subclass", {"coarse": [*PAIRS, [10]]}, "class 10 is in a list and not in the data set"),
        ("poison", {"target": 10}, "target = 10: the data set has 10 classes"),
        (
            "random",
            {"share": 0.01},
            r"of a class of 40 rows, none would be forgotten; a share above 0\.0125 ",
        ),
    ],
)
def test_what_the_data_set_does_not_have_is_refused(name, more, says, setup):
    with pytest.raises(SuiteError, match=says):
        settings(name, **more).zoo(setup)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("request = 'subclass'\nforget_clas = 3", r"forget_clas.*forget_class"),
        ("request = 'poison'\nshare = 0.1\ntarget = 1\nforget_class = 2", r"scenarios\.u.*and no forget_class"),
    ],
)
def test_a_suite_tells_where(tmp_path, wrong, says):
    path = tmp_path / "s.toml"
    path.write_text(
        "title = 't'\nseeds = [0]\n[data]\nname = 'digits'\n[models.m]\narch = 'mlp'\n"
        f"[scenarios.u]\nkind = 'unlearn'\nmodel = 'm'\nmethods = []\n{wrong}\n[profiles.cpu]\n"
    )
    with pytest.raises(SuiteError, match=says):
        suites.load(path, "cpu")


def test_a_hundredth_takes_a_row_of_every_class(setup, dataset):
    labels = dataset.train.labels.repeat(2)  # 80 of each
    request = settings("random", share=0.01).asked(setup)
    assert torch.bincount(labels[select(request.forget, labels)]).tolist() == [1] * 10


def test_a_class_that_would_give_no_row_is_told(setup, dataset):
    """Classes of unequal size pass the check that knows their mean only."""
    labels = torch.cat([dataset.train.labels[dataset.train.labels != 7], torch.tensor([7] * 5)])
    asked = settings("random", share=0.05)
    request = asked.asked(setup)
    with pytest.raises(BenchError, match=r"of class 7, which has 5 rows, none would be forgotten; a share above 0\.1 "):
        check_shares(asked, request, select(request.forget, labels), labels)


# --- rows ---


@EVERY
@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_rows_never_overlap_and_none_is_lost(name, fraction, setup, dataset):
    request = settings(name, fraction=fraction).asked(setup)
    every, forget, retain, clean = (
        chosen(rows, dataset) for rows in (request.all, request.forget, request.retain, request.clean)
    )
    assert forget | retain == every
    assert not forget & retain
    assert clean <= retain
    assert retain - clean == chosen(request.pool, dataset) - forget  # of a poison: what is not named
    assert len(every) == pytest.approx(400 * fraction, abs=10)


@EVERY
def test_each_seed_draws_its_own_rows_and_a_class_is_a_class(name, setup, dataset):
    first, other = (settings(name).asked(dataclasses.replace(setup, seed=seed)) for seed in (3, 4))
    assert (chosen(first.forget, dataset) == chosen(other.forget, dataset)) == (name in ("class", "subclass"))


@EVERY
def test_judges_see_no_forgotten_row(name, setup, dataset):
    """By construction: out of the data that each model is trained on, image by image, as the zoo trains it."""
    asked = settings(name)
    specs, request = asked.zoo(setup), asked.asked(setup)
    given = request.as_given(dataset.train)
    forgotten = {given.inputs[i].numpy().tobytes() for i in select(request.pool, dataset.train.labels).tolist()}
    seen = {}
    for role, spec in specs.items():
        split = make.training_rows(spec, asked.training_data(spec, dataset))
        seen[role] = {image.numpy().tobytes() for image in split.inputs}
        assert int(split.labels.max()) < spec.num_classes == request.num_classes(setup)
    assert list(seen) == ["original", "judge-0", "judge-1"]
    assert forgotten <= seen["original"]
    assert not forgotten & (seen["judge-0"] | seen["judge-1"])
    assert len({place(spec) for spec in specs.values()}) == 3


def test_models_of_a_subclass_request_know_coarse_classes(setup, dataset):
    asked = settings("subclass", coarse=[[5, 0], [4, 3, 1], [2, 9, 8, 7, 6]])
    for spec in asked.zoo(setup).values():
        assert spec.num_classes == 3
        assert spec.relabel == (0, 1, 2, 1, 1, 0, 2, 2, 2, 2)
        assert spec.fingerprint == dataset.fingerprint
    assert asked.asked(setup).forget_class is None  # no class of the head is to go
    assert settings("class").asked(setup).forget_class == 4


def test_shadows_of_a_subclass_request_halve_the_fine_class(setup, dataset):
    asked = settings("subclass", shadows=4)
    request = asked.asked(setup)
    assert set(dataset.train.labels[select(request.pool, dataset.train.labels)].tolist()) == {3}
    held, forget = chosen(request.held, dataset), chosen(request.forget, dataset)
    assert held | forget == chosen(request.pool, dataset)
    assert not held & (forget | chosen(request.all, dataset))
    assert {spec.num_classes for spec in asked.zoo(setup).values()} == {5}


# --- poison ---


@POISONS
def test_poisoned_rows_are_stamped_and_relabelled_and_no_others(name, setup, dataset):
    asked, clean = settings(name), dataset.train
    request = asked.asked(setup)
    rows = select(request.pool, clean.labels)
    given = request.as_given(clean)
    assert torch.equal(given.inputs[rows], backdoor.stamp(clean.inputs[rows], asked.trigger))
    assert (given.labels[rows] == 6).all()
    assert 6 not in clean.labels[rows]
    counts = torch.bincount(clean.labels[rows], minlength=10)
    there = torch.bincount(clean.labels, minlength=10)
    assert all(counts[c] == round(0.2 * int(there[c])) for c in range(10) if c != 6)
    others = torch.ones(len(clean), dtype=torch.bool)
    others[rows] = False
    assert torch.equal(given.inputs[others], clean.inputs[others])
    assert torch.equal(given.labels[others], clean.labels[others])


def test_half_of_the_poison_may_be_unknown(setup, dataset):
    request = settings("partial").asked(setup)
    named, poisoned = chosen(request.forget, dataset), chosen(request.pool, dataset)
    assert named < poisoned
    assert len(named) == pytest.approx(len(poisoned) / 2, abs=5)
    assert chosen(request.retain, dataset) & poisoned == poisoned - named
    assert not chosen(request.clean, dataset) & poisoned


@POISONS
@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_the_original_sees_all_known_rows_as_they_are_given(name, fraction, setup, dataset):
    """Rows are drawn by the clean labels: drawn by the poisoned ones they would be others."""
    asked = settings(name, fraction=fraction)
    request, spec = asked.asked(setup), asked.zoo(setup)["original"]
    split = make.training_rows(spec, asked.training_data(spec, dataset))
    known = select(request.known, dataset.train.labels)
    given = request.as_given(dataset.train)
    assert torch.equal(split.inputs, given.inputs[known])
    assert torch.equal(split.labels, given.labels[known])


def test_the_fingerprint_tells_poisons_apart(setup, dataset):
    kinds = [
        settings("poison"),
        settings("poison", share=0.3),
        settings("poison", target=5),
        settings("poison", trigger="blend"),
        settings("poison", fraction=0.5),
    ]
    prints = [asked.zoo(setup)["original"].fingerprint for asked in kinds]
    prints.append(settings("poison").zoo(dataclasses.replace(setup, seed=4))["original"].fingerprint)
    assert len({*prints, dataset.fingerprint}) == 7
    # What is named of it does not change what was trained on.
    assert settings("poison", known=0.5).zoo(setup)["original"] == settings("poison").zoo(setup)["original"]


@POISONS
def test_judges_are_trained_on_the_clean_data(name, setup, dataset):
    asked = settings(name)
    for role, spec in asked.zoo(setup).items():
        data = asked.training_data(spec, dataset)
        assert data.fingerprint == spec.fingerprint
        assert (data is dataset) == role.startswith("judge-")


def test_texts_take_no_trigger(setup):
    texts = Split(torch.ones(40, 12, dtype=torch.int64), torch.arange(40) % 10)
    with pytest.raises(DataError, match="on images; these data are texts"):
        settings("poison").asked(setup).as_given(texts)


def test_existing_requests_name_the_rows_that_they_always_named(setup):
    """Committed boards stand on these; a change would train all their models anew."""
    rows = settings("random").asked(setup)
    assert rows.forget == Rows(kind="random", share=0.2, seed=3, of=Rows())
    assert rows.retain == rows.clean == Rows(kind="without", of=Rows(), minus=rows.forget)
    one = settings("class", fraction=0.4).asked(setup)
    assert one.all == Rows(kind="random", share=0.4, seed=3)
    assert one.forget == Rows(kind="classes", classes=(4,), of=one.all)
