"""A digest changes with what a number could hang on, and with nothing else."""

import importlib
import sys

import pytest

from bench.digests import walk
from bench.digests.walk import digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# a better comment"),
        ('"""Twice x."""', '"""Two times x,\n    as a number."""'),
        ('"""A module."""', '"""The module."""\n\n\n'),
        ("share: float = 0.5", "share: float | None = 0.5"),
        ("share: float = 0.5", "share = 0.5"),
        ("(x: int) -> int", "(x)"),
        (
            "mix(inner(task.x), SCALE * math.pi, share)",
            "mix(\n        inner(task.x),\n        SCALE * math.pi, share,\n    )",
        ),
        ("return 1", "return 2"),  # of a function that nobody calls
        ("import math", "import math\nimport os"),
    ],
)
def test_prose_hints_formatting_and_unused_neighbours_do_not_count(tree, old, new):
    assert tree.of() == tree.of(method=tree.edited("method", old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("method", "share: float = 0.5", "share: float = 0.6"),
        ("method", "helpers.double(x)", "helpers.never_called(x)"),
        ("method", "math.pi", "math.e"),
        ("method", "import math", "import cmath as math"),
        ("method", "mix(inner(task.x), SCALE * math.pi, share)", "mix(SCALE * math.pi, inner(task.x), share)"),
        ("helpers", "2 * x", "2.5 * x"),
        ("kernels", "SCALE = 3.0", "SCALE = 3.5"),
        ("kernels", "(1 - share)", "(2 - share)"),  # in a class that a function makes
        ("kernels", "start: int = 0", "start: int = 1"),
        ("kernels", "OTHER = 4.0", "OTHER = 4.0\nimport sys\nsys.setrecursionlimit(99)"),  # done when it is imported
    ],
)
def test_whatever_can_change_a_number_counts_in_whatever_file_it_stands(tree, file, old, new):
    assert tree.of() != tree.of(**{file: tree.edited(file, old, new)})


def test_what_the_method_cannot_reach_does_not_count(tree):
    assert tree.of() == tree.of(
        helpers=tree.files["helpers.py"].replace("3 * x", "4 * x"),
        kernels=tree.files["kernels.py"].replace("4.0", "5.0"),
    )


def test_moving_splitting_and_renaming_cost_nothing(tree):
    before = tree.of()
    moved = (
        tree.files["method.py"]
        .replace("from pack import helpers", "from pack.deep import tools as helpers")
        .replace(
            "from pack.kernels import SCALE, blend as mix",
            "from pack.deep.numbers import SCALE\nfrom .mixing import mixed as mix",
        )
    )
    blending = (
        tree.files["kernels.py"]
        .partition("OTHER = 4.0")[2]
        .replace("def blend(", "def mixed(")
        .replace("Blend", "Mixer")
    )
    tree.files = {
        "__init__.py": "",
        "deep/__init__.py": "",
        "deep/tools.py": tree.files["helpers.py"].replace("double", "twice"),
        "deep/numbers.py": "SCALE = 3.0\n",
        "mixing.py": blending,
        "method.py": moved.replace("helpers.double", "helpers.twice").replace("def solve", "def answer"),
    }
    assert tree.of("pack.method.answer") == before


def test_one_import_or_another_way_of_writing_it_is_the_same(tree):
    before = tree.of()
    inside = (
        tree.files["method.py"]
        .replace("from pack import helpers\n", "")
        .replace("    def inner", "    from pack.helpers import double\n    def inner")
    )
    assert tree.of(method=inside.replace("helpers.double(x)", "double(x)")) == before
    assert (
        tree.of(method=tree.files["method.py"].replace("import math", "from math import pi").replace("math.pi", "pi"))
        == before
    )


def test_names_made_at_run_time_count_with_the_whole_module(tree):
    dynamic = tree.files["method.py"].replace("helpers.double(x)", "getattr(helpers, task.name)(x)")
    assert tree.of(method=dynamic) != tree.of(
        method=dynamic, helpers=tree.files["helpers.py"].replace("3 * x", "4 * x")
    )


def test_a_local_name_is_not_taken_for_a_global_one(tree):
    shadowed = tree.files["method.py"].replace("def inner(x: int) -> int:", "def inner(x, helpers=task):")
    assert tree.of(method=shadowed) == tree.of(
        method=shadowed, helpers=tree.files["helpers.py"].replace("2 * x", "9 * x")
    )


def test_a_root_that_is_not_there_is_named(tree):
    tree.of()
    with pytest.raises(KeyError, match=r"pack\.method does not define nothing"):
        digest((("pack.method", "nothing"),))


def test_a_digest_does_not_hang_on_what_was_digested_before(tmp_path, monkeypatch):
    """Packages that are installed count with a root of their own package only."""
    installed = tmp_path / "lib" / "site-packages"
    for package, text in {
        "first": "def g():\n    return 1\n",
        "second": "import first\ndef f():\n    return first.g()\n",
    }.items():
        (installed / package).mkdir(parents=True)
        (installed / package / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(installed))
    importlib.invalidate_caches()
    walk.forget()
    alone = digest((("second", "f"),))
    assert list(alone.parts) == ["second.f"]
    walk.forget()
    digest((("first", "g"),))
    assert digest((("second", "f"),)) == alone


def test_files_are_never_executed(tree, capsys):
    tree.of(
        kernels=tree.files["kernels.py"] + "\nprint('executed')\n",
        helpers=tree.files["helpers.py"] + "\nraise SystemExit('executed')\n",
    )
    assert capsys.readouterr().out == ""
    assert "pack" not in sys.modules
