"""`list` says what the registries would, and imports neither torch nor our methods for it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.cli import describe
from bench.cli.declared import _of_file, declared
from bench.registry import METHODS, SCENARIOS

ROOT = Path(__file__).parents[2]


def test_what_the_files_declare_is_what_is_registered(monkeypatch):
    registry.discover()
    light = describe.catalogue()
    entries = declared()
    ours = {name for _, name, _ in entries}
    assert {n for n, m in METHODS.entries.items() if m.file.is_relative_to(ROOT / "methods")} <= ours
    monkeypatch.setattr(describe, "declared", lambda: None)
    assert json.dumps(describe.catalogue()) == json.dumps(light)
    for kind, name, told in entries:
        shown = light["methods" if kind == "method" else "scenarios"][name]
        assert json.dumps(told) == json.dumps(shown), name
    assert {name for kind, name, _ in entries if kind == "scenario"} <= SCENARIOS.entries.keys()


def test_listing_imports_no_torch(tmp_path):
    asked = "len(describe.catalogue()['methods']), 'torch' in sys.modules"
    script = f"import sys; from bench.cli import describe; print({asked})"
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.split() == [str(sum(kind == "method" for kind, _, _ in declared())), "False"]


@pytest.mark.parametrize(
    "text",
    [
        "@method(family=FAMILY, scenario='fuse')\ndef f(task):\n    'x.'",
        "for name in 'ab':\n    method(family='x', scenario='fuse', name=name)(f)",
        "if True:\n    @method(family='x', scenario='fuse')\n    def f(task):\n        'x.'",
        "@method(**told)\ndef f(task):\n    'x.'",
        "@scenario(kind='x', task=T, lower='a', upper='b')\nclass X(Above):\n    pass",
    ],
)
def test_what_has_to_be_executed_is_not_guessed(text):
    assert _of_file(ast.parse(text)) is None


def test_names_defaults_and_summaries():
    text = '''"""About the file.\n\nMore."""
@method(family="x", scenario=("a", "b"), access={"z", "y"})
def one_two(task):
    """Does.

    More.
    """

@method(family="x", scenario="a", name="other", year=YEAR)
def three(task): ...

@scenario(kind="k", task=T, lower="l", upper="u")
class K(Settings):
    """A kind."""
'''
    (_, one, first), (_, other, second), (_, kind, third) = _of_file(ast.parse(text))
    assert (one, other, kind) == ("one-two", "other", "k")
    assert first == {"family": "x", "scenarios": ["a", "b"], "access": ["y", "z"], "paper": None, "summary": "Does."}
    assert (second["summary"], second["access"], second["scenarios"]) == ("About the file.", [], ["a"])
    assert third == {
        "headline": "accuracy",
        "lower": "l",
        "upper": "u",
        "takes": ["images", "texts"],
        "summary": "A kind.",
    }
