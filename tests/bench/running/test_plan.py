"""Keys name everything that can change a number, and nothing else."""

from dataclasses import replace

import pytest

from bench.cli.explain import explain
from bench.data import identify
from bench.data.spec import DataSpec
from bench.draws import seed_of
from bench.errors import DataError, SuiteError
from bench.records.store import Store
from bench.running import plan as planning
from bench.running.plan import plan
from bench.running.progress import stand_in_lines
from bench.running.runner import store_of
from bench.suite import suite as suites

pytestmark = pytest.mark.usefixtures("toy")


def keys(path, **more):
    return {cell.name: cell.key for cell in plan(suites.load(path, "smoke"), **more).cells}


def test_a_cell_for_every_row_and_seed(write_suite):
    names = list(keys(write_suite()))
    assert names == [
        f"hand/{row}/{seed}" for seed in (0, 1) for row in ("toy-constant", "toy-noisy-mean", "toy-nearest-mean")
    ]


def test_the_same_suite_has_the_same_keys(write_suite):
    assert keys(write_suite()) == keys(write_suite())


def test_another_method_or_seed_or_claim_leaves_keys_alone(write_suite):
    before = keys(write_suite())
    more = keys(write_suite(methods=["toy-skips", "toy-noisy-mean"]))
    assert before.items() <= more.items()
    path = write_suite()
    path.write_text(
        path.read_text().replace("seeds = [0, 1]", "seeds = [2, 1]").replace("A mean beats", "A mean wins over")
    )
    assert keys(path)["hand/toy-constant/1"] == before["hand/toy-constant/1"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('kind = "toy"', 'kind = "toy"\nrows = 100'),
        ('name = "digits"', 'name = "digits"\ntrain = 500'),
        ("[data]", "[recipe]\nepochs = 3\n[data]"),
        ('["toy-noisy-mean"]', '["toy-noisy-mean", { method = "toy-nearest-mean", shrink = 0.5 }]'),
    ],
)
def test_what_can_change_a_number_changes_its_key(write_suite, old, new):
    before = keys(write_suite())
    path = write_suite()
    path.write_text(path.read_text().replace(old, new))
    assert before["hand/toy-nearest-mean/0"] != keys(path)["hand/toy-nearest-mean/0"]


def test_a_limit_or_a_title_does_not(write_suite):
    before = keys(write_suite())
    path = write_suite()
    path.write_text(path.read_text().replace('title = "Toy"', 'title = "Other"\nmax_seconds = 7'))
    assert keys(path) == before


def test_only_and_seeds_choose_cells(write_suite):
    path = write_suite()
    assert list(keys(path, only="constant", seeds=(4,))) == ["hand/toy-constant/4"]
    assert list(keys(path, only="*/toy-n*/1")) == ["hand/toy-noisy-mean/1", "hand/toy-nearest-mean/1"]
    with pytest.raises(SuiteError, match="--only 'nothing' matches no cell"):
        keys(path, only="nothing")


def test_draws_depend_on_scenario_method_and_seed_alone(write_suite):
    cells = plan(suites.load(write_suite(), "smoke")).cells
    assert {c.name: c.draws for c in cells}["hand/toy-constant/0"] == seed_of("method", "hand", "toy-constant", 0)
    assert len({c.draws for c in cells}) == len(cells)


MORE_DATA = """
[datasets.far]
name = "cifar10"
offline = "digits"
[scenarios.eyes]
kind = "toy"
data = "far"
[scenarios.ears]
kind = "toy"
data = "far"
"""


@pytest.fixture
def far(monkeypatch):
    """CIFAR-10 stands for digits of 400 rows, whether it is `reach`-able or not; the data sets asked for."""
    asked = []

    def pretend(spec: DataSpec):
        asked.append(spec.name)
        if spec.name == "digits":
            return identify(spec)
        return replace(identify(DataSpec(name="digits", train=400)), stand_in_for=spec.name)

    monkeypatch.setattr(planning, "identify", pretend)
    return asked


def test_each_cell_stands_on_the_data_of_its_scenario(write_suite, far):
    planned = plan(suites.load(write_suite(more=MORE_DATA), "smoke"))
    assert {c.scenario.name: c.setup.data.train for c in planned.cells} == {"hand": None, "eyes": 400, "ears": 400}
    assert list(planned.data().values()) == [("hand",), ("eyes", "ears")]
    assert planned.cells[0].data_identity["name"] == "digits"
    assert far == ["digits", "cifar10"]  # once each


def test_further_data_sets_leave_the_keys_of_other_scenarios_alone(write_suite, far):
    before = keys(write_suite())
    assert before.items() < keys(write_suite(more=MORE_DATA)).items()


def test_a_stand_in_of_one_scenario_sets_the_whole_run_apart_and_is_told(write_suite, far, tmp_path):
    loaded = suites.load(write_suite(more=MORE_DATA), "smoke")
    everything, hand, eyes = plan(loaded), plan(loaded, only="hand/"), plan(loaded, only="eyes/")
    assert [store_of(p, tmp_path).path.parent.name for p in (everything, hand, eyes)] == [
        "toysuite@digits",
        "toysuite",
        "toysuite@digits",
    ]
    [line] = stand_in_lines(everything)
    assert line.startswith("STAND-IN DATA: cifar10 is not on disk and cannot be downloaded; eyes, ears will use digits")
    assert stand_in_lines(hand) == []
    assert "cannot be downloaded; this run uses digits" in stand_in_lines(eyes)[0]


def test_stand_ins_are_named_once_each_and_in_order(write_suite, far, tmp_path):
    cells = plan(suites.load(write_suite(more=MORE_DATA), "smoke")).cells
    shapes = replace(cells[-1].data, spec=DataSpec(name="shapes32"))
    mixed = replace(
        plan(suites.load(write_suite(more=MORE_DATA), "smoke")), cells=(replace(cells[-1], data=shapes), *cells)
    )
    assert store_of(mixed, tmp_path).path.parent.name == "toysuite@digits+shapes32"


def test_a_data_set_that_no_chosen_cell_needs_may_be_out_of_reach(write_suite, monkeypatch):
    def unreachable(spec: DataSpec):
        if spec.name == "cifar10":
            raise DataError("cifar10 is nowhere")
        return identify(spec)

    monkeypatch.setattr(planning, "identify", unreachable)
    loaded = suites.load(write_suite(more=MORE_DATA), "smoke")
    assert {c.scenario.name for c in plan(loaded, only="hand/").cells} == {"hand"}
    assert {c.scenario.name for c in plan(loaded).cells} == {"hand"}
    assert plan(loaded).faults == dict.fromkeys(("eyes", "ears"), "[datasets.far] cifar10 is nowhere")
    with pytest.raises(DataError, match=r"\[datasets.far\] cifar10 is nowhere"):
        plan(loaded, only="e*")


def test_explain_finds_the_record_of_a_run_without_the_stand_in(write_suite, far, tmp_path, monkeypatch):
    planned = plan(suites.load(write_suite(more=MORE_DATA), "smoke"))
    read = []
    monkeypatch.setattr(Store, "read", lambda self: read.append(self.path.parent.name) or [])
    assert any("never run" in line for line in explain(planned, "hand/toy-constant/0", tmp_path))
    assert read == ["toysuite@digits", "toysuite"]


def test_marking_a_control_leaves_keys_alone(write_suite):
    before = keys(write_suite())
    path = write_suite()
    path.write_text(path.read_text().replace('["toy-noisy-mean"]', '[{ method = "toy-noisy-mean", control = true }]'))
    assert keys(path) == before
