"""What commands do with boards: build them from records, write them and the front page, print their claims."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.console import plain
from bench.errors import BenchError
from bench.leaderboard import build, claim_lines, looked, write
from bench.leaderboard import write_front as write_front_files
from bench.leaderboard.building import judging
from bench.leaderboard.export import Exported
from bench.records.provenance import provenance
from bench.records.store import Store
from bench.suite import suite as suites
from bench.verdicts import history

if TYPE_CHECKING:
    from rich.console import Console

    from bench.leaderboard import Board
    from bench.suite.suite import Suite


def files_there(suite: Suite, results: Path) -> list[Path]:
    """The records of a suite at its profile: on its own data, and on stand-ins."""
    folders = [results / suite.name, *sorted(results.glob(f"{suite.name}@*"))]
    return [path for folder in folders if (path := folder / f"{suite.profile}.jsonl").is_file()]


def result_files(suite: Suite, results: Path) -> list[Path]:
    """As `files_there`. Raises BenchError if there are none."""
    found = files_there(suite, results)
    if not found:
        missing = results / suite.name / f"{suite.profile}.jsonl"
        raise BenchError(f"no records at {missing}; run `python -m bench run {suite.path}` first")
    return found


def all_with_records(results: Path, profile: str | None) -> list[tuple[Suite, Path]]:
    """Every shipped suite with records in a folder, at every profile that has some (or at `profile`), and the records.

    Raises:
        BenchError: there are no records of any.
    """
    found = []
    for name in suites.shipped():
        for known in suites.profiles(name):
            if profile in (None, known):
                loaded = suites.load(name, known)
                found += [(loaded, path) for path in files_there(loaded, results)]
    if not found:
        raise BenchError(
            f"no records of a shipped suite in {results}; run one first, or name your own: "
            "`python -m bench leaderboard PATH.toml`"
        )
    return found


def board(suite: Suite, path: Path) -> Board:
    """The board of a results file."""
    content = Store(path).content()
    return build(suite, content.records, content.faults, history.read(looked.path_of(path)))


def exported(suite: Suite, path: Path) -> Exported:
    """What `bench export` prints of a results file."""
    content = Store(path).content()
    past = history.read(looked.path_of(path))
    cells = judging(suite, content.records, past).selection.cells
    return Exported(build(suite, content.records, content.faults, past), cells)


def write_board(suite: Suite, path: Path, console: Console) -> Board:
    """Write the board of a results file beside it, note new looks at claims, and print the claims."""
    made = board(suite, path)
    if new := looked.write_down(
        made.looked, path, provenance()["commit"], datetime.now(UTC).isoformat(timespec="seconds")
    ):
        console.print(f"wrote {len(new)} looks to {looked.path_of(path)}", markup=False, soft_wrap=True)
    print_claims(made, console)
    for written in write(made, path.parent):
        console.print(f"wrote {written}", markup=False, soft_wrap=True)
    return made


def write_front(results: Path, console: Console) -> None:
    """Write the front page of a results folder, and say which files it leaves alone."""
    written, left = write_front_files(results)
    for path in written:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)
    for path in left:
        console.print(f"left {path} alone: something else wrote it", markup=False, soft_wrap=True)


def print_claims(made: Board, console: Console) -> None:
    """One line a claim."""
    print_lines(claim_lines(made), console)


def print_lines(lines: Iterable[str], console: Console) -> None:
    """As they stand: no markup, no wrapping, nothing that steers the terminal."""
    for line in lines:
        console.print(plain(line), markup=False, soft_wrap=True)
