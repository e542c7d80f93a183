"""The command line. Every command imports what it needs when it is called, so that `--help` answers at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from bench.atomic import write_whole
from bench.cli import interrupts, merging, records
from bench.cli.options import (
    console,
    device_option,
    jobs_option,
    json_option,
    plan_of,
    plugin_option,
    profile_option,
    results_option,
    seeds_option,
    suite_argument,
    worker_plugin_option,
)
from bench.cli.running import FAILED_CELLS, run
from bench.console import forgive, plain
from bench.errors import BenchError
from bench.version import __version__

BAD_INPUT = 2


def main() -> None:
    """Run the command line; bad input prints its message alone and exits with 2."""
    forgive()
    interrupts.end_politely()
    try:
        cli(standalone_mode=False)
    except BenchError as error:
        click.secho(f"error: {plain(str(error))}", fg="red", err=True)
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        interrupts.end()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bench")
def cli() -> None:
    """Which way of moving knowledge between neural networks really works, and at what price?

    A SUITE is the path of a TOML file, or the name of one that ships with the package.
    """


for command in (run, merging.merge, *records.COMMANDS):
    cli.add_command(command)


@cli.command()
@click.argument("suite", metavar="[SUITE]", required=False)
@profile_option
@results_option
@json_option
@plugin_option
def leaderboard(suite: str | None, profile: str | None, results: Path, as_json: bool) -> None:
    """Regenerate a suite's boards (md, csv, html) and claims from its records, and the front page of all suites.

    Without SUITE: those of every suite with records in the folder.
    """
    from bench.cli import boards
    from bench.leaderboard import as_data
    from bench.suite import suite as suites

    found = boards.all_with_records(results, profile) if suite is None else None
    if found is None:
        loaded = suites.load(str(suite), profile)
        found = [(loaded, path) for path in boards.result_files(loaded, results)]
    if as_json:
        built = {str(path): as_data(boards.board(loaded, path)) for loaded, path in found}
        click.echo(json.dumps(built, indent=1))
        return
    for loaded, path in found:
        boards.write_board(loaded, path, console())
    boards.write_front(results, console())


@cli.command()
@click.argument("suites", metavar="[SUITE]...", nargs=-1)
@profile_option
@results_option
@json_option
@plugin_option
def claims(suites: tuple[str, ...], profile: str | None, results: Path, as_json: bool) -> None:
    """What the papers say, and what the records say to it.

    Of one SUITE every claim; of several, or of all that ship if none is named, how many are decided, and how each
    paper fares, as Markdown.
    """
    from bench.cli import boards
    from bench.leaderboard import as_data, claim_lines, replication
    from bench.suite import suite as reading

    loaded = [reading.load(name, profile) for name in suites or reading.shipped()]
    files = boards.result_files if suites else boards.files_there
    built = {path: boards.board(suite, path) for suite in loaded for path in files(suite, results)}
    by_name = {path.parent.name: board for path, board in built.items()}
    if len(suites) == 1:
        told = {str(path): as_data(board)["claims"] for path, board in built.items()}
        lines = [line for board in built.values() for line in claim_lines(board)]
    else:
        told, lines = replication.as_data(by_name), list(replication.lines(by_name))
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    boards.print_lines(lines, console())


@cli.command()
@suite_argument
@profile_option
@results_option
@click.option(
    "--format", "form", type=click.Choice(["csv", "json", "latex", "parquet"]), default="csv", show_default=True
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write a file in place of printing.")
@plugin_option
def export(suite: str, profile: str | None, results: Path, form: str, output: Path | None) -> None:
    """A suite's results as data: the records that its boards use.

    csv, json and parquet have one row a number of a seed (docs/export.md has the columns); latex has one booktabs table
    a board, with intervals. parquet needs `pip install 'ktbench[parquet]'` and --output.
    """
    from bench.cli import boards
    from bench.leaderboard import export
    from bench.suite import suite as suites

    if form == "parquet" and output is None:
        raise click.UsageError("parquet is not text: name a file, as in --output results.parquet")
    loaded = suites.load(suite, profile)
    found = [boards.exported(loaded, path) for path in boards.result_files(loaded, results)]
    content = export.FORMATS[form](found)
    if output is None:
        click.echo(content, nl=False)
        return
    try:
        write_whole(output, content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise BenchError(f"{output} cannot be written: {error.strerror or error}") from error


@cli.command("list")
@json_option
@plugin_option
def list_(as_json: bool) -> None:
    """Methods, scenarios, data sets, suites."""
    from bench.cli import describe

    catalogue = describe.catalogue()
    if as_json:
        click.echo(json.dumps(catalogue, indent=1))
    else:
        describe.print_catalogue(catalogue, console())


@cli.command()
@click.argument("name")
@profile_option
@json_option
@plugin_option
def show(name: str, profile: str | None, as_json: bool) -> None:
    """What a method is, needs and may be set; what a scenario gives; a data set; a suite's plan."""
    from bench.cli import describe

    shown = describe.about(name, profile)
    if as_json:
        click.echo(json.dumps(shown, indent=1))
    else:
        describe.print_description(shown, console())


@cli.command()
@click.argument("suite", metavar="SUITE", required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of suite files, for editors.")
@json_option
@plugin_option
def check(suite: str | None, schema: bool, as_json: bool) -> None:
    """Validate a suite, every profile of it, without running anything."""
    from bench.suite import checking

    if schema:
        from bench.suite.json_schema import json_schema

        click.echo(json.dumps(json_schema(), indent=1))
        return
    if suite is None:
        raise click.UsageError("give a SUITE, or --schema")
    checked = checking.check(suite)
    if as_json:
        click.echo(json.dumps(checked, indent=1))
        return
    for profile in checked["profiles"]:
        click.echo(
            f"{checked['path']}: profile {profile['profile']} is sound: {profile['scenarios']} scenarios, "
            f"{profile['rows']} rows, {profile['seeds']} seeds, {profile['cells']} cells, {profile['claims']} claims"
        )


@cli.command()
@click.argument("method")
@click.option("--inline", is_flag=True, help="Run it once in this process and check nothing: for a debugger.")
@plugin_option
def test(method: str, inline: bool) -> None:
    """The conformance kit on one method, ours or yours."""
    from bench import conformance, registry
    from bench.method_process.launcher import Server

    if inline:
        for kind, told in conformance.run_inline(method):
            click.echo(f"{kind:<10} {told}")
        return
    failed = False
    server = Server(registry.plugins())
    for result in conformance.check_method(method, server):
        mark = click.style("ok  ", fg="green") if result.ok else click.style("FAIL", fg="red")
        click.echo(f"{mark} {result.scenario:<10} {result.check:<28} {result.detail}")
        failed |= not result.ok
    server.stop()
    if failed:
        sys.exit(FAILED_CELLS)


@cli.command()
@suite_argument
@profile_option
@seeds_option
@jobs_option
@device_option
@click.option("--list", "listing", is_flag=True, help="Show the suite's standard models; train nothing.")
@click.option("--prune", is_flag=True, help="Remove what no profile of this suite needs.")
@json_option
@worker_plugin_option
def zoo(
    suite: str,
    profile: str | None,
    seeds: tuple[int, ...] | None,
    jobs: int | None,
    device: str,
    listing: bool,
    prune: bool,
    as_json: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Train a suite's standard models ahead; list or prune them."""
    from bench.cli import zoo

    planned = plan_of(suite, profile, seeds, None, device)
    if prune:
        for path in zoo.prune(suite, device):
            click.echo(f"removed {path}")
        return
    if not listing:
        zoo.train(planned, jobs, device, plugins, console())
    rows = zoo.entries(planned, device)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for entry in rows:
        click.echo(zoo.line(entry))


@cli.group()
def data() -> None:
    """Data sets: what is here, fetch, verify."""


@data.command("list")
@json_option
def data_list(as_json: bool) -> None:
    """What is here."""
    from bench.data import DATASETS, describe

    rows = [describe(name) for name in DATASETS]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        click.echo("  ".join(f"{key}={value}" for key, value in row.items()))


@data.command("fetch")
@click.argument("name")
def data_fetch(name: str) -> None:
    """Download a data set from its official address and check it by hash."""
    from bench.data import fetch

    click.echo(str(fetch(name)))


@data.command("verify")
@click.argument("name")
def data_verify(name: str) -> None:
    """Hash a data set on disk and say which variant it is."""
    from bench.data import verify

    click.echo(str(verify(name)))
