"""Suites: every fault is told with file, table and key, and what would be right."""

import pytest

from bench import suite as suites
from bench.checking import check
from bench.errors import SuiteError

pytestmark = pytest.mark.usefixtures("toy")


def test_references_come_first_and_the_upper_last(write_suite):
    loaded = suites.load(write_suite(), "smoke")
    rows = [row.label for row in loaded.scenarios["hand"].rows]
    assert rows == ["toy-constant", "toy-noisy-mean", "toy-nearest-mean"]
    assert loaded.seeds == (0, 1)
    assert loaded.scenarios["hand"].settings.rows == 200


def test_parameters_are_resolved_with_their_defaults(write_suite):
    path = write_suite(text=TEXT.replace("METHODS", "[{ method = 'toy-nearest-mean', label = 'half', shrink = 0.5 }]"))
    rows = {row.label: row for row in suites.load(path, "smoke").scenarios["hand"].rows}
    assert rows["half"].params == {"shrink": 0.5}
    assert rows["toy-nearest-mean"].params == {"shrink": 0.0}


def test_a_profile_overrides_key_by_key_and_extends_another(write_suite):
    more = """
[profiles.cpu]
extends = "smoke"
seeds = [5]
scenarios.hand.rows = 300
[profiles.gpu]
extends = "cpu"
precision = "bf16"
"""
    gpu = suites.load(write_suite(more=more), "gpu")
    assert (gpu.seeds, gpu.precision, gpu.scenarios["hand"].settings.rows) == ((5,), "bf16", 300)
    assert suites.load(write_suite(more=more), "smoke").scenarios["hand"].settings.rows == 200


MORE_DATA = """
[datasets.small]
name = "digits"
train = 300
[scenarios.eyes]
kind = "toy"
data = "small"
[profiles.cpu.datasets.small]
train = 500
[profiles.gpu.scenarios.eyes]
data = "large"
"""


def test_a_scenario_chooses_its_data_set_and_a_profile_overrides_it(write_suite):
    path = write_suite(more=MORE_DATA)
    smoke, cpu = suites.load(path, "smoke"), suites.load(path, "cpu")
    assert smoke.data_of(smoke.scenarios["hand"]) == smoke.data
    assert smoke.data_of(smoke.scenarios["eyes"]).train == 300
    assert cpu.data_of(cpu.scenarios["eyes"]).train == 500
    with pytest.raises(SuiteError, match=r"\[scenarios.eyes\] data = 'large' is no \[datasets.NAME\] .* small"):
        suites.load(path, "gpu")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'data = "small"',
            'data = "smal"',
            r"data = 'smal' is no \[datasets.NAME\] of the suite; did you mean 'small'",
        ),
        ('data = "small"', "data = 3", r"\[scenarios.eyes\] data = 3 is no \[datasets.NAME\]"),
        ("train = 300", "trian = 300", r"\[datasets.small\] unknown key 'trian'; did you mean 'train'"),
        ('[datasets.small]\nname = "digits"', "[datasets.small]", r"\[datasets.small\] key 'name' is missing"),
        ("[datasets.small]", "[dataset.small]", r"unknown key 'dataset'; did you mean 'datasets'"),
    ],
)
def test_a_fault_of_a_further_data_set_is_told(write_suite, old, new, told):
    path = write_suite(more=MORE_DATA)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(SuiteError, match=told):
        suites.load(path, "smoke")


def test_check_knows_the_data_sets_that_there_are(write_suite):
    path = write_suite(more=MORE_DATA.replace('name = "digits"', 'name = "digitz"').replace('"large"', '"small"'))
    with pytest.raises(SuiteError, match=r"\[datasets.small\] unknown data set 'digitz'; did you mean 'digits'"):
        check(path)


def test_profiles_are_named_and_there_must_be_one(write_suite):
    assert suites.profiles(write_suite(more=MORE_DATA)) == ("smoke", "cpu", "gpu")
    with pytest.raises(SuiteError, match=r"toysuite.toml: no \[profiles.NAME\] table"):
        suites.profiles(write_suite(text=TEXT.replace("METHODS", "[]").replace("[profiles.smoke]", "")))


TEXT = """
title = "Toy"
[data]
name = "digits"
[scenarios.hand]
kind = "toy"
methods = METHODS
[profiles.smoke]
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seeds =", "seedz =", r"toysuite\.toml \(profile smoke\): unknown key 'seedz'; did you mean 'seeds'"),
        ('kind = "toy"', 'kind = "tay"', r"\[scenarios\.hand\] unknown scenario kind 'tay'; did you mean 'toy'"),
        ('kind = "toy"', "", r"\[scenarios\.hand\] needs a kind; there are .*toy"),
        ('kind = "toy"', 'kind = "toy"\nrowz = 3', r"\[scenarios\.hand\] unknown key 'rowz'; did you mean 'rows'"),
        ('kind = "toy"', 'kind = "toy"\nmethodz = 3', r"unknown key 'methodz'; did you mean 'methods'"),
        ('kind = "toy"', 'kind = "toy"\nrows = -1', r"\[scenarios\.hand\] rows: .*greater than or equal to 1.*got -1"),
        ('kind = "toy"', 'kind = "toy"\nrows = "all"', r"rows: .*valid integer.*got 'all'"),
        ('kind = "toy"', 'kind = "toy"\nmax_seconds = 0', r"max_seconds must be a positive number, got 0"),
        ('["toy-noisy-mean"]', '["toy-noisy-men"]', r"unknown method 'toy-noisy-men'; did you mean 'toy-noisy-mean'"),
        ('["toy-noisy-mean"]', '["kd"]', r"method 'kd' solves .*, not toy"),
        ('["toy-noisy-mean"]', '["toy-skips", "toy-skips"]', r"two rows are named 'toy-skips'"),
        ('["toy-noisy-mean"]', "[3]", r"a row is a method's name or a table with `method`, got 3"),
        ('["toy-noisy-mean"]', "3", r"methods must be a list"),
        (
            '["toy-noisy-mean"]',
            '[{ method = "toy-nearest-mean", label = "x", shrinc = 0.1 }]',
            r"\[scenarios\.hand\.methods\.toy-nearest-mean\] unknown key 'shrinc'; did you mean 'shrink'",
        ),
        (
            '["toy-noisy-mean"]',
            '[{ method = "toy-nearest-mean", label = "x", shrink = 1.5 }]',
            r"shrink: .*less than or equal to 1.*got 1\.5",
        ),
        ("seeds = [0, 1]", "seeds = [0, 0]", r"seeds must be one or more different numbers"),
        ("seeds = [0, 1]", "seeds = []", r"seeds must be one or more different numbers"),
        ('name = "digits"', 'name = "digits"\ntrain = -5', r"\[data\] train: .*greater than or equal to 1"),
        ("[data]\nname", "[dada]\nname", r"unknown key 'dada'; did you mean 'data'"),
        (
            'better = "toy-nearest-mean"',
            'better = "toy-nearest"',
            r"claim 'means' names row 'toy-nearest' of hand; did you",
        ),
        ('scenario = "hand"', 'scenario = "hands"', r"claim 'means' names scenario 'hands'; did you mean 'hand'"),
        ('says = "A', 'sayz = "A', r"\[claims #1\] unknown key 'sayz'; did you mean 'says'"),
        ("[profiles.smoke]", "[profiles.smok]", r"no profile 'smoke'; did you mean 'smok'"),
        ("[profiles.smoke]", '[profiles.smoke]\nextends = "cpu"', r"extends = 'cpu'"),
        (
            "[profiles.smoke]",
            '[profiles.smoke]\nextends = "cpu"\n[profiles.cpu]\nextends = "smoke"',
            r"\[profiles\] extends runs in a cycle: smoke -> cpu -> smoke",
        ),
        (
            "[profiles.smoke]",
            '[models.a]\narch = "mlp"\ninit = "b"\n[models.b]\narch = "mlp"\ninit = "a"\n[profiles.smoke]',
            r"\[models\] init runs in a cycle: a -> b -> a",
        ),
        ("[data]", "[data]\n[data]", r"not valid TOML"),
    ],
)
def test_a_fault_is_told(write_suite, old, new, told):
    path = write_suite()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SuiteError, match=told):
        suites.load(path, "smoke")


def test_all_faults_of_a_table_are_told_at_once(write_suite):
    path = write_suite()
    path.write_text(path.read_text().replace('name = "digits"', 'nam = "digits"\ntrain = 0'))
    with pytest.raises(SuiteError, match=r"unknown key 'nam'[^\0]*") as told:
        suites.load(path, "smoke")
    assert "'name' is missing" in str(told.value)
    assert "train:" in str(told.value)


def test_a_missing_suite_suggests_the_near_one():
    with pytest.raises(SuiteError, match="did you mean 'digits'"):
        suites.find("digit")
    with pytest.raises(SuiteError, match=r"nowhere\.toml: no such suite file"):
        suites.find("nowhere.toml")


def test_shipped_suites_are_found_by_name():
    assert suites.find("digits").name == "digits.toml"
