"""What every bench prints: its figures, and what they were measured on."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import psutil
import pytest

LIBRARIES = ("numpy", "polars", "numba", "torch", "ray")


@pytest.fixture
def told(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> Callable[[dict[str, Any]], None]:
    """Print a bench's figures and keep them with its timing, when it is called with them."""

    def tell(figures: dict[str, Any]) -> None:
        benchmark.extra_info.update(machine() | figures)
        with capsys.disabled():
            sys.stdout.writelines(f"\n{k}: {v}" for k, v in benchmark.extra_info.items())
            sys.stdout.write("\n")

    return tell


def machine() -> dict[str, Any]:
    """Describe the machine and the libraries; torch's threads and GPU where it is loaded."""
    facts = {"machine": platform.machine(), "cores": psutil.cpu_count()}
    if torch := sys.modules.get("torch"):
        facts["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            facts["gpu"] = torch.cuda.get_device_name()
    versions = [f"python {platform.python_version()}", *(f"{n} {version(n)}" for n in LIBRARIES)]
    return facts | {"load_1_min": round(os.getloadavg()[0], 1), "versions": ", ".join(versions)}
