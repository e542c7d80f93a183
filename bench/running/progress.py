"""What a run shows: a live view on a terminal, plain lines when piped, nothing when called from Python."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, cast

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.console import plain
from bench.records.record import Record
from bench.records.store import Store
from bench.running.pace import Pace

if TYPE_CHECKING:
    from bench.models.spec import ModelSpec
    from bench.running.outcome import Outcome
    from bench.running.plan import Cell, Plan

_log = logging.getLogger(__name__)


class Report(Protocol):
    """What a run tells while it goes on."""

    def begin(self, planned: Plan, todo: list[Cell], reused: int, store: Store, models: int) -> None:
        """Before the first job; so many standard models have to be trained."""

    def tick(self, in_flight: Mapping[str, str], told: Mapping[str, tuple[int, int]]) -> None:
        """Four times a second: what is being computed, by key, and the steps of each that told any."""

    def trained(self, spec: ModelSpec, seconds: float) -> None:
        """A standard model is in the zoo; it took so long."""

    def reused(self, cell: Cell) -> None:
        """Another run finished this cell meanwhile."""

    def finished(self, cell: Cell, record: Record) -> None:
        """The record of a cell is on disk."""

    def warn(self, message: str) -> None:
        """Something the user must know."""

    def end(self, outcome: Outcome) -> None:
        """After the last job."""

    def close(self) -> None:
        """The run is over, however it ended."""


class Silent:
    """Says nothing; what the user must know is a Python warning."""

    def begin(self, planned: Plan, todo: list[Cell], reused: int, store: Store, models: int) -> None: ...
    def tick(self, in_flight: Mapping[str, str], told: Mapping[str, tuple[int, int]]) -> None: ...
    def trained(self, spec: ModelSpec, seconds: float) -> None: ...
    def reused(self, cell: Cell) -> None: ...
    def finished(self, cell: Cell, record: Record) -> None: ...
    def warn(self, message: str) -> None:
        warnings.warn(message, stacklevel=2)

    def end(self, outcome: Outcome) -> None: ...
    def close(self) -> None: ...


class _Sheltered:
    """See `sheltered`."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*words: object) -> None:
            try:
                getattr(self._report, name)(*words)
            except Exception as error:
                broken, self._report = self._report, Silent()
                with contextlib.suppress(Exception):
                    broken.close()
                _log.warning("nothing more is shown of this run, which goes on: %s: %s", type(error).__name__, error)

        return tell


def sheltered(report: Report) -> Report:
    """A report that ends no computation: after its first fault it shows nothing but warnings, and the run goes on."""
    return cast(Report, _Sheltered(report))


def expected_seconds(cells: Iterable[Cell], records: Iterable[Record]) -> dict[str, float]:
    """Cell key -> seconds to expect: those of the row's last record, else of the method's; no entry where unknown."""
    rows: dict[tuple[str, str], float] = {}
    methods: dict[str, float] = {}
    for record in records:
        seconds = record.provenance.get("seconds")
        if record.status == "ok" and seconds:
            rows[record.scenario, record.label] = seconds
            methods[record.method] = seconds
    out = {}
    for cell in cells:
        found = rows.get((cell.scenario.name, cell.row.label), methods.get(cell.row.method))
        if found is not None:
            out[cell.key] = found
    return out


def stand_in_lines(planned: Plan) -> list[str]:
    """The warnings of a plan: which data set could not be had, what stands in for it and where, what cannot be run."""
    uses = planned.data()
    alone = len(uses) == 1
    lines = [
        f"STAND-IN DATA: {data.stand_in_for} is not on disk and cannot be downloaded; "
        f"{'this run uses' if alone else ', '.join(scenarios) + ' will use'} {data.spec.name}, "
        "and the run files its records under that name."
        for data, scenarios in uses.items()
        if data.stand_in_for is not None
    ]
    lines += [
        f"STAND-IN DATA: [scenarios.{scenario}] {setting} = {asked!r} is not from elsewhere where {stand_in} stands "
        f"in; {taken} takes its place, and the records say {setting} = {taken!r}."
        for scenario, setting, asked, taken, stand_in in planned.replaced()
    ]
    return lines + fault_lines(planned)


def fault_lines(planned: Plan) -> list[str]:
    """Of every scenario that cannot be run here, why."""
    return [f"NOT RUN: scenario {name}: {why}" for name, why in planned.faults.items()]


class Terminal:
    """Lines for what happened; on a terminal also a live table of what is going on."""

    def __init__(self, console: Console, jobs: int) -> None:
        self.console, self.jobs = console, jobs
        self.live: Live | None = None
        self.total = self.done = 0
        self.started: dict[str, float] = {}
        self.pace = Pace((), {}, 0, jobs)

    def begin(self, planned: Plan, todo: list[Cell], reused: int, store: Store, models: int) -> None:
        """Say what will run on what data, the stand-in loudly."""
        suite = planned.suite
        for line in stand_in_lines(planned):
            self._line(line, "bold red")
        used = dict.fromkeys(f"{data.variant} [{data.fingerprint}]" for data in planned.data())
        self._line(
            f"{suite.name} ({suite.profile}) on {', '.join(used)}: "
            f"{len(todo)} cells to run, {reused} on record in {store.path}"
            f"{f'; {models} standard models to train' if models else ''}",
            "bold",
        )
        self.total, self.done = len(todo), 0
        self.pace = Pace(todo, expected_seconds(todo, store.read()), models, self.jobs)
        if self.console.is_terminal and todo:
            self.live = Live(console=self.console, refresh_per_second=4, transient=True)
            self.live.start()

    def tick(self, in_flight: Mapping[str, str], told: Mapping[str, tuple[int, int]]) -> None:
        """Redraw the live table."""
        now = time.monotonic()
        for key in in_flight:
            self.started.setdefault(key, now)
        if self.live is None:
            return
        table = Table.grid(padding=(0, 2))
        for key, name in in_flight.items():
            done, total = told.get(key, (0, 0))
            bar = ProgressBar(total=total, completed=done, width=24) if total else Text("")
            table.add_row(Text(name), bar, f"{done}/{total}" if total else "", f"{now - self.started[key]:.0f} s")
        head = Table.grid(padding=(0, 2))
        if self.pace.models > self.pace.trained:
            models, trained = self.pace.models, self.pace.trained
            head.add_row("models", ProgressBar(total=models, completed=trained, width=24), f"{trained}/{models}", "")
        head.add_row(
            "cells",
            ProgressBar(total=max(1, self.total), completed=self.done, width=24),
            f"{self.done}/{self.total}",
            self._time_left(),
        )
        self.live.update(Group(head, table))

    def _time_left(self) -> str:
        seconds = self.pace.left()
        return "time left not known yet" if seconds is None else f"about {span(seconds)} left"

    def _also(self) -> str:
        """What a line of a piped run says of the time; a terminal has the live view."""
        return "" if self.console.is_terminal or self.done == self.total else f", {self._time_left()}"

    def trained(self, spec: ModelSpec, seconds: float) -> None:
        """One line."""
        self.pace.model(seconds)
        count = f"[{self.pace.trained}/{self.pace.models}] " if self.pace.models else ""
        also = self._also() if self.pace.models else ""
        self._line(f"  zoo   {count}{spec.describe()} is trained  {seconds:.1f} s{also}")

    def reused(self, cell: Cell) -> None:
        """One line."""
        self._count(cell, None)
        self._line(f"  there {cell.name}  (by another run)")

    def finished(self, cell: Cell, record: Record) -> None:
        """One line: status, row, headline metric, seconds; or the reason."""
        from bench import registry

        self._count(cell, record.provenance.get("seconds") if record.status == "ok" else None)
        if record.status == "ok":
            headline = registry.SCENARIOS.get(record.kind).headline
            said = f"{headline} {record.metrics.get(headline, float('nan')):.4f}  {record.costs['seconds']:.1f} s"
        else:
            said = record.reason or ""
        mark = {"ok": "ok   ", "failed": "FAIL ", "skipped": "skip "}[record.status]
        style = {"ok": "", "failed": "bold red", "skipped": "yellow"}[record.status]
        self._line(f"  {mark} [{self.done}/{self.total}] {cell.name}  {said}{self._also()}", style)

    def _count(self, cell: Cell, seconds: float | None) -> None:
        self.done += 1
        self.pace.cell(cell, seconds)

    def warn(self, message: str) -> None:
        """One line."""
        self._line(f"  warning: {message}", "yellow")

    def end(self, outcome: Outcome) -> None:
        """What was done, and every failure once more."""
        self.close()
        failed = outcome.failed
        self._line(
            f"{outcome.ran} cells run, {outcome.reused} on record, {len(failed)} failed; "
            f"records in {outcome.store.path}"
        )
        for record in failed:
            self._line(f"  FAIL  {record.scenario}/{record.label}/{record.seed}: {record.reason}", "bold red")
        for line in fault_lines(outcome.plan):
            self._line(f"  {line}", "bold red")

    def _line(self, text: str, style: str = "") -> None:
        """As it stands: no markup, no wrapping, nothing that steers the terminal."""
        self.console.print(Text(plain(text), style=style), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Take the live table down."""
        if self.live is not None:
            self.live.stop()
            self.live = None


def span(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
