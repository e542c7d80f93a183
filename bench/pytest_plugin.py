"""pytest: rerun cells of a suite, and fail where a metric leaves the band that its baseline's own seeds span.

    pytest --bench-suite suites/x.toml --bench-baseline results/x

Nothing but this file is imported before these options are used. `bench.regressions.baseline` says what raises an alarm.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.records.record import Record
    from bench.regressions.baseline import Baseline, Departure
    from bench.running.plan import Cell

COSTS = "processor seconds by those of the baseline (a ratio)"
"""The group of costs in pytest-benchmark's table."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plug-in."""
    group = parser.getgroup("ktbench", "cells of a benchmark suite, held against a baseline")
    group.addoption("--bench-suite", metavar="SUITE", help="path of a suite, or the name of one that ships")
    group.addoption("--bench-baseline", metavar="PATH", help="its results: results/x, or the .jsonl file itself")
    group.addoption("--bench-profile", metavar="NAME", help="smoke, cpu or gpu; by default what suits this machine")
    group.addoption("--bench-only", metavar="PATTERN", help="cells: part or shell pattern of scenario/row/seed")
    group.addoption(
        "--bench-sample", metavar="N", type=int, help="so many cheap cells (10, where --bench-only is not given)"
    )
    group.addoption(
        "--bench-plugin", metavar="FILE.py", action="append", default=[], help="methods or scenarios of your own"
    )
    group.addoption(
        "--bench-update", action="store_true", help="show what differs, and put the reruns in the baseline's place"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the suite: alone, unless paths stand on the command line too."""
    suite, baseline = config.getoption("bench_suite"), config.getoption("bench_baseline")
    if suite is None and baseline is None:
        return
    if suite is None or baseline is None:
        raise pytest.UsageError("--bench-suite SUITE and --bench-baseline PATH go together: give both")
    sample = config.getoption("bench_sample")
    if sample is not None and sample < 1:
        raise pytest.UsageError(f"--bench-sample {sample}: give a number of cells from 1 on")
    if hasattr(config, "workerinput") or config.getoption("numprocesses", None):
        raise pytest.UsageError("--bench-suite does not go with -n: its cells run side by side by themselves")
    session = _Session(config)
    config.pluginmanager.register(session, "ktbench-session")
    named = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
    config.args = [*named, str(session.path)]


class _Session:
    """The cells of one session of pytest: rerun together when the first of them is asked for."""

    def __init__(self, config: pytest.Config) -> None:
        from bench import registry
        from bench.errors import BenchError
        from bench.regressions import baseline

        self.config = config
        self.plugins = [Path(path) for path in config.getoption("bench_plugin")]
        try:
            registry.load_plugins(self.plugins)
            self.baseline: Baseline = baseline.load(
                config.getoption("bench_suite"),
                Path(config.getoption("bench_baseline")),
                config.getoption("bench_profile"),
                config.getoption("bench_only"),
                config.getoption("bench_sample"),
            )
        except BenchError as error:
            raise pytest.UsageError(str(error)) from None
        self.path = Path(self.baseline.planned.suite.path).resolve()
        self.tried = False
        self.again: dict[str, Record] = {}
        """Key of a cell -> its rerun."""
        self.departures: dict[str, list[Departure]] = {}
        """Name of a cell -> its metrics that differ."""
        self.cells: dict[str, Cell] = {cell.name: cell for cell in self.baseline.planned.cells}

    def run(self, session: pytest.Session) -> None:
        """Rerun the cells that this session has left after `-k`, `-m` and the like."""
        from bench.regressions.baseline import departures, ending, judged
        from bench.running.runner import rerun

        if self.tried:
            return
        self.tried = True
        cells = [self.cells[name] for name in dict.fromkeys(i.name for i in session.items if isinstance(i, CellItem))]
        self.again = rerun(self.baseline.planned, cells, plugins=self.plugins)
        whole = [cell for cell in cells if not ending(self.baseline, cell, self.again[cell.key])]
        self.departures = judged({c.name: departures(self.baseline, c, self.again[c.key]) for c in whole})

    @pytest.hookimpl
    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.File | None:
        """The suite's file as a collector of its cells."""
        if file_path.resolve() != self.path:
            return None
        found = SuiteFile.from_parent(parent, path=file_path)
        found.cells = self
        return found

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Costs, and what `--bench-update` does."""
        if not self.again:
            return
        ratios = [f"{name} {ratio:.2f} x" for name in self.cells if (ratio := self.ratio(name)) is not None]
        if ratios:
            terminalreporter.section("seconds by those of the baseline (never failed on)")
            terminalreporter.line(", ".join(ratios))
        if self.config.getoption("bench_update"):
            terminalreporter.section("changes of the baseline")
            for line in self.update():
                terminalreporter.line(line)

    def ratio(self, name: str) -> float | None:
        """Processor seconds of a rerun by those on record; None where either is unknown."""
        cell = self.cells[name]
        here = self.again[cell.key].costs.get("seconds") if cell.key in self.again else None
        before = self.baseline.record(cell).costs.get("seconds")
        return here / before if here and before else None

    def update(self) -> Iterator[str]:
        """Put the reruns in the baseline's place; the lines that show what that changes."""
        from bench.regressions import telling
        from bench.regressions.baseline import update
        from bench.regressions.compare import compare
        from bench.regressions.snapshot import snapshot

        before = snapshot(str(self.baseline.path))
        done = [(cell, self.again[cell.key]) for cell in self.cells.values() if cell.key in self.again]
        changed = update(self.baseline, done)
        yield from telling.lines(compare(before, snapshot(str(self.baseline.path))))
        yield f"{changed} records appended to {self.baseline.path}; `git diff` shows them, `git checkout` undoes it"


class SuiteFile(pytest.File):
    """A suite: its cells that were chosen, and their costs where pytest-benchmark is installed."""

    cells: _Session

    def collect(self) -> Iterator[pytest.Item]:
        """One item a cell, `suite.toml::scenario/row/seed`."""
        for name in self.cells.cells:
            item = CellItem.from_parent(self, name=name)
            item.cells = self.cells
            yield item
        if self.config.pluginmanager.has_plugin("benchmark"):
            for name in self.cells.cells:
                yield _cost(self, self.cells, name)


class DepartedError(Exception):
    """A rerun is not within its baseline; the message has one line a metric."""


class CellItem(pytest.Item):
    """A cell, rerun and held against its record."""

    cells: _Session

    def runtest(self) -> None:
        """Fail where the cell ends otherwise, or a metric leaves its band."""
        from bench.regressions.baseline import ending, line

        self.cells.run(self.session)
        cell, baseline = self.cells.cells[self.name], self.cells.baseline
        again = self.cells.again.get(cell.key)
        if again is None:
            pytest.skip("the run of the suite was broken off: the first cell says why")
        found = self.cells.departures.get(self.name, [])
        if self.config.getoption("bench_update") and again.status != "failed":
            return
        if otherwise := ending(baseline, cell, again):
            raise DepartedError(otherwise)
        if alarms := [line(one) for one in found if one.alarms]:
            raise DepartedError("\n".join(alarms))
        if unknown := [line(one) for one in found if one.p is None]:
            pytest.skip("\n".join(unknown))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The lines alone, and how to go on."""
        if not isinstance(excinfo.value, DepartedError):
            return super().repr_failure(excinfo, style)
        baseline = self.cells.baseline
        again = f"python -m bench explain {self.name} --suite {baseline.planned.suite.path}"
        return f"{self.name} left its baseline, {baseline.path}\n{excinfo.value}\nwhat it stands on: {again}"

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says that it failed."""
        return self.path, None, self.name


class _Ratio:
    """A clock on which a ratio goes by."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def passes(self, ratio: float) -> None:
        self.time += ratio


def _cost(parent: SuiteFile, cells: _Session, name: str) -> pytest.Function:
    """The seconds of a cell as a benchmark of pytest-benchmark, in those of the baseline: they fail nothing."""
    clock = _Ratio()

    @pytest.mark.benchmark(timer=clock.now, group=COSTS)
    def seconds(benchmark: Any) -> None:
        cells.run(parent.session)
        ratio = cells.ratio(name)
        if ratio is None:
            pytest.skip("no seconds on record")
        benchmark.pedantic(clock.passes, args=(ratio,), rounds=1, iterations=1)

    return pytest.Function.from_parent(parent, name=f"{name} seconds", callobj=seconds)
