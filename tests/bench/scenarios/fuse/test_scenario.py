"""The fuse scenario: which networks it names, who owns which rows, what a task holds, how a result is judged."""

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from bench.data import identify, load, select
from bench.data.spec import DataSpec
from bench.device import Device
from bench.errors import AccessDenied, BadResult, SuiteError
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.scenarios.fuse.scenario import Fuse, FuseTask
from bench.scenarios.judging import logits
from bench.schema.recipe import Recipe
from bench.task.task import grant

DATA = DataSpec(name="digits", train=300, test=100)
MODELS = {
    "mlp": Architecture(arch="mlp", options={"width": 8, "depth": 1}),
    "net": Architecture(arch="mlp", options={"width": 8, "depth": 1, "norm": "batch"}),
}
RECIPE = Recipe(epochs=2, batch_size=50, optimizer="adamw", peak_lr=0.02, augment="none")


def make_bench(seed: int = 0) -> Setup:
    identity = identify(DATA)
    return Setup(identity.spec, identity.fingerprint, len(identity.classes), MODELS, RECIPE, seed)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(make_bench(), load(DATA), Zoo(tmp_path_factory.mktemp("zoo"), Device()), Device())


def owned(settings: Fuse, lab: Lab) -> list[set[int]]:
    specs = settings.zoo(lab.setup)
    labels = lab.dataset.train.labels
    return [set(select(spec.rows, labels).tolist()) for role, spec in specs.items() if role.startswith("parent")]


@pytest.mark.parametrize(
    "settings",
    [
        {"split": "disjoint"},
        {"split": "disjoint", "parents": 3},
        {"split": "dirichlet", "alpha": 0.3},
        {"split": "personal", "share": 0.2, "personal_class": 3},
    ],
)
@pytest.mark.parametrize("start", ["own-init", "shared-base"])
def test_owners_share_no_row_and_leave_none(lab, settings, start):
    fuse = Fuse(model="mlp", start=start, **settings)
    rows = owned(fuse, lab)
    assert sum(map(len, rows)) == len(set.union(*rows))
    base = set()
    if start == "shared-base":
        base = set(select(fuse.zoo(lab.setup)["init"].rows, lab.dataset.train.labels).tolist())
        assert 0 < len(base) < 100
    assert not base & set.union(*rows)
    assert base | set.union(*rows) == set(range(300))


def test_iid_owners_all_have_everything(lab):
    assert owned(Fuse(model="mlp", parents=3), lab) == [set(range(300))] * 3


def test_starts_differ_in_initialisation_only(lab):
    own, shared = Fuse(model="mlp").zoo(lab.setup), Fuse(model="mlp", start="shared-init").zoo(lab.setup)
    assert own["parent-0"] == shared["parent-0"]  # trained once for both scenarios
    assert own["parent-1"].init_role is None
    assert shared["parent-1"].init_role == "parent-0"
    based = Fuse(model="mlp", start="shared-base", fine_tune=Recipe(epochs=1)).zoo(lab.setup)
    assert based["parent-0"].init == based["parent-1"].init == based["init"]
    assert based["parent-0"].recipe == Recipe(epochs=1)
    assert based["init"].recipe == RECIPE


def test_the_base_is_that_of_a_merge_scenario(lab):
    from bench.scenarios.merge.scenario import Merge

    base = Merge(base="mlp", parts=2, base_share=0.2).zoo(lab.setup)["init"]
    assert Fuse(model="mlp", start="shared-base", base_share=0.2).zoo(lab.setup)["init"] == base


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "personal", "parents": 3}, "for two parents, not 3"),
        ({"alpha": 0.1}, "alpha is for split = 'dirichlet' only; it is 'iid'"),
        ({"split": "disjoint", "share": 0.1}, "share is for split = 'personal' only"),
        ({"base_share": 0.1, "start": "shared-init"}, "base_share is for start = 'shared-base' only"),
        ({"fine_tune": Recipe()}, "fine_tune is for start = 'shared-base' only"),
        ({"parents": 1}, "greater than or equal to 2"),
        ({"split": "random"}, "'iid', 'disjoint', 'dirichlet' or 'personal'"),
    ],
)
def test_settings_that_contradict_or_change_nothing_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Fuse(model="mlp", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "disjoint", "parents": 11}, "10 classes cannot be dealt out to 11 parents"),
        ({"split": "personal", "personal_class": 10}, "personal_class = 10; there are classes 0 to 9"),
        ({"model": "mpl"}, "unknown model 'mpl'; did you mean 'mlp'"),
    ],
)
def test_what_does_not_fit_the_suite_is_refused(lab, settings, message):
    with pytest.raises(SuiteError, match=message):
        Fuse(**{"model": "mlp", **settings}).zoo(lab.setup)


def task_of(fuse: Fuse, lab: Lab, *access: str) -> FuseTask:
    return grant(FuseTask, fuse.prepare(lab).providers, access, "test")


def test_a_task_holds_what_was_declared_and_nothing_else(lab):
    fuse = Fuse(model="net", split="disjoint", unlabeled=40, sample=20)
    task = task_of(fuse, lab, "weights")
    assert [p.training for p in task.parents] == [False, False]
    assert task.class_counts.tolist() == [[30] * 5 + [0] * 5, [0] * 5 + [30] * 5]
    for attribute in ("grams", "fishers", "unlabeled", "inputs", "labels"):
        with pytest.raises(AccessDenied, match=f"'test' touched task.{attribute} without access"):
            getattr(task, attribute)
    full = task_of(fuse, lab, "grams", "fisher", "unlabeled", "labels")
    assert full.unlabeled.shape == (40, 1, 8, 8)
    assert len(full.inputs) == len(full.labels) == 300
    names = {name for name, _ in task.parents[0].named_parameters()}
    assert [set(f) for f in full.fishers] == [names, names]
    assert [set(g) for g in full.grams] == [{"hidden.0", "head"}] * 2


def test_an_owners_statistics_come_from_its_own_rows_alone(lab):
    """Changing the other owner's images changes nothing but the other's Gram matrices."""
    import dataclasses

    fuse = Fuse(model="mlp", split="disjoint", sample=20)
    train = lab.dataset.train
    tampered = train.inputs.clone()
    tampered[train.labels >= 5] = 255 - tampered[train.labels >= 5]
    dataset = dataclasses.replace(lab.dataset, train=dataclasses.replace(train, inputs=tampered))
    before = task_of(fuse, lab, "grams").grams
    after = task_of(fuse, dataclasses.replace(lab, dataset=dataset), "grams").grams
    assert torch.equal(before[0]["hidden.0"], after[0]["hidden.0"])
    assert not torch.equal(before[1]["hidden.0"], after[1]["hidden.0"])


def test_union_of_iid_owners_counts_each_image_once(lab):
    assert len(task_of(Fuse(model="mlp"), lab, "labels").inputs) == 300


def test_the_student_is_untrained_or_the_base_and_has_the_parents_recipe(lab):
    task = task_of(Fuse(model="mlp"), lab)
    assert task.recipe == RECIPE
    assert torch.equal(task.student.hidden[0].bias, torch.zeros(8))
    fuse = Fuse(model="mlp", start="shared-base", fine_tune=Recipe(epochs=1, peak_lr=0.001))
    task = task_of(fuse, lab)
    base = lab.model(fuse.zoo(lab.setup)["init"])
    assert task.recipe == fuse.fine_tune
    assert all(torch.equal(tensor, base.state_dict()[name]) for name, tensor in task.student.state_dict().items())


def test_two_tasks_of_one_seed_are_equal_and_share_nothing(lab):
    situation = Fuse(model="net", unlabeled=30).prepare(lab)
    first, second = (grant(FuseTask, situation.providers, {"weights", "unlabeled"}, "test") for _ in range(2))
    assert torch.equal(first.unlabeled, second.unlabeled)
    with torch.no_grad():
        first.parents[0].head.weight.zero_()
        first.unlabeled.zero_()
        first.class_counts.zero_()
    assert second.parents[0].head.weight.abs().sum() > 0
    assert situation.judge["parents"][0].head.weight.abs().sum() > 0
    assert situation.judge["unlabeled"].any()
    assert situation.judge["counts"].any()


def test_score_of_a_parent(lab):
    fuse = Fuse(model="mlp", split="disjoint")
    situation = fuse.prepare(lab)
    parent = copy.deepcopy(situation.judge["parents"][0])
    score = fuse.score(situation, parent, lab)
    test = lab.dataset.test
    right = logits(parent, test.inputs, 10).argmax(1) == test.labels
    assert score.metrics["accuracy"] == score.correct["test"].mean() == right.double().mean()
    assert score.metrics["agreement_parent_0"] == 1.0
    assert score.metrics["agreement_parent_1"] < 0.7
    assert score.metrics["agreement"] == (1.0 + score.metrics["agreement_parent_1"]) / 2
    assert score.metrics["accuracy_owner_0"] == right[test.labels < 5].double().mean()
    assert score.metrics["accuracy_owner_1"] == right[test.labels >= 5].double().mean()
    assert score.metrics["parameters"] == 65 * 8 + 9 * 10


@pytest.mark.parametrize("on", [True, False])
def test_running_statistics_are_estimated_anew_for_every_network_or_for_none(lab, on):
    fuse = Fuse(model="net", recalibrate=on)
    situation = fuse.prepare(lab)
    spoilt = copy.deepcopy(situation.judge["parents"][0])
    spoilt.norms[0].running_mean.fill_(50.0)
    before = spoilt.norms[0].running_mean.clone()
    accuracy = fuse.score(situation, spoilt, lab).metrics["accuracy"]
    assert (accuracy > 0.5) == on
    whole = copy.deepcopy(situation.judge["parents"][0])
    assert fuse.score(situation, whole, lab).metrics["agreement_parent_0"] == 1.0
    assert torch.equal(spoilt.norms[0].running_mean, before)


def test_a_predictor_may_be_returned_and_nonsense_is_refused(lab):
    fuse = Fuse(model="mlp")
    situation = fuse.prepare(lab)
    parent = situation.judge["parents"][0]
    score = fuse.score(situation, lambda x: parent(x), lab)
    assert score.metrics["agreement_parent_0"] == 1.0
    assert "parameters" not in score.metrics
    with pytest.raises(BadResult, match="a model or predictor was expected, got NoneType"):
        fuse.score(situation, None, lab)
    with pytest.raises(BadResult, match=r"logits of shape \(100, 10\)"):
        fuse.score(situation, nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), lab)
