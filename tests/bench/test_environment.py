"""The numeric environment: what is pinned, for whom, and how two are told apart."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bench import environment
from bench.environment import (
    NATIVE,
    PINNED,
    VARIABLES,
    canary,
    instructions,
    kind,
    pinned,
    processor_name,
    variables,
)

CAPABLE = platform.machine() in ("x86_64", "AMD64") and "avx2" in environment.processor()["flags"].split()
NAMES = ("model name", "vendor_id", "cpu family", "model", "stepping")


@pytest.fixture
def machine(monkeypatch):
    """`machine(flags, architecture)`: this process believes that it runs there."""
    monkeypatch.delenv(NATIVE, raising=False)

    def become(flags, architecture="x86_64"):
        told = dict.fromkeys(NAMES, "7") | {"flags": flags}
        monkeypatch.setattr(environment, "processor", lambda: told)
        monkeypatch.setattr(platform, "machine", lambda: architecture)
        variables.cache_clear()

    yield become
    variables.cache_clear()


@pytest.mark.parametrize("flags", ["fpu sse avx avx2 fma", "fpu avx avx2 fma avx512f avx512bw"])
@pytest.mark.parametrize("architecture", ["x86_64", "AMD64"])
def test_machines_with_avx2_are_of_one_kind(machine, flags, architecture):
    machine(flags, architecture)
    assert variables().items() >= VARIABLES.items()
    assert set(variables()) - set(VARIABLES) == {"NPY_DISABLE_CPU_FEATURES"}
    assert kind("cpu") == PINNED


@pytest.mark.parametrize(
    ("flags", "architecture", "name"),
    [
        ("fpu sse avx", "x86_64", "x86_64-native-avx"),
        ("fpu sse", "x86_64", "x86_64-native-baseline"),
        ("", "x86_64", "x86_64-native-baseline"),
        ("fpu avx2x", "x86_64", "x86_64-native-baseline"),
        ("fp asimd", "aarch64", "aarch64-native-asimd"),
        ("", "arm64", "arm64-native-baseline"),
    ],
)
def test_machines_without_avx2_are_kinds_of_their_own(machine, flags, architecture, name):
    machine(flags, architecture)
    assert variables() == {}
    assert kind("cpu") == name


def test_who_asks_for_it_computes_natively(machine, monkeypatch):
    machine("fpu avx avx2 avx512f")
    monkeypatch.setenv(NATIVE, "1")
    variables.cache_clear()
    assert variables() == {}
    assert kind("cpu") == "x86_64-native-avx512f"


def test_accelerators_are_kinds_whatever_the_processor(machine):
    for flags in ("fpu", "fpu avx2"):
        machine(flags)
        assert [kind("cuda"), kind("cuda:3"), kind("mps")] == ["cuda", "cuda", "mps"]


def test_kernels_of_numpy_above_avx2_are_named(machine):
    machine("fpu avx2")
    names = variables()["NPY_DISABLE_CPU_FEATURES"].split()
    assert all(name.startswith(("AVX512", "X86_V4")) for name in names)


def test_what_is_pinned_is_put_back(machine, monkeypatch):
    machine("fpu avx2")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    before = dict(os.environ)
    with pinned("cpu"):
        assert os.environ.items() >= variables().items()
    assert dict(os.environ) == before
    with pytest.raises(RuntimeError, match="lost"), pinned("cpu"):
        raise RuntimeError("lost")
    assert dict(os.environ) == before
    with pinned("cuda:0"):
        assert dict(os.environ) == before
    machine("fpu")
    with pinned("cpu"):
        assert dict(os.environ) == before


def test_a_processor_is_told_from_others_of_its_name(machine):
    machine("fpu avx2")
    assert processor_name() == "7, family 7 model 7 stepping 7, avx2"
    assert instructions() == "avx2"


@pytest.mark.skipif(not CAPABLE, reason="it takes a processor with AVX2")
def test_canaries_are_equal_where_two_processes_compute_alike(machine, monkeypatch):
    mine = canary()
    canary.cache_clear()
    assert canary() == mine
    assert len(mine) == 12
    machine("fpu avx2")
    code = "from bench.environment import canary; import os; print(canary(), os.environ['ONEDNN_MAX_CPU_ISA'])"
    root = Path(__file__).parents[2]
    with pinned("cpu"):
        other = {**os.environ, "ATEN_CPU_CAPABILITY": "default", "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=other, cwd=root, capture_output=True, text=True, check=True
        )
    theirs, pinned_to = done.stdout.split()
    assert pinned_to == "AVX2"
    assert theirs != mine
