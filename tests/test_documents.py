"""What documents and messages tell a reader to type exists, and the version is the same wherever it is told."""

import re
import tomllib
from pathlib import Path

import click
import pytest

import bench
from bench.cli.main import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [*(ROOT / "bench").rglob("*.py"), *(ROOT / "methods").rglob("*.py"), *(ROOT / "suites").glob("*.toml")]


def told(path: Path) -> list[str]:
    """The commands that a file names, each from the word after `bench` on."""
    return re.findall(r"python -m bench +([a-z][^`\"\n#]*)", path.read_text(encoding="utf-8"))


def unknown(words: list[str]) -> str:
    """The first word that the command line does not know; '' if it knows all of them."""
    command: click.Command = cli
    for number, word in enumerate(words):
        if isinstance(command, click.Group):
            if word not in command.commands:
                return word
            command = command.commands[word]
        elif word.startswith("--") and word not in {name for option in command.params for name in option.opts}:
            return " ".join(words[: number + 1])
    return ""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_exists(path):
    assert [fault for line in told(path) if (fault := unknown(line.split()))] == []


def test_every_command_of_a_message_exists():
    faults = {(str(path.relative_to(ROOT)), unknown(line.split())) for path in SOURCES for line in told(path)}
    assert {fault for fault in faults if fault[1]} == set()


def test_the_version_is_told_alike():
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
    (cited,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE)
    newest = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[0]
    assert cited == newest == bench.__version__
