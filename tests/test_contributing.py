"""The examples of CONTRIBUTING.md do what it says: they conform, run, and are read."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import bench
from bench import conformance, registry
from bench.data import catalogue, verify

PAGE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What a test registers is gone after it."""
    registry.discover()
    for known in (registry.METHODS, registry.SCENARIOS):
        monkeypatch.setattr(known, "entries", dict(known.entries))


def example(begins: str) -> str:
    """The fenced example whose first line begins so."""
    (found,) = re.findall(rf"```\w+\n(# {re.escape(begins)}.*?)```", PAGE, flags=re.DOTALL)
    return found


def written(folder: Path, name: str) -> Path:
    path = folder / Path(name).name
    path.write_text(example(name))
    return path


def faults(method: str) -> list[str]:
    return [f"{result.check}: {result.detail}" for result in conformance.check_method(method) if not result.ok]


def test_the_method_has_ten_lines_and_conforms(tmp_path):
    path = written(tmp_path, "methods/fusion/larger.py")
    assert len([line for line in path.read_text().splitlines()[1:] if line]) <= 10
    registry.load_plugin(path)
    assert faults("larger") == []


def test_the_scenario_conforms_and_its_suite_gives_a_board(tmp_path):
    plugin, suite = written(tmp_path, "restore.py"), written(tmp_path, "restore.toml")
    frame = bench.run(suite, "smoke", jobs=1, results=tmp_path / "results", plugins=[plugin])
    assert faults("as-it-is") == []
    accuracy = frame.set_index("label")["accuracy"]
    assert accuracy["as-it-is"] < accuracy["undisturbed"]


def test_the_data_set_is_read_and_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "bench.data.images.stripes", reader := ModuleType("stripes"))
    reader.__file__ = str(written(tmp_path, "bench/data/images/stripes.py"))
    exec(example("bench/data/images/stripes.py"), vars(reader))
    names = {"Source": catalogue.Source}
    exec("source = " + example("bench/data/catalogue.py").partition("\n")[2], names)
    monkeypatch.setitem(catalogue.SOURCES, "stripes", names["source"])
    assert verify("stripes").variant.startswith("stripes")
