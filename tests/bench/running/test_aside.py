"""A script that calls `bench.run` without the main guard: workers do not run it again."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from bench import registry
from bench.errors import BenchError

CALL = "from bench.running.aside import main_aside\nwith main_aside():\n    seen = sys.modules['__main__'].__file__\n"


def _run(tmp_path, monkeypatch, text):
    """The script as Python runs it, and what workers would be told to import."""
    script = tmp_path / "script.py"
    script.write_text(text)
    main = ModuleType("__main__")
    main.__file__ = str(script)
    main.sys = sys
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(compile(text, script, "exec"), main.__dict__)
    assert main.__file__ == str(script)
    return main.seen


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (CALL, True),
        ("def go():\n    global seen\n    " + CALL.replace("\n", "\n    ") + "\ngo()\n", True),
        ("for _ in (1,):\n    " + CALL.replace("\n", "\n    "), True),
        ("if __name__ == '__main__':\n    " + CALL.replace("\n", "\n    "), False),
        (
            "def go():\n    global seen\n    "
            + CALL.replace("\n", "\n    ")
            + "\nif '__main__' == __name__:\n    go()\n",
            False,
        ),
    ],
)
def test_only_a_script_that_would_run_again_is_hidden(tmp_path, monkeypatch, text, hidden):
    assert (_run(tmp_path, monkeypatch, text) is None) == hidden


def test_where_workers_would_miss_a_method_of_the_script_the_guard_is_named(tmp_path, monkeypatch):
    def mine(task: object) -> object:
        return task

    mine.__module__ = "__main__"
    monkeypatch.setitem(registry.METHODS.entries, "mine", registry.Method("mine", "f", (), frozenset(), mine))
    with pytest.raises(BenchError, match=r"could not know mine .* `if __name__ == '__main__':`"):
        _run(tmp_path, monkeypatch, CALL)
