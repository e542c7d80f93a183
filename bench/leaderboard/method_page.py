"""The page of a method: what it is, its rows on all boards, the claims about it, and where its numbers come from.

Rows and claims are those of the boards' summaries; the rest is what `bench show` prints.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import registry
from bench.leaderboard import columns, front, prose
from bench.leaderboard.page import template
from bench.leaderboard.summary import METHODS, BoardSummary, ClaimSummary, Entry, Summary, cells_anchor
from bench.registry import Method
from bench.suite import about
from bench.suite.about import Sight

MOST_CELLS = 5000
"""Cells that a page names one by one, so that it stays below 1.5 MB."""


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter."""

    name: str
    type: str
    default: str
    """"" where a suite must say it."""
    bounds: str
    help: str


@dataclass(frozen=True)
class About:
    """What an installed method says of itself."""

    text: str
    """HTML."""
    scenarios: tuple[str, ...]
    access: tuple[str, ...]
    sights: tuple[Sight, ...]
    parameters: tuple[Parameter, ...]
    source: str
    """Its file, without what lies above the package."""
    link: str
    """The address of that file from the page; "" where it does not lie beside the results folder."""


@dataclass(frozen=True)
class Place:
    """A row of the method on a board."""

    folder: str
    summary: Summary
    board: BoardSummary
    entry: Entry
    anchor: str
    """Of its cells on the method's page."""
    only: str
    """What `--only` takes for its first cell."""
    run: str
    """The command that runs that cell again."""
    explain: str
    """The command that says what that cell stands on."""
    cells: int
    """How many of its cells the page names."""

    @property
    def page(self) -> str:
        """The address of the suite's page, from the method's."""
        return f"../{self.folder}/{self.summary.profile}.html"


@dataclass(frozen=True)
class Told:
    """A claim that compares a row of the method."""

    folder: str
    summary: Summary
    claim: ClaimSummary
    better: bool
    """Whether the method is said to be the better one."""

    @property
    def page(self) -> str:
        """The address of the suite's page, from the method's."""
        return f"../{self.folder}/{self.summary.profile}.html"


@dataclass(frozen=True)
class MethodPage:
    """All that a method's page shows."""

    name: str
    entry: Entry
    """Any of its rows."""
    about: About | None
    """None where the method is not installed."""
    places: tuple[Place, ...]
    claims: tuple[Told, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Answer -> number of its claims."""
        return front.count_answers(told.claim.answer for told in self.claims)


def pages(found: front.Front, results: Path) -> list[MethodPage]:
    """A page for each method with a row in a results folder."""
    places: dict[str, list[Place]] = {}
    claims: dict[str, list[Told]] = {}
    for folder, summary in ((suite.folder, shown) for suite in found.suites for shown in suite.shown):
        methods = {(board.name, row.label): row.method for board in summary.boards for row in board.rows}
        for board in summary.boards:
            for entry in board.rows:
                there = places.setdefault(entry.method, [])
                left = MOST_CELLS - sum(place.cells for place in there)
                there.append(_place(folder, summary, board, entry, left, results))
        for claim in summary.claims:
            sides = [methods.get((claim.scenario, label)) for label in (claim.better, claim.worse)]
            for name in dict.fromkeys(filter(None, sides)):
                claims.setdefault(name, []).append(Told(folder, summary, claim, name == sides[0]))
    return [
        MethodPage(
            entry.method,
            entry,
            _about(registry.METHODS.entries.get(entry.method), results),
            tuple(places.get(entry.method, ())),
            tuple(claims.get(entry.method, ())),
        )
        for entry in found.methods
    ]


def render(page: MethodPage) -> str:
    """The whole page."""
    return template("method.html.jinja").render(page=page, mark=front.MARK, help=columns.HELP)


def _place(folder: str, summary: Summary, board: BoardSummary, entry: Entry, left: int, results: Path) -> Place:
    seed = entry.origins[0].seed if entry.origins else None
    only = f"{board.name}/{entry.label}/{'*' if seed is None else seed}"
    at = f"--profile {summary.profile}{'' if results == Path('results') else f' --results {shlex.quote(str(results))}'}"
    cell = f"'{only}'"  # no name has a quote
    suite, force = shlex.quote(summary.run), " --force" if entry.origins else ""
    return Place(
        folder=folder,
        summary=summary,
        board=board,
        entry=entry,
        anchor=cells_anchor(summary.place, entry.anchor),
        only=only,
        run=f"python -m bench run {suite} {at} --only {cell}{force}",
        explain=f"python -m bench explain {cell} --suite {suite} {at}" if entry.origins else "",
        cells=min(len(entry.origins), max(left, 0)),
    )


def _about(method: Method | None, results: Path) -> About | None:
    if method is None:
        return None
    told = about.method(method)
    source, link = _source(method.file, results)
    return About(
        text=prose.html(told["about"]),
        scenarios=tuple(told["scenarios"]),
        access=tuple(told["access"]),
        sights=about.sights(method),
        parameters=tuple(_parameter(name, key) for name, key in told["parameters"].items()),
        source=source,
        link=link,
    )


def _source(file: Path, results: Path) -> tuple[str, str]:
    """(the file of a method for readers, its address from the pages of a results folder or "")."""
    folder = results.resolve() / METHODS
    file = file.resolve()
    if not file.is_relative_to(folder.parents[1]):
        return "/".join(file.parts[-3:] if "methods" in file.parts[-3:-1] else file.parts[-1:]), ""
    return file.relative_to(folder.parents[1]).as_posix(), Path(os.path.relpath(file, folder)).as_posix()


def _parameter(name: str, key: dict[str, Any]) -> Parameter:
    rest = dict(key)
    type_, help_ = rest.pop("type"), rest.pop("about", "")
    default = json.dumps(rest.pop("default")) if "default" in rest else ""
    bounds = ", ".join(f"{word} {_bound(value)}" for word, value in rest.items())
    return Parameter(name, type_, default, bounds, help_)


def _bound(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, int | float) else str(value)
