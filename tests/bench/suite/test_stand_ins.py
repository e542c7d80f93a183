"""A machine without data and network runs every shipped suite on stand-ins; a fault of one scenario stays in it."""

import re

import pytest

from bench.cli.main import cli
from bench.cli.zoo import prune
from bench.data import identity, remote
from bench.data.catalogue import SOURCES
from bench.data.images import shapes
from bench.errors import DataError, SuiteError, ZooError
from bench.running import runner
from bench.running.plan import plan
from bench.running.progress import stand_in_lines
from bench.suite import checking
from bench.suite import suite as suites
from bench.suite.stand_ins import on_stand_in

PROFILES = [(name, profile) for name, path in suites.shipped().items() for profile in suites.profiles(path)]
SUITE = """
title = "Offline"
seeds = [0]
[data]
name = "cifar10"
offline = "shapes32"
[models.net]
arch = "mlp"
[scenarios.free]
kind = "datafree"
teacher = "net"
student = "net"
[profiles.smoke]
"""


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No data, no network, and procedural sets that are known without being drawn."""

    def refused(*_, **__):
        raise OSError("Network is unreachable")

    known = {
        name: identity.Facts(fingerprint, True, *shapes.ROWS[name])
        for fingerprint, name in identity.KNOWN.items()
        if name in shapes.ROWS
    }
    examine = identity.examine
    monkeypatch.setattr(remote, "urlopen", refused)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "none"))
    monkeypatch.setattr(identity, "examine", lambda source, *more: known.get(source.name) or examine(source, *more))


@pytest.fixture
def suite(tmp_path):
    def write(more="", old="", new=""):
        path = tmp_path / "own.toml"
        path.write_text(SUITE.replace(old, new) + more)
        return path

    return write


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_every_shipped_suite_plans_without_data_and_network(name, profile):
    loaded = suites.load(name, profile)
    planned = plan(loaded, seeds=loaded.seeds[:1], device="cpu")
    assert planned.faults == {}
    assert len(planned.cells) == sum(len(s.rows) for s in loaded.scenarios.values())
    assert all(SOURCES[data.spec.name].bundled for data in planned.data())


@pytest.mark.parametrize("proxy", ["shapes32", "shapes40"])
def test_a_proxy_stays_from_elsewhere_where_data_stand_in_and_the_run_says_so(suite, proxy):
    planned = plan(suites.load(suite(old='student = "net"', new=f'student = "net"\nproxy = "{proxy}"'), "smoke"))
    assert {cell.asked["settings"]["proxy"] for cell in planned.cells} == {"digits"}
    assert {cell.scenario.settings.proxy for cell in planned.cells} == {"digits"}
    _, told = stand_in_lines(planned)
    assert f"[scenarios.free] proxy = '{proxy}' is not from elsewhere where shapes32 stands in" in told
    assert "proxy = 'digits'" in told


def test_a_proxy_from_elsewhere_is_left_alone(suite):
    planned = plan(suites.load(suite(old='student = "net"', new='student = "net"\nproxy = "digits"'), "smoke"))
    assert {cell.asked["settings"]["proxy"] for cell in planned.cells} == {"digits"}
    assert len(stand_in_lines(planned)) == 1


def test_a_suite_that_names_its_own_data_as_proxy_is_refused_as_ever(suite):
    path = suite(old='"cifar10"\noffline', new='"shapes32"\noffline')
    with pytest.raises(SuiteError, match="proxy = 'shapes32' is the teacher's own data"):
        plan(suites.load(path, "smoke"))


def test_a_model_of_the_name_of_a_data_set_is_no_data_set(suite):
    scenario = suites.load(suite(), "smoke").scenarios["free"]
    assert on_stand_in(scenario, "shapes32", {"shapes32"}) == scenario


MORE = """
[datasets.far]
name = "mnist"
[scenarios.far]
kind = "distill"
teacher = "net"
student = "net"
data = "far"
"""


def test_a_scenario_whose_data_cannot_be_had_fails_alone(suite, tmp_path, monkeypatch, capsys):
    path = suite(MORE)
    planned = plan(suites.load(path, "smoke"))
    assert {cell.scenario.name for cell in planned.cells} == {"free"}
    assert list(planned.faults) == ["far"]
    assert "[datasets.far] data set 'mnist' is not" in planned.faults["far"]
    assert stand_in_lines(planned)[-1].startswith("NOT RUN: scenario far: [datasets.far]")
    with pytest.raises(DataError, match="mnist"):
        plan(suites.load(path, "smoke"), only="far/")
    with pytest.raises(SystemExit) as ended:
        cli(["run", str(path), "--profile", "smoke", "--dry-run", "--results", str(tmp_path)], standalone_mode=False)
    assert ended.value.code == 1
    assert "NOT RUN: scenario far" in capsys.readouterr().out
    with pytest.raises(ZooError, match="nothing is removed"):
        prune(str(path), "cpu")
    monkeypatch.setattr(runner, "execute", lambda planned, **_: runner.Outcome(planned, runner.Store(tmp_path / "r")))
    with pytest.warns(UserWarning, match="NOT RUN: scenario far"):
        runner.run(path, "smoke")


def test_data_are_asked_for_once_though_two_scenarios_miss_them(suite, monkeypatch):
    asked = []
    examine = identity.examine
    monkeypatch.setattr(identity, "examine", lambda source, *more: asked.append(source.name) or examine(source, *more))
    second = re.sub(r"\[datasets.far\]\nname = .*\n", "", MORE).replace("scenarios.far", "scenarios.farther")
    planned = plan(suites.load(suite(MORE + second), "smoke"))
    assert list(planned.faults) == ["far", "farther"]
    assert asked.count("mnist") == 1


def test_a_scenario_that_its_stand_in_does_not_suit_fails_alone(suite):
    more = MORE.replace('"mnist"', '"mnist"\noffline = "digits"').replace('kind = "distill"', 'kind = "unlearn"')
    more = re.sub(r"teacher = .*\nstudent", "request = 'class'\nforget_class = 10\nmodel", more)
    path = suite(more.replace('"mnist"', '"pictures"'))
    planned = plan(suites.load(path, "smoke"))
    assert list(planned.faults) == ["far"]
    assert "(where digits stands in for pictures)" in planned.faults["far"]
    with pytest.raises(SuiteError, match=r"\[scenarios.far\] .*where digits stands in for pictures"):
        checking.check(str(path))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('offline = "shapes32"', 'offline = "mnist"', r"\[data\] offline = 'mnist' would need a download itself"),
        ('offline = "shapes32"', 'offline = "shapes32"\nsize = 5', r"\[data\] size = 5: cifar10 is 32 pixels wide"),
        ('offline = "shapes32"', 'offline = "digits"\nsize = 3', r"\[data\] size = 3"),
        ('offline = "shapes32"', 'offline = "grammar"\nsize = 32', r"\[data\] size = 32: grammar holds texts"),
    ],
)
def test_check_goes_through_the_plan_on_stand_ins(suite, old, new, told):
    with pytest.raises(SuiteError, match=told):
        checking.check(str(suite(old=old, new=new)))


def test_check_finds_a_suite_sound_whose_proxy_is_replaced_offline(suite):
    assert checking.check(str(suite()))["profiles"][0]["scenarios"] == 1
