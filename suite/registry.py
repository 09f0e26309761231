"""Lookup of parts by file name, or as a user's own ``path/to/file.py:Class``.

There is no list of parts: a file in the kind's folder that defines one concrete subclass of the
kind's base class is a part, and its constructor is its schema.
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
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from suite.input.allowed import allowed

ROOT = Path(__file__).parent.parent

KINDS = {
    "models": ("models", "Model"),
    "attacks": ("attacks", "Attack"),
    "defenses": ("attacks.defenses", "Defense"),
    "datasets": ("suite.datasets", "Dataset"),
    "protocols": ("suite.protocols", "Protocol"),
}
"""Kind -> its package, and the base class in the package's ``base.py``."""


def nearest(name: str, allowed_names: Iterable[str]) -> str:
    """List known names for an error message, with the nearest one first if any is close."""
    names = sorted(allowed_names)
    close = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(names) or "none"
    return f"did you mean {close[0]!r}? known: {listed}" if close else f"known: {listed}"


def first_line(error: ValidationError, model: type[BaseModel]) -> str:
    """Convert a pydantic error to one line: where, what was found, what is allowed."""
    # A misspelled key also causes a missing one; the unknown key is the more useful message.
    errors = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    first = errors[0]
    loc, inner = _located(model, first["loc"])
    where = ".".join(map(str, loc))
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}; {nearest(str(loc[-1]), getattr(inner, 'model_fields', ()))}"
    if first["type"] == "missing":
        return f"{where}: missing"
    # A union has one error for each of its members.
    same = [e for e in errors if e["loc"][: len(loc)] == loc]
    options = " or ".join(dict.fromkeys(allowed(e) for e in same))
    return f"{where}: found {first['input']!r:.200}, allowed: {options}"


def _located(model: Any, loc: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], Any]:
    """Follow the location of an error into a model, as far as it exists in the input.

    Returns
    -------
    loc
        Steps up to where a union begins, whose members are steps too.
    annotation
        Type around the last step.
    """
    annotation, around = model, model
    for number, step in enumerate(loc):
        annotation = _plain(annotation)
        if get_origin(annotation) in (Union, UnionType):
            return loc[:number], around
        around, annotation = annotation, _inside(annotation, step)
    return loc, around


def _plain(annotation: Any) -> Any:
    """Unwrap what is no step: metadata, and the one other member of an optional type."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        others = [member for member in get_args(annotation) if member is not type(None)]
        return _plain(others[0]) if len(others) == 1 else annotation
    return annotation


def _inside(annotation: Any, step: int | str) -> Any:
    """Type of a field, of a list's elements or of a dictionary's values; else Any."""
    fields = getattr(annotation, "model_fields", {})
    if step in fields:
        return fields[step].annotation
    members = get_args(annotation) or (Any,)
    return members[-1] if isinstance(step, str) else members[0]


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
        There is no such part; the message suggests the nearest name.
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
    # Annotations of inherited dataclass fields must be resolved in the module that declares them.
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
        The part is unknown, or a parameter is unknown or rejected by the constructor.
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
    # Also by content: after an edit it is another module in the same process.
    known_by = str(Path(path).resolve()).encode() + b"\0" + Path(path).read_bytes()
    module_name = f"part_{hashlib.sha256(known_by).hexdigest()[:12]}"
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
