"""Checkpoints merged on disk: what memory that takes above what the method takes for the largest tensor, and how long.

pytest tests/perf/test_merge_on_disk_perf.py --benchmark-only -s

Four fine-tunes of a transformer with 12 layers of width 768 and an embedding of 30,522 tokens: 108 million parameters,
random weights. Methods that decompose matrices have the first 2 layers and no embedding. The peak of resident memory
is the system's own (`VmHWM`), in a process for each measurement, which is what the seconds are of.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.merging.spreading import ALWAYS

WIDTH, HIDDEN, TOKENS, TASKS = 768, 3072, 30_522, 4
ALLOWED = 1.5
SPECTRAL = ("tsv-merge", "iso-c", "iso-cts")
METHODS = ("average", "slerp", "task-arithmetic", "ties", "dare", "breadcrumbs", *SPECTRAL)
"""KnOTS is not among them: it is given all tensors at once."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is Linux's to tell")


def shapes(layers: int, tokens: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"embedding.weight": (tokens, WIDTH)} if tokens else {}
    for layer in range(layers):
        for name in ("query", "key", "value", "out"):
            found[f"{layer}.{name}.weight"] = (WIDTH, WIDTH)
        found |= {f"{layer}.up.weight": (HIDDEN, WIDTH), f"{layer}.down.weight": (WIDTH, HIDDEN)}
        found |= {f"{layer}.up.bias": (HIDDEN,), f"{layer}.norm.weight": (WIDTH,)}
    return found


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, list[Path]]:
    """Whether for spectral methods -> base and four models."""
    folder = tmp_path_factory.mktemp("checkpoints")
    generator = torch.Generator().manual_seed(0)
    found: dict[bool, list[Path]] = {}
    for spectral, wanted in ((True, shapes(2, 0)), (False, shapes(12, TOKENS))):
        base = {name: torch.randn(shape, generator=generator) * 0.02 for name, shape in wanted.items()}
        for number in range(TASKS + 1):
            state = {n: w + 0.002 * number * torch.randn(w.shape, generator=generator) for n, w in base.items()}
            path = folder / f"{'spectral' if spectral else 'whole'}-{number}.safetensors"
            save_file(state, path)
            found.setdefault(spectral, []).append(path)
    return found


MEASURED = """
import sys
import torch
import bench
from bench import registry
from bench.scenarios.merge.in_pieces import piece
from bench.metrics import magnitudes

method, out, sides, *paths = sys.argv[1:]
registry.discover()
function = registry.METHODS.get(method).function
torch.set_num_threads(1)

def whole(*shape):
    tensors = [{"w": torch.randn(shape)} for _ in paths]
    function(piece(method, tensors[0], tensors[1:], 0, 0))

def told(what):
    line = next(line for line in open("/proc/self/status") if line.startswith(what))
    return int(line.split()[1]) * 1024

whole(8, 8)  # loads libraries
ranked = magnitudes.Ranking()
ranked.count(0, torch.ones(3).numpy())
open("/proc/self/clear_refs", "w").write("5")
before = told("VmRSS")
if sides:
    whole(*map(int, sides.split("x")))
else:
    bench.merge(method, paths[1:], out, base=paths[0])
print(told("VmHWM") - before)
"""
"""Prints the bytes that a merge takes at its highest: of a tensor in memory, or of checkpoints."""


def peak(method: str, out: Path, paths: list[Path], sides: str = "") -> int:
    """In a process of its own: what another measurement has freed, and the process has kept, would count as there."""
    words = [sys.executable, "-c", MEASURED, method, str(out), sides, *map(str, paths)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("method", METHODS)
def test_memory_is_bounded_by_the_largest_tensor(method, checkpoints, tmp_path, benchmark):
    paths = checkpoints[method in SPECTRAL][: 3 if method == "slerp" else TASKS + 1]
    sides = (HIDDEN, WIDTH) if method in SPECTRAL else (TOKENS, WIDTH)
    needed = max(peak(method, tmp_path, paths, "x".join(map(str, sides))), (len(paths) + 1) * 4 * ALWAYS)
    took = benchmark.pedantic(peak, (method, tmp_path / "merged.safetensors", paths), rounds=1)
    benchmark.extra_info |= {"MiB on disk": took / 2**20, "MiB for the largest tensor in memory": needed / 2**20}
    assert took <= ALLOWED * needed
