"""`bench merge`: what is typed reaches `bench.merge`, and what is shown says what was made."""

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from bench import registry
from bench.cli.main import cli
from bench.errors import BenchError
from bench.merging.merge import methods
from bench.scenarios.merge import in_pieces


@pytest.fixture
def typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("base", "a", "b")):
        torch.manual_seed(number)
        save_file({"w": torch.randn(6, 5), "head.w": torch.randn(2)}, f"{name}.safetensors")

    def merge(*words):
        return CliRunner().invoke(cli, ["merge", *words], catch_exceptions=False, standalone_mode=False)

    return merge


MODELS = ("--models", "a.safetensors", "b.safetensors", "--base", "base.safetensors")


def test_models_settings_and_patterns_are_passed_on(typed):
    done = typed("task-arithmetic", *MODELS, "--out", "m.safetensors", "--set", "scaling=0.5", "--keep", "head.*")
    assert done.output == "m.safetensors: task-arithmetic of 2 models; m.merge.json says of which and how\n"
    base, a, b, merged = (load_file(f"{name}.safetensors") for name in ("base", "a", "b", "m"))
    torch.testing.assert_close(merged["w"], base["w"] + 0.5 * (a["w"] - base["w"] + (b["w"] - base["w"])))
    assert torch.equal(merged["head.w"], base["head.w"])


def test_text_needs_no_quotes(typed):
    for text in ("merge=average", 'merge="average"'):
        typed("dare", *MODELS, "--out", text.strip('"') + ".safetensors", "--set", text, "--set", "drop=0.0")
    assert torch.equal(load_file("merge=average.safetensors")["w"], load_file('merge="average.safetensors')["w"])


def test_a_setting_without_a_value_and_a_missing_checkpoint_are_told(typed):
    with pytest.raises(Exception, match=r"give NAME=VALUE, like keep=0.2"):
        typed("ties", *MODELS, "--out", "m.safetensors", "--set", "keep")
    with pytest.raises(BenchError, match=r"c.safetensors: there is no such file or folder"):
        typed("average", "--models", "a.safetensors", "c.safetensors", "--out", "m.safetensors")


def test_a_method_of_a_plugin_merges_once_it_says_in_which_pieces(typed, tmp_path, monkeypatch):
    for table in (registry.METHODS.entries, in_pieces.IN_PIECES):
        monkeypatch.setitem(table, "largest", None)  # so that it is gone afterwards
    (tmp_path / "mine.py").write_text(MINE)
    done = typed("largest", "--plugin", "mine.py", *MODELS, "--out", "m.safetensors", "--set", "times=2.0")
    assert done.output.startswith("m.safetensors: largest of 2 models")
    a, b, merged = (load_file(f"{name}.safetensors") for name in ("a", "b", "m"))
    assert all(torch.equal(merged[name], 2 * torch.maximum(a[name], b[name])) for name in a)


MINE = """
import copy
import torch
from bench import method
from bench.scenarios.merge.in_pieces import in_pieces

@method(family="mine", scenario="merge", access={"weights"})
def largest(task, *, times: float = 1.0):
    merged, a, b = copy.deepcopy(task.init), *(parent.state_dict() for parent in task.parents)
    for name, tensor in merged.state_dict().items():
        tensor.copy_(times * torch.maximum(a[name], b[name]))
    return merged

in_pieces("largest", of="entries")
"""


def test_help_names_every_method():
    text = CliRunner().invoke(cli, ["merge", "--help"]).output
    assert all(name in text for name in methods())
