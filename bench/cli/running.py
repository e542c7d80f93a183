"""The command `run`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import (
    console,
    device_option,
    jobs_option,
    only_option,
    plan_of,
    profile_option,
    results_option,
    seeds_option,
    shard_option,
    suite_argument,
    worker_plugin_option,
)
from bench.console import plain

if TYPE_CHECKING:
    from rich.console import Console

    from bench.running.plan import Plan
    from bench.running.sharding import Shard

FAILED_CELLS = 1


@click.command()
@suite_argument
@profile_option
@seeds_option
@only_option
@shard_option
@jobs_option
@device_option
@click.option("--force", is_flag=True, help="Run cells again that are on record.")
@click.option("--keep-unvouched", is_flag=True, help="Keep records whose code moved; boards mark them.")
@click.option("--dry-run", is_flag=True, help="Show the cells, which are on record, and the expected time.")
@click.option("--until-decided", is_flag=True, help="Then add seeds where they decide most claims an hour.")
@click.option("--budget", metavar="4h", help="Time of --until-decided: hours (4h), minutes (30min) or seconds (90s).")
@results_option
@worker_plugin_option
def run(
    suite: str,
    profile: str | None,
    seeds: tuple[int, ...] | None,
    only: str | None,
    shard: Shard | None,
    jobs: int | None,
    device: str,
    force: bool,
    keep_unvouched: bool,
    dry_run: bool,
    until_decided: bool,
    budget: str | None,
    results: Path,
    plugins: tuple[Path, ...],
) -> None:
    """Run a suite; leave records, a leaderboard and verdicts on claims."""
    from bench.cli import boards, closing
    from bench.cli.dry_run import dry_run_lines
    from bench.running import arguments, runner, sharding
    from bench.running.progress import Terminal
    from bench.running.workers import default_jobs

    results = arguments.results(results)
    if until_decided and (seeds or only or force or shard):
        raise click.UsageError(
            "--until-decided chooses rows and seeds itself: leave out --seeds, --only, --shard and --force"
        )
    if budget and not until_decided:
        raise click.UsageError("--budget is that of --until-decided")
    planned = plan_of(suite, profile, seeds, only, device)
    whole = len(planned.cells)
    if shard:
        planned = sharding.part(planned, shard)
    jobs = jobs or default_jobs(planned.suite.threads)
    if until_decided:
        _run_until_decided(planned, results, jobs, device, budget, keep_unvouched, plugins, dry_run)
        return
    if dry_run:
        for line in dry_run_lines(planned, results, jobs, force):
            click.echo(line)
        if planned.faults:
            sys.exit(FAILED_CELLS)
        return
    terminal = console()
    try:
        outcome = runner.execute(
            planned,
            results=results,
            jobs=jobs,
            device=device,
            force=force,
            keep_unvouched=keep_unvouched,
            plugins=plugins,
            report=Terminal(terminal, jobs),
        )
    except KeyboardInterrupt:
        if not shard and (path := runner.store_of(planned, results).path).is_file():
            boards.write_board(planned.suite, path, terminal)
            boards.write_front(results, terminal)
        raise
    if shard:
        for line in closing.shard_lines(shard, len(planned.cells), whole, planned.suite, results):
            terminal.print(line, markup=False, soft_wrap=True)
    else:
        _close(planned, outcome.store.path, results, len(outcome.failed), terminal)
    if outcome.failed or planned.faults:
        sys.exit(FAILED_CELLS)


def _run_until_decided(
    planned: Plan,
    results: Path,
    jobs: int,
    device: str,
    budget: str | None,
    keep_unvouched: bool,
    plugins: tuple[Path, ...],
    dry_run: bool,
) -> None:
    """`run --until-decided`."""
    from bench import deciding
    from bench.running.progress import Terminal
    from bench.running.runner import store_of

    seconds = math.inf if budget is None else deciding.budget(budget)
    if dry_run:
        for line in deciding.dry_run_lines(planned, results, jobs, device):
            click.echo(line)
        return
    terminal = console()

    def tell(line: str) -> None:
        terminal.print(plain(line), markup=False, soft_wrap=True)

    found = deciding.until_decided(
        planned,
        results=results,
        jobs=jobs,
        device=device,
        budget=seconds,
        keep_unvouched=keep_unvouched,
        plugins=plugins,
        report=Terminal(terminal, jobs),
        tell=tell,
    )
    for line in found.lines:
        tell(line)
    _close(planned, store_of(planned, results).path, results, found.failed, terminal)
    if found.failed or planned.faults:
        sys.exit(FAILED_CELLS)


def _close(planned: Plan, path: Path, results: Path, failed: int, terminal: Console) -> None:
    """The end of a run: its board, the front of the folder, and three lines."""
    from bench.cli import boards, closing

    board = boards.write_board(planned.suite, path, terminal)
    boards.write_front(results, terminal)
    for line in closing.lines(planned.suite, board, path.with_suffix(".html"), results, failed):
        terminal.print(line, markup=False, soft_wrap=True)
