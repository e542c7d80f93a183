"""What the `zoo` command does: train a suite's standard models ahead, list them, prune what nothing needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import ZooError
from bench.running.plan import Plan, plan
from bench.zoo import the_zoo

if TYPE_CHECKING:
    from rich.console import Console


def train(planned: Plan, jobs: int | None, device: str, plugins: Sequence[Path], console: Console) -> None:
    """Train what is missing. Raises ZooError that names every model or scenario that could not be seen to."""
    from bench.running.progress import Terminal, fault_lines
    from bench.running.runner import train_standard_models
    from bench.running.workers import default_jobs

    jobs = jobs or default_jobs(planned.suite.threads)
    report = Terminal(console, jobs)
    broken = train_standard_models(planned, jobs=jobs, device=device, plugins=plugins, report=report)
    if broken or planned.faults:
        raise ZooError("\n".join([*broken.values(), *fault_lines(planned)]))


def entries(planned: Plan, device: str) -> list[dict[str, Any]]:
    """One dict a standard model of the plan: key, what it is, whether it is there, its accuracy and seconds."""
    zoo = the_zoo(device)
    about = {entry.key: entry.about for entry in zoo.entries()}
    return [
        {
            "key": key,
            "model": model.spec.describe(),
            "data": model.spec.data.name,
            "rows": model.spec.rows.kind,
            "there": zoo.has(model.spec),
            "validation_accuracy": about.get(key, {}).get("validation_accuracy"),
            "train_images": about.get(key, {}).get("train_images"),
            "seconds": about.get(key, {}).get("seconds"),
        }
        for key, model in planned.models().items()
    ]


def line(entry: dict[str, Any]) -> str:
    """An entry as a line of the terminal."""
    if not entry["there"]:
        return f"{entry['key']}  {entry['model']:<40} {entry['rows']:<10} not trained yet"
    if entry["seconds"] is None:
        return f"{entry['key']}  {entry['model']:<40} {entry['rows']:<10} weights of your own"
    accuracy = entry["validation_accuracy"]
    told = "no validation rows" if accuracy is None else f"validation {100 * accuracy:.1f} %"
    return (
        f"{entry['key']}  {entry['model']:<40} {entry['rows']:<10} {told}, {entry['train_images']} images, "
        f"{entry['seconds']:.1f} s"
    )


def prune(suite: str, device: str) -> list[Path]:
    """Remove what no profile of the suite needs; the weight files removed.

    Raises:
        ZooError: the data set of a scenario cannot be had now, so that its models cannot be named.
    """
    from bench.running.progress import fault_lines
    from bench.suite import suite as suites

    keep: set[str] = set()
    for profile in suites.profiles(suite):
        planned = plan(suites.load(suite, profile))
        if planned.faults:
            raise ZooError("\n".join(["nothing is removed, since some models cannot be named:", *fault_lines(planned)]))
        keep |= planned.models().keys()
    return the_zoo(device).prune(keep)
