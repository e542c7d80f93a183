"""The main script of a process that starts workers, and when they must not run it again."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bench.errors import BenchError
from bench.registry import METHODS, SCENARIOS, Method, Scenario


@contextmanager
def main_aside() -> Iterator[None]:
    """Workers that start meanwhile do not import the main script, where it would start this very run again.

    A worker is a new Python, which first imports the script that its parent runs: so it knows what that script defines.
    A script that calls `bench.run` without `if __name__ == "__main__":` would run in each worker, for ever.

    Raises:
        BenchError: the script does so, and has methods or scenarios of its own, which workers could not know then.
    """
    if not _unguarded(sys._getframe()):
        yield
        return
    if own := [n for r in (METHODS, SCENARIOS) for n, entry in r.entries.items() if _module(entry) == "__main__"]:
        raise BenchError(
            f"workers could not know {', '.join(own)} of the script that calls bench.run: call it below "
            "`if __name__ == '__main__':`, or put them into a file of their own and give plugins=[...]"
        )
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name, None) for name in ("__file__", "__spec__")}
    for name in kept:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _module(entry: Method | Scenario) -> str:
    return (entry.function if isinstance(entry, Method) else entry.settings).__module__


def _unguarded(frame: FrameType | None) -> bool:
    """Whether the main script is on the way to here, by a line that is run on import too."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            return not _guarded(Path(frame.f_code.co_filename), frame.f_lineno)
        frame = frame.f_back
    return False


def _guarded(script: Path, line: int) -> bool:
    """Whether a line stands in an `if` that asks for `__name__`; where no file can be read it is taken to."""
    try:
        tree = ast.parse(script.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return True
    return any(
        node.lineno <= line <= (node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and any(isinstance(name, ast.Name) and name.id == "__name__" for name in ast.walk(node.test))
    )
