"""The pages of the documentation that are made from the code hold all of it, and are all in the site's menu."""

import importlib.util
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import bench
import methods
from bench import registry
from bench.cli import describe
from bench.cli.main import cli

ROOT = Path(__file__).parent.parent
ROOMS = {Path(package.__file__).parent for package in (bench, methods)}


@pytest.fixture(scope="module")
def site():
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ours():
    """The registry without what plug-ins of other tests have left there."""
    registry.discover()
    with pytest.MonkeyPatch.context() as patch:
        for known in (registry.METHODS, registry.SCENARIOS):
            there = {n: e for n, e in known.entries.items() if ROOMS & {*file_of(e).parents}}
            patch.setattr(known, "entries", there)
        yield


def file_of(entry):
    return Path(inspect.getfile(entry.function if isinstance(entry, registry.Method) else entry.settings))


@pytest.fixture(scope="module")
def made(site, ours):
    return site.pages()


def test_every_page_is_in_the_menu(made):
    menu = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)
    written = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(menu) == sorted(set(menu)) == sorted({*made, *written})


def test_every_command_and_option_is_told(made):
    page = made["command-line.md"]
    for name, command in cli.commands.items():
        assert f"\n## {name}\n" in page
        for option in command.params:
            assert not getattr(option, "help", None) or option.opts[0] in page, (name, option.opts)
    assert "\n    python -m bench compare [OPTIONS] A B\n" in page


def test_every_method_and_scenario_is_told(made):
    catalogue = describe.catalogue()
    pages = "".join(text for path, text in made.items() if path.startswith("methods/") and "index" not in path)
    for name, told in catalogue["methods"].items():
        assert f"## {name}\n" in pages
        assert f"[{name}]({told['family']}.md#{name})" in made["methods/index.md"]
    assert all(f"## {kind}\n" in made["scenarios.md"] for kind in catalogue["scenarios"])


def test_every_public_name_is_told(made):
    assert all(
        re.search(rf"^::: .*\b{name}\b", made["python.md"], re.MULTILINE) for name in {*bench.__all__} - {"CONTRACT"}
    )


@pytest.mark.parametrize(
    ("link", "source", "told"),
    [
        ("[s](docs/statistics.md#looks)", "quickstart.md", "[s](statistics.md#looks)"),
        ("[s](statistics.md)", "export.md", "[s](statistics.md)"),
        ("[all](../scenarios.md#fuse)", "methods/fusion.md", "[all](../scenarios.md#fuse)"),
        ("[b](../results/README.md)", "export.md", "b (`results/README.md`)"),
        ("[digits](results/digits/cpu.md)", "quickstart.md", "digits (`results/digits/cpu.md`)"),
        ("[p](https://arxiv.org/abs/1)", "index.md", "[p](https://arxiv.org/abs/1)"),
    ],
)
def test_links_stay_within_the_site_or_name_a_file(site, link, source, told):
    known = {"statistics.md", "export.md", "scenarios.md", "index.md", "quickstart.md", "methods/fusion.md"}
    assert site.linked(link, source, known) == told


def test_the_suite_of_the_page_on_suites_is_sound(command, tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "suites.md").read_text(), flags=re.DOTALL)
    tomllib.loads(text)
    (tmp_path / "mine.toml").write_text(text)
    done = command("check", tmp_path / "mine.toml", plugin=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is sound") == 2
