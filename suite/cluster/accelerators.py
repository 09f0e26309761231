"""The accelerator of a fit, and the hosts of the cluster that have it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import ray

KIND = "ray.io/accelerator-type"
"""Ray's node label for the type of GPU."""


def resolved(accelerator: str) -> str:
    """Resolve ``auto``: a GPU of the cluster, else one of this machine, else the CPU.

    On a cluster a GPU that Ray does not report is not used: a worker would wait for it for ever.
    """
    import torch

    if accelerator != "auto":
        return accelerator
    if _kinds("cuda") or (torch.cuda.is_available() and not ray.is_initialized()):
        return "cuda"
    return "mps" if _kinds("mps") or torch.backends.mps.is_available() else "cpu"


def one_kind(accelerator: str) -> dict[str, str] | None:
    """Label of the accelerator's most frequent type of GPU, so that a run does not mix types.

    The slowest worker determines a run's speed, and Ray counts Apple GPUs like all others.
    """
    kinds = _kinds(accelerator)
    kinds.pop("", None)
    return {KIND: max(kinds, key=kinds.__getitem__)} if kinds else None


def living() -> list[dict[str, Any]]:
    """Live nodes of the connected cluster, if any."""
    if not ray.is_initialized():
        return []
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _kinds(accelerator: str) -> Counter[str]:
    """Count the cluster's GPUs of an accelerator by type; one without a label is a CUDA GPU."""
    kinds: Counter[str] = Counter()
    for node in living():
        kind, number = node["Labels"].get(KIND, ""), int(node["Resources"].get("GPU", 0))
        if number and _accelerator(kind) == accelerator:
            kinds[kind] += number
    return kinds


def _accelerator(kind: str) -> str:
    """Recognize Apple GPUs, such as M1 and M2-Pro; a Tesla M60 is not one."""
    return "mps" if re.fullmatch(r"M\d(-\w+)?|Apple-Silicon", kind) else "cuda"
