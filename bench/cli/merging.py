"""The command `merge`: checkpoints on disk, merged by a method that needs weights alone."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bench.cli.options import plugin_option

PATH = click.Path(path_type=Path)


def _settings(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, object]:
    """`name=value`, the value as TOML has it, or else as text."""
    found: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{pair!r}: give NAME=VALUE, like keep=0.2")
        try:
            found[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = value.strip()
    return found


@click.command()
@click.argument("method")
@click.argument("more", nargs=-1, type=PATH, metavar="")
@click.option("--models", multiple=True, type=PATH, metavar="MODEL MODEL ...", required=True, help="What is merged.")
@click.option("--base", type=PATH, help="What all models were tuned from.")
@click.option("--out", type=PATH, required=True, help="A file that ends in .safetensors, or a folder.")
@click.option("--set", "settings", multiple=True, callback=_settings, metavar="NAME=VALUE", help="A hyperparameter.")
@click.option("--keep", multiple=True, metavar="PATTERN", help="Tensors that are taken from the base as they are.")
@click.option("--dtype", metavar="NAME", help="Of all weights: float32, float16, bfloat16, float64.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of random draws.")
@plugin_option
def merge(
    method: str,
    more: tuple[Path, ...],
    models: tuple[Path, ...],
    base: Path | None,
    out: Path,
    settings: dict[str, object],
    keep: tuple[str, ...],
    dtype: str | None,
    seed: int,
) -> None:
    """Merge checkpoints on disk, piece by piece.

    METHOD is average, slerp, task-arithmetic, ties, dare, breadcrumbs, tsv-merge, iso-c, iso-cts or knots;
    `python -m bench show METHOD` tells its hyperparameters. A checkpoint is a safetensors file, a torch file, an index
    of shards, or a Hugging Face folder, whose config and tokenizer are copied along.
    """
    from bench.merging.merge import merge as merge_checkpoints

    with _shown() as show:
        merged = merge_checkpoints(
            method,
            [*models, *more],  # an option of click takes one value; those behind the first are arguments to it
            out,
            base=base,
            settings=settings,
            keep=keep,
            dtype=dtype,
            seed=seed,
            progress=show,
        )
    click.echo(f"{merged.out}: {method} of {len(models) + len(more)} models; {merged.record} says of which and how")


@contextmanager
def _shown() -> Iterator[Callable[[str, int, int], None] | None]:
    """A line on standard error that says how far the merge is; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, file=sys.stderr)
    if not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        line = bar.add_task("", total=None)
        yield lambda what, done, in_all: bar.update(line, description=what, completed=done, total=in_all)
