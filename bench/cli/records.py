"""The commands about records: what they stand on, who vouches for them, whether they can be computed again."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from shlex import quote

import click

from bench.cli.options import (
    console,
    device_option,
    jobs_option,
    only_option,
    plan_of,
    plugin_option,
    profile_option,
    results_option,
    suite_argument,
    worker_plugin_option,
)
from bench.errors import BenchError

DIFFERENT = 1


@click.command()
@click.argument("row")
@click.option("--suite", "suite", required=True, metavar="SUITE")
@profile_option
@results_option
@plugin_option
def explain(row: str, suite: str, profile: str | None, results: Path) -> None:
    """What a record was asked and stands on, how to rerun it, and why it would be reused or run again.

    ROW is scenario/label/seed, or part of it, or a key.
    """
    from bench.cli import explain

    for text in explain.explain(plan_of(suite, profile, None, None), row, results):
        click.echo(text)


@click.command()
@click.argument("suites", nargs=-1, required=True, metavar="SUITE...")
@profile_option
@only_option
@jobs_option
@device_option
@results_option
@worker_plugin_option
def vouch(
    suites: tuple[str, ...],
    profile: str | None,
    only: str | None,
    jobs: int | None,
    device: str,
    results: Path,
    plugins: tuple[Path, ...],
) -> None:
    """Rerun the cheapest cell of each kind, method and architecture whose code moved, and file where it is equal.

    What is equal to the last digit is written to bench/records/vouched.jsonl, and records of its kind stand on.
    """
    from bench.running.progress import Terminal
    from bench.running.workers import default_jobs
    from bench.vouching.vouch import vouch as vouch_for

    refused = False
    for suite in suites:
        planned = plan_of(suite, profile, None, only, device)
        at_once = jobs or default_jobs(planned.suite.threads)
        report = Terminal(console(), at_once)
        found = vouch_for(planned, results=results, jobs=at_once, device=device, plugins=plugins, report=report)
        if not (found.vouched or found.refused or found.clocked):
            click.echo(f"{planned.suite.name}: nothing to vouch for: no record here stands on code that moved")
            continue
        records = sum(len(stratum.pairs) for stratum in found.vouched)
        click.echo(f"{planned.suite.name}: {len(found.vouched)} kinds of cells vouched for; {records} records stand on")
        if found.clocked:
            click.echo(
                f"  {found.clocked} records of boards of seconds cannot be vouched for, as costs cannot: run them"
            )
        for name, how in found.refused.items():
            click.echo(f"  NOT vouched for: {name}: {how}")
        refused |= bool(found.refused)
    if refused:
        sys.exit(DIFFERENT)


@click.command()
@suite_argument
@profile_option
@only_option
@click.option("--sample", type=click.IntRange(min=1), default=10, show_default=True, help="How many cells.")
@jobs_option
@device_option
@results_option
@worker_plugin_option
def reproduce(
    suite: str,
    profile: str | None,
    only: str | None,
    sample: int,
    jobs: int | None,
    device: str,
    results: Path,
    plugins: tuple[Path, ...],
) -> None:
    """Rerun a sample of the cells on record here, and say whether each lies within its row's own spread over seeds."""
    from bench.running.progress import Terminal
    from bench.running.workers import default_jobs
    from bench.vouching.reproduce import line
    from bench.vouching.reproduce import reproduce as rerun

    planned = plan_of(suite, profile, None, only, device)
    at_once = jobs or default_jobs(planned.suite.threads)
    report = Terminal(console(), at_once)
    found = rerun(planned, results=results, sample=sample, jobs=at_once, device=device, plugins=plugins, report=report)
    for one in found:
        click.echo(line(one))
    equal, within = sum(one.difference is None for one in found), sum(one.within is True for one in found)
    click.echo(f"{equal} of {len(found)} equal to the last digit, {within} within their row's spread over seeds")
    if any(one.within is False for one in found):
        sys.exit(DIFFERENT)


@click.command()
@suite_argument
@profile_option
@only_option
@jobs_option
@device_option
@results_option
@worker_plugin_option
def rescore(
    suite: str,
    profile: str | None,
    only: str | None,
    jobs: int | None,
    device: str,
    results: Path,
    plugins: tuple[Path, ...],
) -> None:
    """Compute new or mended metrics of cells on record from their kept results, without running their methods.

    Results are kept in the cache, the newest 8 GiB of them.
    """
    from bench.running.progress import Terminal
    from bench.running.workers import default_jobs
    from bench.vouching.rescore import rescore as score_again

    planned = plan_of(suite, profile, None, only, device)
    at_once = jobs or default_jobs(planned.suite.threads)
    report = Terminal(console(), at_once)
    found = score_again(planned, results=results, jobs=at_once, device=device, plugins=plugins, report=report)
    click.echo(f"{found.done} records scored again; of {found.lacking} no result is kept: run them")
    for parts, number in found.elsewhere.items():
        click.echo(f"  {number} records stand on other code in {parts} as well: vouch for that first, or run them")
    for name, why in found.failed.items():
        click.echo(f"  FAIL  {name}: {why}")
    if found.failed:
        sys.exit(DIFFERENT)


@click.command()
@click.argument("suites", nargs=-1, required=True, metavar="SUITE...")
@profile_option
@click.option("--drop", is_flag=True, help="Forget what was replaced, in place of moving it to <profile>.old.jsonl.")
@results_option
@plugin_option
def compact(suites: tuple[str, ...], profile: str | None, drop: bool, results: Path) -> None:
    """Leave one record a cell in a suite's results file."""
    from bench.records.compacting import compact as shorten
    from bench.running.plan import keys_asked
    from bench.suite import suite as suites_

    for suite in suites:
        loaded = suites_.load(suite, profile)
        path = results / loaded.name / f"{loaded.profile}.jsonl"
        if not path.is_file():
            raise BenchError(f"no records at {path}")
        left, taken = shorten(path, partial(keys_asked, loaded), drop=drop)
        click.echo(f"{path}: {left} records left, {taken} {'dropped' if drop else 'moved to the archive'}")


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...", type=click.Path(path_type=Path))
@results_option
def join(folders: tuple[Path, ...], results: Path) -> None:
    """Put the records of results folders, as those of a job array, into one folder; the FOLDERs stay as they are.

    Damaged lines are left out and told. Of two records that contradict each other the one joined later counts, and
    the exit status is 1.
    """
    from bench.running import arguments, joining

    faults = []
    for one in joining.join(folders, arguments.results(results)):
        click.echo(f"{one.path}: {one.added} records added, {one.known} there already")
        faults += one.faults
    for fault in faults:
        click.echo(f"  {fault}", err=True)
    click.echo(f"next: python -m bench leaderboard --results {quote(str(results))}    # SUITE.toml for one of your own")
    if faults:
        sys.exit(DIFFERENT)


COMMANDS = (explain, vouch, reproduce, rescore, compact, join)
