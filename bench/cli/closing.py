"""The last three lines of a run: what was found, where the page is, what to try next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from bench.console import plain
from bench.leaderboard import front, wording
from bench.leaderboard.summary import summarize

if TYPE_CHECKING:
    from bench.leaderboard import Board
    from bench.running.sharding import Shard
    from bench.suite.suite import Suite


def lines(suite: Suite, board: Board, page: Path, results: Path, failed: int) -> Iterator[str]:
    """Three lines for the terminal.

    Args:
        suite: what was run.
        board: what came of it.
        page: its page.
        results: the folder of results that was asked for.
        failed: how many of its cells failed.
    """
    yield f"found: {_found(board)}"
    yield f"page:  {page} (all suites: {results / 'index.html'})"
    yield f"next:  {_next(suite, board, results, failed)}"


def shard_lines(shard: Shard, own: int, cells: int, suite: Suite, results: Path) -> Iterator[str]:
    """Three lines after a shard, which leaves records and no board.

    Args:
        own: its cells.
        cells: those of all shards.
        suite: what was run.
        results: the folder of results that was asked for.
    """
    folder, what = quote(str(results)), quote(str(suite.path))
    yield f"shard: {shard}, {own} of {cells} cells; records in {results}, and no board yet"
    yield f"next:  when all {shard.count} are done: python -m bench leaderboard {what} --results {folder}"
    yield f"       if each has a folder of its own, before it: python -m bench join FOLDER... --results {folder}"


def _found(board: Board) -> str:
    told = [wording.answers(Counter(v.answer for v in board.claims))] if board.claims else []
    first = [f"{answer.label} ({answer.kind})" for answer in front.answers(summarize(board)) if answer.label]
    told += [f"First on most boards of their kind: {', '.join(first)}."] if first else ["No row is ranked."]
    return plain(" ".join(told))


def _next(suite: Suite, board: Board, results: Path, failed: int) -> str:
    folder = "" if results == Path("results") else f" --results {quote(str(results))}"
    what = f"{quote(str(suite.path))} --profile {suite.profile}{folder}"
    if failed:
        return f"python -m bench run {what}    # tries the {failed} failed cells again, once their reasons are mended"
    if any(v.answer == "undecided" for v in board.claims):
        return f"python -m bench run {what} --until-decided --budget 30min    # more seeds where they decide claims"
    return "python -m bench list    # more suites to run, and the methods to put into your own"
