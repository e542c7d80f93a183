"""A digest changes with the code and with nothing else."""

import importlib.util
import sys
from pathlib import Path

import pytest

from bench import source

BEFORE = '''
"""A module."""
from bench.errors import Skip

def double(x):
    """Twice x."""
    return 2 * x  # a comment
'''


@pytest.fixture
def digest(tmp_path, monkeypatch):
    def of(text: str) -> str:
        path = tmp_path / "digested.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("digested", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "digested", module)
        for cached in (source._digest, source._plain, source._imports):
            cached.cache_clear()
        return source.digest_of(module)

    return of


@pytest.mark.parametrize(
    "change",
    [
        ("# a comment", "# a better comment"),
        ('"""Twice x."""', '"""Two times x,\n    as a number."""'),
        ("2 * x", "(2\n   *  x)".replace("(", "").replace(")", "").replace("\n", "").replace("  ", " ")),
        ('"""A module."""', '"""The module."""\n\n\n'),
    ],
)
def test_prose_and_white_space_do_not_count(digest, change):
    assert digest(BEFORE) == digest(BEFORE.replace(*change))


@pytest.mark.parametrize(
    "change", [("2 * x", "3 * x"), ("double", "twice"), ("return 2 * x", "if x:\n        return 2 * x\n    return 0")]
)
def test_code_counts(digest, change):
    assert digest(BEFORE) != digest(BEFORE.replace(*change))


def test_indentation_counts(digest):
    inside = "def f(x):\n    if x:\n        x = 1\n        x = 2\n    return x\n"
    outside = "def f(x):\n    if x:\n        x = 1\n    x = 2\n    return x\n"
    assert digest(inside) != digest(outside)


def test_imports_are_followed_also_inside_functions(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("def f():\n    from bench.metrics import calibration\n")
    assert "bench.metrics.calibration" in source._imports(path, "m")


def test_imports_for_the_type_checker_are_not(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bench import records\n")
    assert source._imports(path, "m") == ()


def test_relative_imports_are_resolved(tmp_path):
    package = Path(source.__file__).parent / "models" / "resnet.py"
    path = tmp_path / "resnet.py"
    path.write_text("from .permutation import Axis\n")
    assert package.exists()
    assert source._imports(path, "bench.models.resnet") == ("bench.models.permutation",)


def test_a_scenario_can_be_left_out_of_a_methods_digest():
    from methods.distillation import kd

    assert source.digest_of(kd) != source.digest_of(kd, leave_out="bench.scenarios")


def test_strings_that_are_used_count(digest):
    assert digest("NAME = 'a'\n") != digest("NAME = 'b'\n")
    assert digest("def f(x):\n    return f'{x} a'\n") != digest("def f(x):\n    return f'{x} b'\n")
