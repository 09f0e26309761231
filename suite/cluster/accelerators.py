"""Which accelerator a fit gets, and which hosts of the cluster have it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import ray

KIND = "ray.io/accelerator-type"
"""Label by which Ray tells what GPU a node has."""


def resolved(accelerator: str) -> str:
    """Resolve ``auto``: a GPU that the cluster counts, otherwise this machine's, else the CPU.

    On a cluster a GPU that Ray does not count is not taken: a worker would wait for it for ever.
    """
    import torch

    if accelerator != "auto":
        return accelerator
    if _kinds("cuda") or (torch.cuda.is_available() and not ray.is_initialized()):
        return "cuda"
    return "mps" if _kinds("mps") or torch.backends.mps.is_available() else "cpu"


def one_kind(accelerator: str) -> dict[str, str] | None:
    """Label of the cluster's most frequent GPU that the accelerator means, so that no run mixes.

    The slowest worker sets the pace of a run, and Ray counts Apple's GPUs with all others.
    """
    kinds = _kinds(accelerator)
    kinds.pop("", None)
    return {KIND: max(kinds, key=kinds.__getitem__)} if kinds else None


def living() -> list[dict[str, Any]]:
    """Nodes of the cluster, none without one."""
    if not ray.is_initialized():
        return []
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _kinds(accelerator: str) -> Counter[str]:
    """Count the cluster's GPUs that an accelerator means by kind; one without a name is CUDA's."""
    kinds: Counter[str] = Counter()
    for node in living():
        kind, number = node["Labels"].get(KIND, ""), int(node["Resources"].get("GPU", 0))
        if number and _accelerator(kind) == accelerator:
            kinds[kind] += number
    return kinds


def _accelerator(kind: str) -> str:
    """Tell Apple's GPUs: M1, M2-Pro; a Tesla M60 is none."""
    return "mps" if re.fullmatch(r"M\d(-\w+)?|Apple-Silicon", kind) else "cuda"
