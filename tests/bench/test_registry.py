"""Registering, discovering, and reading a method's parameters off its signature."""

import pytest
from pydantic import ValidationError

import bench
from bench import registry
from bench.cli import describe
from bench.errors import BenchError
from bench.registry import METHODS, SCENARIOS

pytestmark = pytest.mark.usefixtures("toy")


def test_the_function_is_unchanged_and_named_with_dashes():
    assert METHODS.get("toy-nearest-mean").function.__name__ == "toy_nearest_mean"


def test_two_methods_of_one_name_are_refused():
    with pytest.raises(BenchError, match=r"two methods are named 'toy-skips'.*rename one"):

        @bench.method(family="toy", scenario="toy", name="toy-skips")
        def other(task):
            """Another."""


def test_a_hyperparameter_that_is_not_behind_the_star_is_refused():
    with pytest.raises(
        BenchError, match=r"'starless': hyperparameters stand behind a \*, so write def f\(task, \*, alpha"
    ):

        @registry.method(family="toy", scenario="toy", name="starless")
        def f(task, alpha=1.0):
            """None."""

    assert "starless" not in METHODS.entries


def test_the_signature_is_the_schema():
    schema = registry.parameters(METHODS.get("toy-nearest-mean"))
    assert schema().model_dump() == {"shrink": 0.0}
    for wrong in ({"shrink": -0.1}, {"shrink": "much"}, {"shrunk": 0.1}, {"shrink": True}):
        with pytest.raises(ValidationError):
            schema.model_validate(wrong)


def test_every_method_says_what_it_is():
    for entry in METHODS.entries.values():
        assert entry.summary, entry.name
        assert entry.file.is_file()
        assert set(entry.scenarios) <= set(SCENARIOS.entries), entry.name


def test_every_declared_access_is_known_to_some_task_of_the_method():
    from bench.task.task import needs

    for entry in METHODS.entries.values():
        for kind in entry.scenarios:
            known = {a for names in needs(SCENARIOS.get(kind).task).values() for a in names}
            assert entry.access <= known, (entry.name, kind)


def test_references_of_every_kind_exist_and_solve_it():
    for kind in SCENARIOS.entries.values():
        names = [kind.lower, kind.upper, *(r if isinstance(r, str) else r[1] for r in kind.references)]
        for name in names:
            assert kind.kind in METHODS.get(name).scenarios, (kind.kind, name)


@pytest.mark.parametrize(
    ("text", "told"),
    [("import nothing_of_the_kind\n", "cannot be imported: ModuleNotFoundError"), ("x = (\n", "SyntaxError")],
)
def test_a_broken_plugin_is_told(tmp_path, text, told):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(BenchError, match=f"broken.py.*{told}"):
        registry.load_plugin(path)


@pytest.mark.parametrize(("name", "told"), [("none.py", "there is no such file"), ("mine.txt", "must end in .py")])
def test_a_plugin_must_be_a_python_file(tmp_path, name, told):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(BenchError, match=told):
        registry.load_plugin(tmp_path / name)


def test_who_forgets_a_plugin_is_told_of_the_option():
    for entries in (METHODS, SCENARIOS):
        with pytest.raises(BenchError, match=r"unknown .* 'of-mine'.*\nif .*--plugin FILE\.py"):
            entries.get("of-mine")
    with pytest.raises(BenchError, match=r"nothing is named 'of-mine'.*\nif .*--plugin FILE\.py"):
        describe.about("of-mine")


def test_a_plug_in_that_could_not_be_imported_is_none_of_the_plug_ins(tmp_path):
    (tmp_path / "fails.py").write_text("1 / 0")
    with pytest.raises(BenchError, match="division by zero"):
        registry.load_plugin(tmp_path / "fails.py")
    assert tmp_path / "fails.py" not in registry.plugins()
