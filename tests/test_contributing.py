"""The examples of CONTRIBUTING.md do what it says: they conform, run, and are read."""

import re
import sys
from pathlib import Path
from types import ModuleType

from bench.data import catalogue, verify
from bench.records.store import Store

PAGE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()


def example(begins: str) -> str:
    """The fenced example whose first line begins so."""
    (found,) = re.findall(rf"```\w+\n(# {re.escape(begins)}.*?)```", PAGE, flags=re.DOTALL)
    return found


def written(folder: Path, name: str) -> Path:
    path = folder / Path(name).name
    path.write_text(example(name))
    return path


def test_the_method_has_ten_lines_and_conforms(command, tmp_path):
    path = written(tmp_path, "methods/fusion/larger.py")
    assert len([line for line in path.read_text().splitlines()[1:] if line]) <= 10
    done = command("test", "larger", "--plugin", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scenario_conforms_and_its_suite_gives_a_board(command, tmp_path):
    plugin, suite = written(tmp_path, "restore.py"), written(tmp_path, "restore.toml")
    done = command("test", "as-it-is", "--plugin", plugin)
    assert done.returncode == 0, done.stdout + done.stderr
    done = command("run", suite, "--profile", "smoke", "--plugin", plugin)
    assert done.returncode == 0, done.stdout + done.stderr
    records = Store(tmp_path / "results" / "restore" / "smoke.jsonl").read()
    accuracy = {record.label: record.metrics["accuracy"] for record in records}
    assert accuracy["as-it-is"] < accuracy["undisturbed"]


def test_the_data_set_is_read_and_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "bench.data.images.stripes", reader := ModuleType("stripes"))
    reader.__file__ = str(written(tmp_path, "bench/data/images/stripes.py"))
    exec(example("bench/data/images/stripes.py"), vars(reader))
    names = {"Source": catalogue.Source}
    exec("source = " + example("bench/data/catalogue.py").partition("\n")[2], names)
    monkeypatch.setitem(catalogue.SOURCES, "stripes", names["source"])
    assert verify("stripes").variant.startswith("stripes")
