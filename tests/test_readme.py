"""The README's method does what the README says: it conforms, and its row is on the board."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"

SUITE = """
title = "Mine"
seeds = [0]
[data]
name = "digits"
train = 300
test = 200
[recipe]
epochs = 2
augment = "none"
[models.net]
arch = "mlp"
options = { width = 16 }
[scenarios.two]
kind = "fuse"
model = "net"
methods = ["one-sided"]
[profiles.smoke]
"""


def test_the_readmes_method_runs_and_gets_its_row(command, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    plugin, suite = tmp_path / "mine.py", tmp_path / "mine.toml"
    plugin.write_text(code)
    suite.write_text(SUITE)
    done = command("test", "one-sided", "--plugin", plugin)
    assert done.returncode == 0, done.stdout + done.stderr
    done = command("run", suite, "--profile", "smoke", "--plugin", plugin)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one-sided" in (tmp_path / "results" / "mine" / "smoke.md").read_text()
