"""A digest changes with what a number could hang on, and with nothing else."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.digests import walk
from bench.digests.walk import FRAME, digest

ROOT = Path(__file__).parents[3]

METHOD = '''
"""A module."""
from __future__ import annotations

import math
from pack import helpers
from pack.kernels import SCALE, blend as mix


def solve(task, *, share: float = 0.5):
    """Twice x."""
    def inner(x: int) -> int:
        return helpers.double(x)  # a comment
    return mix(inner(task.x), SCALE * math.pi, share)


def unused():
    return 1
'''
HELPERS = """
def double(x):
    return 2 * x


def never_called(x):
    return 3 * x
"""
KERNELS = '''
SCALE = 3.0
OTHER = 4.0


class Blend:
    """What it does."""

    start: int = 0

    def __call__(self, a, b, share):
        return a * share + b * (1 - share)


def blend(a, b, share):
    return Blend()(a, b, share)
'''


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """`tree.of(name, file=text)` writes a package `pack` and gives the digest of `pack.method.solve`, or another."""
    monkeypatch.syspath_prepend(str(tmp_path))

    class Tree:
        def __init__(self):
            self.files = {"method.py": METHOD, "helpers.py": HELPERS, "kernels.py": KERNELS, "__init__.py": ""}

        def of(self, name="pack.method.solve", **changed):
            shutil.rmtree(tmp_path / "pack", ignore_errors=True)
            for file, text in {**self.files, **{f"{k}.py": v for k, v in changed.items()}}.items():
                path = tmp_path / "pack" / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(textwrap.dedent(text))
            for loaded in [m for m in sys.modules if m.partition(".")[0] == "pack"]:
                del sys.modules[loaded]
            importlib.invalidate_caches()
            walk.forget()
            module, _, thing = name.partition(":") if ":" in name else name.rpartition(".")
            return digest(((module, thing),)).value

    yield Tree()
    walk.forget()


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
    assert METHOD.count(old) == 1
    assert tree.of() == tree.of(method=METHOD.replace(old, new))


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
    text = {"method": METHOD, "helpers": HELPERS, "kernels": KERNELS}[file]
    assert text.count(old) == 1
    assert tree.of() != tree.of(**{file: text.replace(old, new)})


def test_what_the_method_cannot_reach_does_not_count(tree):
    assert tree.of() == tree.of(helpers=HELPERS.replace("3 * x", "4 * x"), kernels=KERNELS.replace("4.0", "5.0"))


def test_moving_splitting_and_renaming_cost_nothing(tree):
    before = tree.of()
    moved = METHOD.replace("from pack import helpers", "from pack.deep import tools as helpers").replace(
        "from pack.kernels import SCALE, blend as mix",
        "from pack.deep.numbers import SCALE\nfrom .mixing import mixed as mix",
    )
    blending = KERNELS.partition("OTHER = 4.0")[2].replace("def blend(", "def mixed(").replace("Blend", "Mixer")
    tree.files = {
        "__init__.py": "",
        "deep/__init__.py": "",
        "deep/tools.py": HELPERS.replace("double", "twice"),
        "deep/numbers.py": "SCALE = 3.0\n",
        "mixing.py": blending,
        "method.py": moved.replace("helpers.double", "helpers.twice").replace("def solve", "def answer"),
    }
    assert tree.of("pack.method.answer") == before


def test_one_import_or_another_way_of_writing_it_is_the_same(tree):
    before = tree.of()
    inside = METHOD.replace("from pack import helpers\n", "").replace(
        "    def inner", "    from pack.helpers import double\n    def inner"
    )
    assert tree.of(method=inside.replace("helpers.double(x)", "double(x)")) == before
    assert tree.of(method=METHOD.replace("import math", "from math import pi").replace("math.pi", "pi")) == before


def test_names_made_at_run_time_count_with_the_whole_module(tree):
    dynamic = METHOD.replace("helpers.double(x)", "getattr(helpers, task.name)(x)")
    assert tree.of(method=dynamic) != tree.of(method=dynamic, helpers=HELPERS.replace("3 * x", "4 * x"))


def test_a_local_name_is_not_taken_for_a_global_one(tree):
    shadowed = METHOD.replace("def inner(x: int) -> int:", "def inner(x, helpers=task):")
    assert tree.of(method=shadowed) == tree.of(method=shadowed, helpers=HELPERS.replace("2 * x", "9 * x"))


SETTINGS = """
from pack.helpers import double, never_called
from pack.kernels import SCALE


class Base:
    def own(self):
        return SCALE


class Kind(Base):
    rows: int = 3

    def prepare(self, lab):
        return double(self.rows)

    def score(self, result):
        return never_called(result) + self.own()

    def longer(self, lab):
        return super().own()
"""


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"helpers": HELPERS.replace("2 * x", "5 * x")}, {"prepare"}),
        ({"helpers": HELPERS.replace("3 * x", "5 * x")}, {"score"}),
        ({"kernels": KERNELS.replace("3.0", "5.0")}, {"score", "longer", FRAME}),  # inherited
        ({"settings": SETTINGS.replace("rows: int = 3", "rows: int = 4")}, {"prepare", FRAME}),
    ],
)
def test_members_of_a_class_count_each_for_itself(tree, change, moves):
    tree.files = {**tree.files, "settings.py": SETTINGS}
    names = ("prepare", "score", FRAME, "longer")
    before = {name: _member(tree, name) for name in names}
    after = {name: _member(tree, name, **change) for name in names}
    moved = {name for name in names if before[name] != after[name]}
    # What calls super may reach whatever the class overrides, so all of the class counts for it.
    assert moves <= moved <= moves | {"longer"}


def _member(tree, name, **change):
    tree.of(**change)
    return digest((("pack.settings", f"Kind.{name}"),)).value


def test_a_root_that_is_not_there_is_named(tree):
    tree.of()
    with pytest.raises(KeyError, match=r"pack\.method does not define nothing"):
        digest((("pack.method", "nothing"),))


IN_MODULE = {
    "tried import": "try:\n    from nowhere import g\nexcept ImportError:\n    from pack.aid import g\n",
    "tried import, first": "try:\n    from pack.aid import g\nexcept ImportError:\n    g = None\n",
    "import under a condition": "if FAST:\n    from pack.aid import g\nelse:\n    from pack.aid import h as g\n",
    "definition, then import": "def g(x):\n    return x\nfrom pack.aid import g\n",
    "import, then wrapped": "from pack.aid import g\ng = jit(g)\n",
    "all names of a module": "from pack.aid import *\n",
    "tried, all names": "try:\n    from pack.aid import *\nexcept ImportError:\n    pass\n",
    "all names, handed on": "from pack.every import g\n",
    "handed on by the package": "from pack import g\n",
    "default of a lambda": "from pack.aid import g as h\ng = lambda x, h=h: h(x)\n",
    "gone through under its own name": "from pack.aid import g as h\ndef g(x):\n    return [h for h in h(x)]\n",
    "class attribute of its own name": "from pack.aid import g as h\nclass g:\n    h = h\n",
    "table filled in a loop": "from pack.aid import g as h\ng = {}\nfor n in 'ab':\n    g[n] = h\n",
    "not for types": "from pack.aid import g as h\nif not TYPE_CHECKING:\n    def g(x):\n        return h(x)\n",
    "else of types": "if TYPE_CHECKING:\n    from pack.aid import h as g\nelse:\n    from pack.aid import g\n",
    "imports in branches": """
def g(x):
    if x:
        from pack.aid import g
    else:
        from pack.aid import h as g
    return g(x)
""",
    "by name": "import importlib\ndef g(x):\n    return importlib.import_module('pack.aid').g(x)\n",
    "lazy": "from pack.lazy import g\n",
    "whole package": "import pack\ndef g(x):\n    return getattr(pack, x)\n",
    "own names": "from pack.aid import g as h\ndef g(x):\n    return globals()[x]\n",
    "folder of modules": "from pack.folder import inner\ndef g(x):\n    return inner.g(x)\n",
    "folder of modules, dotted": "import pack.folder.inner\ndef g(x):\n    return pack.folder.inner.g(x)\n",
    "done by an import": "import pack.patch\ndef g(x):\n    return x\n",
    "done by an import of an import": "from pack import patching\ndef g(x):\n    return x\n",
    "done by the package": "from pack.folded.inner import g\n",
}
AROUND = {
    "__init__.py": "from .aid import g\n",
    "every.py": "from .aid import *\n",
    "lazy/__init__.py": "FROM = {'g': '.aid'}\ndef __getattr__(name):\n    return load(FROM[name], __name__)\n",
    "lazy/aid.py": "def g(x):\n    return 2 * x\n",
    "folder/inner.py": "def g(x):\n    return 2 * x\n",
    "patch.py": "x = 1\nTABLE = {}\nTABLE[0] = 2 * x\n",
    "patching.py": "from pack import patch\n",
    "folded/__init__.py": "x = 1\nTABLE = {}\nTABLE[0] = 2 * x\n",
    "folded/inner.py": "def g(x):\n    return 1\n",
}
AID = "def g(x):\n    return 2 * x\ndef h(x):\n    return 3 * x\n"


def _moves(tree, text, name="pack.method.solve", **more):
    """Whether the digest moves when what `aid` (or what stands around it) computes does."""
    files = {**AROUND, "aid.py": AID, "method.py": text, **more}
    tree.files = files
    before = tree.of(name)
    tree.files = {file: t if file == "method.py" else t.replace("2 * x", "5 * x") for file, t in files.items()}
    return tree.of(name) != before


@pytest.mark.parametrize("how", IN_MODULE)
def test_every_way_to_a_definition_is_followed(tree, how):
    assert _moves(tree, f"{IN_MODULE[how]}\n\ndef solve(task):\n    return g(task)\n")


def test_an_import_of_what_nobody_uses_and_that_does_nothing_is_free(tree):
    before = tree.of()
    assert tree.of(method=METHOD.replace("import math", "import math\nimport pack.more"), more="X = 1\n") == before


IN_CLASS = {
    "handed to a function": "def p(self):\n        return made(self)",
    "another name for self": "def p(this):\n        return this.helper()",
    "its type": "def p(self):\n        return type(self).helper(self)",
    "default that the class holds": "own = g(1)\n    def p(self, n=own):\n        return n",
    "written over": "def q(self):\n        return g(1)\n    q = cached(q)\n    def p(self):\n        return self.q()",
    "two of one name": """@property
    def q(self):
        return g(1)
    @q.setter
    def q(self, to):
        pass
    def p(self):
        return self.q""",
}


@pytest.mark.parametrize("how", IN_CLASS)
def test_a_member_stands_on_all_of_its_class_that_it_can_reach(tree, how):
    text = f"from pack.aid import g\nclass K:\n    def helper(self):\n        return g(1)\n    {IN_CLASS[how]}\n"
    assert _moves(tree, text, "pack.method:K.p")


@pytest.mark.parametrize("base", ["Base", "base.Base", "Base[int]", "Other"])
def test_a_method_of_a_base_reaches_what_the_class_overrides(tree, base):
    text = (
        f"from pack.aid import g\nfrom pack import base\nfrom pack.base import Base\nOther = Base\nclass K({base}):\n"
    )
    above = {"base.py": "class Base:\n    def p(self):\n        return self.helper()\n"}
    assert _moves(tree, f"{text}    def helper(self):\n        return g(1)\n", "pack.method:K.p", **above)


def test_members_are_looked_up_in_the_order_of_python(tree):
    above = "class A:\n    p = 1\nclass B(A):\n    pass\nclass C(A):\n    p = g(1)\n"
    text = f"from pack.aid import g\n{above}class K(B, C):\n    pass\n"
    assert _moves(tree, text, "pack.method:K.p")


@pytest.mark.parametrize(
    "method",
    [
        "def model_post_init(self, context):\n        self.x = g(1)",
        "def __getattr__(self, name):\n        return g(1)",
        "@model_validator(mode='after')\n    def check(self):\n        return self.helper()",
        "@computed_field\n    def found(self):\n        return g(1)",
    ],
)
def test_what_a_class_does_unasked_is_of_its_frame(tree, method):
    text = f"from pack.aid import g\nclass K:\n    {method}\n    def helper(self):\n        return g(1)\n"
    assert _moves(tree, text, f"pack.method:K.{FRAME}")


def test_a_method_in_a_class_in_a_class_counts_with_it(tree):
    text = "from pack.aid import g\nclass K:\n    class Inner:\n        def p(self):\n            return g(1)\n"
    assert _moves(tree, text, "pack.method:K.Inner.p")


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


MOVES = {
    "bench/task/meter.py": "bench/task_room/metering.py",
    "bench/clock.py": "bench/task_room/clock.py",
    "bench/task/statistics.py": "bench/task_room/statistics.py",
    "bench/task/budget.py": "bench/task_room/budget.py",
    "bench/task/monitor.py": "bench/task_room/monitor.py",
    "bench/models/train.py": "bench/models/fitting.py",
    "bench/metrics/calibration.py": "bench/metrics/trust.py",
    "bench/scenarios/judging.py": "bench/scenarios/room/judging.py",
    "methods/fusion/state.py": "methods/fusion/states.py",
    "methods/merging/task_vectors.py": "methods/merging/vectors.py",
}
ASK = """
import json, sys
from bench import registry
from bench.running.cell_code import digests, values
registry.discover()
found = {}
for kind, method, archs in json.loads(sys.argv[1]):
    entry = registry.SCENARIOS.get(kind), registry.METHODS.get(method)
    found[f"{kind}/{method}"] = values(digests(*entry, [], archs, tuned=method == "ties"))
print(json.dumps(found))
"""
CELLS = json.dumps(
    [
        ["fuse", "regmean", ["mlp"]],
        ["merge", "ties", ["resnet8"]],
        ["unlearn", "scrub", ["vgg"]],
        ["datafree", "dafl", ["vit"]],
    ]
)


def test_ten_moved_files_and_a_rename_in_the_real_tree_cost_no_record(tmp_path):
    for package in ("bench", "methods"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = _asked(tmp_path)
    for old, new in MOVES.items():
        (tmp_path / new).parent.mkdir(exist_ok=True)
        (tmp_path / new).parent.joinpath("__init__.py").touch()
        (tmp_path / old).rename(tmp_path / new)
    names = {a[:-3].replace("/", "."): b[:-3].replace("/", ".") for a, b in MOVES.items()}
    for path in tmp_path.rglob("*.py"):
        text = path.read_text()
        for old, new in names.items():
            text = re.sub(rf"from {re.escape(old)} import", f"from {new} import", text)
            text = re.sub(rf"import {re.escape(old)}\b", f"import {new}", text)
        text = re.sub(r"^( *)from (bench|bench\.\w+|methods\.\w+) import ([\w, ]+)$", _redirected, text, flags=re.M)
        path.write_text(re.sub(r"\bseed_everything\b", "sow", text))
    assert _asked(tmp_path) == before


def _redirected(found: re.Match[str]) -> str:
    """`from bench.metrics import calibration, pairs` with the modules that were moved taken from where they are now."""
    indent, package, names = found.groups()
    lines = []
    for name in names.split(", "):
        new = MOVES.get(f"{package}.{name}".replace(".", "/") + ".py")
        home, _, last = (new or "")[:-3].replace("/", ".").rpartition(".")
        lines.append(f"{indent}from {home} import {last} as {name}" if new else f"{indent}from {package} import {name}")
    return "\n".join(lines)


def _asked(folder):
    done = subprocess.run(
        [sys.executable, "-c", ASK, CELLS],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_files_are_never_executed(tree, capsys):
    tree.of(kernels=KERNELS + "\nprint('executed')\n", helpers=HELPERS + "\nraise SystemExit('executed')\n")
    assert capsys.readouterr().out == ""
    assert "pack" not in sys.modules
