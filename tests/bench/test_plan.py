"""Keys name everything that can change a number, and nothing else."""

import pytest

from bench import suite as suites
from bench.errors import SuiteError
from bench.lab import seed_of
from bench.plan import plan

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
