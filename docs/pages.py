"""Pages of the site that are made from the code, the README and CONTRIBUTING: a hook of MkDocs (`mkdocs.yml`).

What stands elsewhere is not written a second time. `pages()` gives path -> Markdown; the rest is what MkDocs calls.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

import bench
from bench.cli import describe
from bench.cli.main import cli

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")


def pages() -> dict[str, str]:
    """Path below `docs/` -> Markdown of every page that is made."""
    readme, contributing = (ROOT / name for name in ("README.md", "CONTRIBUTING.md"))
    return {
        "index.md": _home(readme),
        "quickstart.md": _of("Quick start", readme, "Two commands", "What comes out", "Data"),
        "concepts.md": _of("Concepts", ROOT / "docs/design.md", "What it is", "Words", "The way of a run"),
        "writing-a-method.md": _of("Writing a method", readme, "Add a method") + section(contributing, "A method"),
        "writing-a-scenario.md": _of("Writing a scenario", contributing, "A scenario"),
        "writing-a-data-set.md": _of("Adding a data set", contributing, "A data set"),
        "records.md": _of(
            "Records and vouching", readme, "Can I believe a number, and does it survive the next release?"
        )
        + section(contributing, "Records, and how they come onto the boards"),
        "guarding.md": _of("Guarding numbers in your own tests", readme, "Guard numbers in your own tests"),
        "changes.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "command-line.md": command_line(),
        "python.md": python(),
        "scenarios.md": scenarios(),
        **methods(),
    }


def section(path: Path, title: str) -> str:
    """A section of a page, with its heading. Raises KeyError where there is none of this title."""
    text = path.read_text(encoding="utf-8")
    for part in re.split(r"(?m)^(?=## )", text):
        if part.startswith(f"## {title}\n"):
            return part
    raise KeyError(f"{path.name} has no section {title!r}")


def _of(title: str, path: Path, *titles: str) -> str:
    return f"# {title}\n\n" + "".join(section(path, one) for one in titles)


def _home(readme: Path) -> str:
    """The head of the README, and where to go."""
    head = readme.read_text(encoding="utf-8").partition("\n## ")[0]
    return f"""{head}

| to | read |
| --- | --- |
| see it run | [Quick start](quickstart.md) |
| know the words | [Concepts](concepts.md) |
| write your own | [a method](writing-a-method.md), [a scenario](writing-a-scenario.md), [a suite](suites.md) |
| know what a verdict means | [Statistics](statistics.md) |
| know why to believe a row | [Trust](trust.md), [Records and vouching](records.md) |
| use the numbers elsewhere | [Results as data](export.md), [Guarding numbers](guarding.md) |
| look up a name | [Command line](command-line.md), [Python](python.md) |
| look up a method | [Methods](methods/index.md), [Scenarios](scenarios.md) |
"""


def command_line() -> str:
    """Every command with its help and options, as click has them."""
    return "# Command line\n\n" + "\n".join(_command(cli, "python -m bench", 1))


def _command(command: click.Command, name: str, depth: int) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    if depth > 1:
        yield f"{'#' * depth} {name.removeprefix('python -m bench ')}\n"
    yield f"{_literal(cleandoc(command.help or ''))}\n"
    usage = " ".join(piece for piece in command.collect_usage_pieces(context))
    yield f"    {name} {usage}\n"
    rows = [record for option in command.params if (record := option.get_help_record(context)) and record[1]]
    if rows:
        yield "| option | meaning |\n| --- | --- |"
        yield from (f"| `{_cell(option)}` | {_cell(_literal(meaning))} |" for option, meaning in rows)
        yield ""
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            yield from _command(found, f"{name} {sub}", depth + 1)


def python() -> str:
    """The public names of `bench`, and of `bench.zoo`, for mkdocstrings."""
    lines = ["# Python", "", "Everything here is imported from `bench`, when it is first used.", ""]
    for name in bench.__all__:
        if name == "zoo":
            lines += [f"::: bench.zoo.{member}\n" for member in ("load", "roles")]
        elif name != "CONTRACT":
            lines.append(f"::: {bench._PUBLIC[name]}.{name}\n")
    return "\n".join(lines)


def methods() -> dict[str, str]:
    """One page a family, and a page of all families."""
    known = describe.catalogue()["methods"]
    families: dict[str, list[str]] = {}
    for name, told in known.items():
        families.setdefault(told["family"], []).append(name)
    index = ["# Methods", "", f"{len(known)} methods in {len(families)} families, as the registry has them.", ""]
    found = {}
    for family, names in sorted(families.items()):
        page = f"methods/{family}.md"
        index += [f"## {_title(family)}", "", "| method | what it does | needs | paper |", "| --- | --- | --- | --- |"]
        index += [_row(family, name, known[name]) for name in names]
        index.append("")
        found[page] = f"# {_title(family)}\n\n" + "\n".join(_method(describe.about(name, None)) for name in names)
    return {"methods/index.md": "\n".join(index), **found}


def _row(family: str, name: str, told: dict[str, Any]) -> str:
    access, paper = ", ".join(f"`{one}`" for one in told["access"]) or "nothing", _paper(told["paper"])
    return f"| [{name}]({family}.md#{name}) | {_cell(_literal(told['summary']))} | {access} | {paper} |"


def _method(about: dict[str, Any]) -> str:
    where = Path(about["file"]).relative_to(ROOT)
    facts = {
        "paper": " ".join(filter(None, (_paper(about["paper"]), f"({about['year']})" if about["year"] else ""))),
        "scenarios": ", ".join(f"[{kind}](../scenarios.md#{kind})" for kind in about["scenarios"]),
        "access": ", ".join(f"`{one}`" for one in about["access"]) or "nothing beyond the task",
        "file": f"`{where}`",
    }
    lines = [f"## {about['method']}\n", f"{_literal(about['about'])}\n"]
    lines += [f"- {name}: {value}" for name, value in facts.items() if value]
    return "\n".join(lines) + "\n\n" + _parameters("parameter", about["parameters"])


def scenarios() -> str:
    """Every kind of scenario: its metrics, settings, references and methods."""
    lines = ["# Scenarios", ""]
    for kind in describe.catalogue()["scenarios"]:
        about = describe.about(kind, None)
        lines += [f"## {kind}", "", _literal(about["about"]), ""]
        lines += [f"- ranked by: `{about['headline']}`", f"- lower reference: `{about['lower reference']}`"]
        lines += [f"- upper reference: `{about['upper reference']}`", f"- takes: {', '.join(about['takes'])}"]
        lines += [f"- methods: {', '.join(f'`{name}`' for name in about['methods'])}", ""]
        lines += ["| what the task holds | opened by |", "| --- | --- |"]
        lines += [f"| `{name}` | {_cell(by)} |" for name, by in about["task"].items()]
        lines += ["", _parameters("setting", about["settings"])]
    return "\n".join(lines)


def _parameters(what: str, told: dict[str, Any]) -> str:
    if not told:
        return ""
    lines = [f"| {what} | value |", "| --- | --- |"]
    return (
        "\n".join([*lines, *(f"| `{name}` | {_cell(_literal(_text(value)))} |" for name, value in told.items())]) + "\n"
    )


def _text(value: Any) -> str:
    return "; ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def _title(family: str) -> str:
    return family[:1].upper() + family[1:].replace("datafree", "data-free").replace("-", " ")


def _paper(paper: str | None) -> str:
    if paper and paper.startswith("arXiv:"):
        return f"[{paper}](https://arxiv.org/abs/{paper.removeprefix('arXiv:')})"
    return _cell(paper or "")


def _literal(text: str) -> str:
    """Somebody's plain text in Markdown: no HTML, no emphasis, no links."""
    return re.sub(r"([\\*_<\[\]#])", r"\\\1", text.replace("\b", ""))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# ------------------------------------------------------------------------------------------------ what MkDocs calls


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **_: Any) -> str:
    """Links out of the site become the path within the repository."""
    known = {file.src_uri for file in files}
    return linked(markdown, page.file.src_uri, known)


def linked(markdown: str, source: str, known: set[str]) -> str:
    """A page with links within the site, and the names of files elsewhere in the repository."""
    moved = {"README.md": "index.md", "CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "writing-a-method.md"}

    def target(match: re.Match[str]) -> str:
        text, path, anchor = match[1], match[2], match[3] or ""
        if posixpath.normpath(posixpath.join(posixpath.dirname(source), path)) in known:
            return match[0]
        of_root = path.removeprefix("../")
        inside = moved.get(of_root, of_root.removeprefix("docs/"))
        return f"[{text}]({inside}{anchor})" if inside in known else f"{text} (`{of_root}`)"

    return LINK.sub(target, markdown)
