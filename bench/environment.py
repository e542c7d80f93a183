"""The numeric environment: under which instructions a worker computes, and how to tell two environments apart.

The same sum has other last digits under AVX-512 than under AVX2, and training makes of a last digit another network.
So workers on x86-64 compute under AVX2, which every such machine of the last ten years has. The libraries read this
when they are imported: `pinned` sets it for processes that start, and changes nothing in this one.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

PINNED = "x86-64-avx2"
"""The kind of environment that the committed records are of."""
NATIVE = "BENCH_NATIVE"
"""Environment variable: where it is set, workers use all that the processor offers, as a kind of their own."""
VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "MKL_CBWR": "AVX2,STRICT",  # MKL's reproducibility mode: the same on processors of every maker
    "OPENBLAS_CORETYPE": "Haswell",  # NumPy's and SciPy's linear algebra
    "OPENBLAS_L2_SIZE": "512",  # OpenBLAS cuts its blocks by the size of the cache
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "",  # those of that processor and no more
}
"""What is set for workers; NumPy's own kernels come on top (`variables`)."""


def kind(device: str) -> str:
    """The kind of environment in which a worker on `device` ("cpu", "cuda:0") computes; records of two are no pair."""
    if device != "cpu":
        return device.partition(":")[0]
    return PINNED if variables() else f"{platform.machine()}-native-{instructions()}"


@cache
def variables() -> dict[str, str]:
    """The environment variables of a pinned worker; none where the processor lacks AVX2, or `NATIVE` is set."""
    if (
        os.environ.get(NATIVE)
        or platform.machine() not in ("x86_64", "AMD64")
        or "avx2" not in processor()["flags"].split()
    ):
        return {}
    return VARIABLES | {"NPY_DISABLE_CPU_FEATURES": " ".join(_above_avx2())}


def _above_avx2() -> list[str]:
    """The names by which NumPy knows its kernels for instructions beyond AVX2; they changed with version 2.4."""
    import numpy as np

    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return sorted(name for name in {*simd["found"], *simd["not found"]} if name.startswith(("AVX512", "X86_V4")))


@contextmanager
def pinned(device: str) -> Iterator[None]:
    """Processes that are started meanwhile compute in the environment of `kind(device)`."""
    wanted = variables() if device == "cpu" else {}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def processor() -> dict[str, str]:
    """Name, vendor, family, model, stepping and instruction flags of the processor, as far as the system tells."""
    names = ("model name", "vendor_id", "cpu family", "model", "stepping", "flags")
    told = dict.fromkeys(names, "")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return told | {"model name": platform.processor()}
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in told and not told[name.strip()]:
            told[name.strip()] = value.strip()
    return told


def instructions() -> str:
    """The widest vector instructions that the processor has and libraries are known to use."""
    flags = processor()["flags"].split()
    return next((name for name in ("avx512f", "avx2", "avx", "asimd") if name in flags), "baseline")


def processor_name() -> str:
    """A processor in one line, told apart from others that are sold under its name."""
    told = processor()
    numbers = f"family {told['cpu family']} model {told['model']} stepping {told['stepping']}"
    return (
        f"{told['model name']}, {numbers}, {instructions()}"
        if told["flags"]
        else told["model name"] or "unknown processor"
    )


@cache
def canary() -> str:
    """12 hex digits of a tiny training in this process: equal where two processes compute alike to the last digit.

    Convolutions of several widths, norms, a softmax, matrix products and their second derivatives, attention, a
    singular value decomposition, and NumPy's linear algebra and exponentials take part. It takes a tenth of a second.
    """
    import numpy as np
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(6 * 16 + 4)
    images = torch.rand(32, 3, 16, 16, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(32) % 10
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(17)
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, stride=2),
            nn.GELU(),
            nn.Conv2d(32, 48, 1),
            nn.Flatten(2),
            nn.LayerNorm(64),
            nn.Linear(64, 64),
            nn.Softmax(dim=2),
            nn.Flatten(),
            nn.Linear(48 * 64, 10),
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        weights = list(model.parameters())
        optimizer = torch.optim.AdamW(weights, lr=1e-3)
        for _ in range(4):
            loss = nn.functional.cross_entropy(model(images), labels)
            slopes = torch.autograd.grad(loss, weights, create_graph=True)
            optimizer.zero_grad()
            (loss + 1e-3 * sum(slope.square().sum() for slope in slopes)).backward()
            optimizer.step()
    flat = torch.cat([weight.detach().flatten() for weight in weights])
    table = flat[:6000].reshape(60, 100)
    doubles = table.numpy().astype(np.float64)
    found = (
        flat.numpy(),
        nn.functional.scaled_dot_product_attention(*flat[:6144].reshape(3, 1, 4, 16, 32)).numpy(),
        torch.linalg.svd(table)[1].numpy(),
        torch.linalg.eigh(table @ table.T)[0].numpy(),
        np.linalg.svd(doubles)[1],
        doubles.T @ doubles,
        np.exp(doubles),
        np.log1p(np.abs(doubles)),
    )
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in found)).hexdigest()[:12]
