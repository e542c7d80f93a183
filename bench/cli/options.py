"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from bench.running.plan import Plan
    from bench.running.sharding import Shard


def _plugins(_: click.Context, __: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    from bench import registry

    registry.load_plugins(paths)
    return paths


def _plugin_option(*, passed_on: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        callback=_plugins,
        expose_value=passed_on,
        metavar="FILE.py",
        help="A file with methods or scenarios of your own.",
    )


plugin_option = _plugin_option(passed_on=False)
worker_plugin_option = _plugin_option(passed_on=True)
profile_option = click.option("--profile", help="smoke, cpu or gpu; by default what suits this machine.")
results_option = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Folder of records."
)
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")
suite_argument = click.argument("suite", metavar="SUITE")
only_option = click.option("--only", metavar="PATTERN", help="Part or shell pattern of scenario/row/seed.")


def _seeds(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    from bench.running import arguments

    try:
        return arguments.seeds([int(part) for part in text.split(",")])
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of numbers like 0,1,2") from None


def _shard(_: click.Context, __: click.Parameter, text: str | None) -> Shard | None:
    from bench.running import sharding

    return sharding.shard(text)


seeds_option = click.option("--seeds", callback=_seeds, metavar="0,1,2", help="In place of the suite's.")
shard_option = click.option(
    "--shard", callback=_shard, metavar="3/8", help="The third of eight parts of these cells, as for a job array."
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 1024), help="Cells at once; by default as many as the cores allow."
)
device_option = click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...")


def plan_of(
    suite: str, profile: str | None, seeds: tuple[int, ...] | None, only: str | None, device: str = "auto"
) -> Plan:
    """The plan of what a command was given."""
    from bench.running import arguments
    from bench.running.plan import plan
    from bench.suite import suite as suites

    return plan(suites.load(suite, profile), seeds, only, arguments.device(device))


def console() -> Console:
    """Where a command writes."""
    from rich.console import Console

    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = 200  # a pipe has no width; do not wrap lines for it
    return found
