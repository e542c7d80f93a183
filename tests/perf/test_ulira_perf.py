"""U-LiRA from nothing: 32 shadow models on digits, the method run on each, and the attack, as a user runs it.

pytest tests/perf/test_ulira_perf.py --benchmark-only -s

One process pool of two workers, an empty zoo. What is promised is five minutes on two cores; what it takes is printed.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SUITE = """
title = "U-LiRA with 32 shadow models"
seeds = [0]
max_seconds = 600
[data]
name = "digits"
train = 400
validation = 100
test = 200
[models.memoriser]
arch = "resnet8"
options = { width = 8 }
recipe = { epochs = 6, batch_size = 32, peak_lr = 0.1, augment = "none" }
[scenarios.random]
kind = "unlearn"
model = "memoriser"
request = "random"
share = 0.25
shadows = 32
ulira = true
methods = [{ method = "finetune", epochs = 2 }]
[profiles.smoke]
"""


def test_ulira_with_32_shadows_end_to_end(benchmark: Any, tmp_path: Path) -> None:
    suite = tmp_path / "ulira.toml"
    suite.write_text(SUITE)
    command = [sys.executable, "-m", "bench", "run", str(suite), "--profile", "smoke", "--jobs", "2"]
    command += ["--only", "finetune", "--results", str(tmp_path / "results")]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run() -> tuple[float, float]:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return time.perf_counter() - began, cpu

    wall, cpu = benchmark.pedantic(run, rounds=1)
    trained = list((tmp_path / "cache").glob("**/*.safetensors"))
    assert len(trained) == 32 + 1 + 2  # shadows, the original and two judges: none came out of an older zoo
    record = json.loads((tmp_path / "results/ulira/smoke.jsonl").read_text().splitlines()[-1])
    assert record["status"] == "ok"
    found = record["metrics"]
    benchmark.extra_info |= {"cpu": cpu, "load": os.getloadavg(), "ulira_auc": found["ulira_auc"]}
    sys.stdout.write(
        f"\nU-LiRA, 32 shadows from an empty zoo: {wall:.0f} s by the clock, {cpu:.0f} s of processor time; AUC U-LiRA "
        f"{found['ulira_auc']:.3f}, LiRA {found['lira_auc']:.3f}, RMIA {found['rmia_auc']:.3f}, loss "
        f"{found['loss_auc']:.3f}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
