"""A part by the name of its file, or a user's own ``path/to/file.py:Class``.

There is no list to edit: a file of the kind's folder that defines one concrete subclass of the
kind's base is a part, and its constructor is its schema.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

ROOT = Path(__file__).parent.parent

KINDS = {
    "models": ("models", "Model"),
    "attacks": ("attacks", "Attack"),
    "defenses": ("attacks.defenses", "Defense"),
    "datasets": ("suite.datasets", "Dataset"),
    "protocols": ("suite.protocols", "Protocol"),
}
"""Kind -> its package, and the base class in the package's ``base.py``."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Known names for an error message, the nearest one first if any is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(names) or "none"
    return f"did you mean {close[0]!r}? known: {listed}" if close else f"known: {listed}"


def first_line(error: ValidationError, model: type[BaseModel]) -> str:
    """Say one of pydantic's complaints in one line: where, found, allowed."""
    # A misspelt key is also a missing one; what was written tells more than what was not.
    found = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    first = found[0]
    where = ".".join(str(step) for step in first["loc"])
    if first["type"] == "extra_forbidden":
        *path, key = first["loc"]
        return f"unknown key {where!r}; {nearest(str(key), _keys(model, path))}"
    if first["type"] == "missing":
        return f"{where}: missing"
    return (
        f"{where}: found {first['input']!r}, allowed: {first['msg'].removeprefix('Value error, ')}"
    )


def _keys(model: Any, path: list[int | str]) -> Iterable[str]:
    """Keys that are known at a place inside a model; steps into lists are numbers."""
    for step in path:
        if isinstance(step, str):
            annotation = model.model_fields[step].annotation
            model = next(iter(get_args(annotation)), annotation)
    known: Iterable[str] = model.model_fields
    return known


def names(kind: str) -> list[str]:
    """Names of all parts of a kind, in alphabetical order."""
    package, _ = KINDS[kind]
    folder = ROOT / package.replace(".", "/")
    stems = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    return [stem for stem in stems if _defined(kind, f"{package}.{stem}")]


def module(kind: str, name: str) -> str:
    """Name of the module that defines a part, or the path of a user's own file."""
    if ":" in name:
        return name.rpartition(":")[0]
    return f"{KINDS[kind][0]}.{name}"


def part(kind: str, name: str) -> type[Any]:
    """Class of a part.

    Raises
    ------
    ValueError
        If there is no such part; the line names the nearest one.
    """
    if ":" in name:
        return _from_file(kind, name)
    package, _ = KINDS[kind]
    path = ROOT / package.replace(".", "/") / f"{name}.py"
    found = _defined(kind, f"{package}.{name}") if name.isidentifier() and path.exists() else None
    if found is None:
        raise ValueError(f"{kind}: there is no {name!r}; {nearest(name, names(kind))}")
    return found


def schema(part: type[Any]) -> type[BaseModel]:
    """Parameters of a part, typed: one field for each argument of its constructor."""
    # A dataclass's inherited fields are spelled in the module that declares them.
    hints = get_type_hints(part if is_dataclass(part) else part.__init__)
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in inspect.signature(part).parameters.values()
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
    return create_model(part.__name__, __config__=config, **fields)


def parameters(kind: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Full parameters of a part, defaults filled in and types checked.

    Raises
    ------
    ValueError
        One line: the part and key, what was found, what is allowed.
    """
    model = schema(part(kind, name))
    try:
        checked = model.model_validate(given)
    except ValidationError as error:
        msg = f"{kind}: {name}: {first_line(error, model)}"
        raise ValueError(msg) from None
    return {field: getattr(checked, field) for field in model.model_fields}


def create(kind: str, name: str, given: dict[str, Any]) -> Any:
    """Make a part.

    Raises
    ------
    ValueError
        If the part is unknown, or a parameter is unknown or refused by the constructor.
    """
    return part(kind, name)(**parameters(kind, name, given))


def _base(kind: str) -> type[Any]:
    package, base = KINDS[kind]
    found: type[Any] = getattr(importlib.import_module(f"{package}.base"), base)
    return found


def _defined(kind: str, module_name: str) -> type[Any] | None:
    """Find the concrete subclass that the module itself defines, if exactly one."""
    return _only_part(kind, importlib.import_module(module_name))


def _only_part(kind: str, module: Any) -> type[Any] | None:
    base = _base(kind)
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value is not base
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]
    return found[0] if len(found) == 1 else None


def _from_file(kind: str, name: str) -> type[Any]:
    path, _, class_name = name.rpartition(":")
    if not Path(path).is_file() or not path.endswith(".py"):
        raise ValueError(f"{kind}: {name}: there is no Python file {path!r}")
    module_name = f"part_{hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:12]}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise ValueError(f"{kind}: {path}: {type(error).__name__}: {error}") from None
    found = getattr(sys.modules[module_name], class_name, None)
    base = _base(kind)
    if not (inspect.isclass(found) and issubclass(found, base)) or inspect.isabstract(found):
        raise ValueError(f"{kind}: {path} defines no concrete {base.__name__} {class_name!r}")
    return found
