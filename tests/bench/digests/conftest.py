"""A package of three files, written anew for each question, and the digest of one of its definitions."""

from __future__ import annotations

import importlib
import shutil
import sys
import textwrap

import pytest

from bench.digests import walk
from bench.digests.walk import digest

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
AROUND = {
    "aid.py": "def g(x):\n    return 2 * x\ndef h(x):\n    return 3 * x\n",
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


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A package `pack`.

    `tree.of(name, file=text)` writes it and gives the digest of `pack.method.solve`, or of another definition;
    `tree.edited("method", old, new)` is the text of a file with one place changed; `tree.moves(text)` says whether a
    digest moves when what stands around that method does.
    """
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

        def edited(self, file, old, new):
            text = self.files[f"{file}.py"]
            assert text.count(old) == 1
            return text.replace(old, new)

        def moves(self, text, name="pack.method.solve", **more):
            files = {**AROUND, "method.py": text, **more}
            self.files = files
            before = self.of(name)
            self.files = {file: t if file == "method.py" else t.replace("2 * x", "5 * x") for file, t in files.items()}
            return self.of(name) != before

    yield Tree()
    walk.forget()
