"""The code that a step's result depends on: definitions that are used, file by file.

From what is asked for, each name is followed to the statement that defines it, and from there the
names that the statement uses. Of a file that is only imported, the statements count that act when
it is. Whatever cannot be told from the text alone counts as used: a module that is handed on as a
value, a file of a user's own, its neighbors.
"""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from suite.plan.syntax import Chain, Import, Source, Statement, opaque, parse
from suite.store import checksum

ROOT = Path(__file__).parents[2]
PACKAGES = ("suite", "models", "attacks", "tuning")


class Unit(NamedTuple):
    """A module, by its name, and where its file is."""

    name: str
    path: Path

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to this project, so that single definitions of it can count."""
        return self.name.split(".")[0] in PACKAGES and self.path.is_relative_to(ROOT)


@dataclass
class Used:
    """What was found to be used.

    Attributes
    ----------
    content
        For each statement, by its module and its hash, what its names stand for.
    files
        Every file that was read, with its state then.
    libraries
        Top-level names of what users' own files import from elsewhere.
    beside
        Where users' own files were looked for.
    looked_for
        What was found there for each module that one may import.
    """

    content: dict[str, list[str]] = field(default_factory=dict)
    files: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    libraries: set[str] = field(default_factory=set)
    beside: list[Path] = field(default_factory=list)
    looked_for: dict[str, list[Path]] = field(default_factory=dict)

    def is_current(self) -> bool:
        """Whether no file was changed, and none came or went that an import would find."""
        folders = _folders(self.beside) if self.beside else []
        return all(
            path.exists() and checksum.state(path) == state for path, state in self.files.items()
        ) and all(_users_files(name, folders) == paths for name, paths in self.looked_for.items())


def used(*wanted: str) -> Used:
    """Find the code that is used.

    Parameters
    ----------
    wanted
        ``package.module:name``, ``package.module`` for all of it, or the path of a user's own file.

    Raises
    ------
    ValueError
        There is no such module.
    """
    walk = _Walk([Path(text).resolve() for text in wanted if text.endswith(".py")])
    for text in wanted:
        if not text.endswith(".py"):
            module, _, name = text.partition(":")
            walk.want(module, name)
    walk.run()
    return walk.found


class _Walk:
    """Follows names from file to file.

    Parameters
    ----------
    own
        Files of a user's own, of which all counts.
    """

    def __init__(self, own: list[Path]) -> None:
        self.found = Used()
        self.found.beside = [path.parent for path in own]
        self._folders = _folders(self.found.beside) if own else []
        self._packages = {_own_name(p): p.parent for p in own if p.name == "__init__.py"}
        self._waiting: list[tuple[Unit, Statement]] = []
        self._places: dict[str, list[Unit]] = {}
        self._sources: dict[Unit, Source] = {}
        self._seen: set[tuple[Unit, str]] = set()
        self._whole: set[Unit] = set()
        for path in own:
            self._all_of(Unit(_own_name(path), path))

    def want(self, module: str, name: str) -> None:
        """Count a name of a module, or all of it."""
        unit = self._find(module)
        if unit is None:
            raise ValueError(f"there is no module {module!r}")
        if name:
            self._name_in(unit, name)
        else:
            self._all_of(unit)

    def run(self) -> None:
        """Repeat until nothing new is found."""
        while self._waiting:
            unit, statement = self._waiting.pop()
            for module in sorted(statement.modules):
                self._imported(module, by=unit)
            for text in sorted(statement.texts):
                self._named(text, unit)
            key = f"{unit.name} {statement.dump}"
            self.found.content[key] = [
                f"{'.'.join(chain)} = {meant}"
                for chain in sorted(statement.chains)
                for meant in self._follow(unit, statement, chain)
            ]

    def _units(self, module: str) -> list[Unit]:
        """Find the files that a module may be: ours is one, a user's own may be several."""
        if module not in self._places:
            self._places[module] = self._placed(module)
        return self._places[module]

    def _placed(self, module: str) -> list[Unit]:
        top, _, rest = module.partition(".")
        if top in self._packages:
            path = _file(self._packages[top], rest)
        elif top in PACKAGES:
            path = _file(ROOT, module)
        elif self._folders:
            found = self.found.looked_for[module] = _users_files(module, self._folders)
            return [Unit(module, path) for path in found]
        else:  # what is ours imports nothing of a user's own
            return []
        return [] if path is None else [Unit(module, path)]

    def _find(self, module: str) -> Unit | None:
        return next(iter(self._units(module)), None)

    def _all_of(self, unit: Unit) -> None:
        """Count every statement of a module, and what its imports stand for."""
        if unit not in self._whole:
            self._whole.add(unit)
            source = self._source(unit)
            for statement in source.statements:
                self._add(unit, statement)
            for to in source.imports.values():
                self._resolve(to, ())

    def _name_in(self, unit: Unit, name: str) -> str:
        """Count what defines a name of a module, and say what that is."""
        source = self._source(unit)
        statements = source.binding(name)
        for statement in statements:
            self._add(unit, statement)
        if statements:
            return f"{unit.name}:{name}"
        if name in source.imports:
            return self._resolve(source.imports[name], ())
        self._all_of(unit)
        return unit.name

    def _add(self, unit: Unit, statement: Statement) -> None:
        key = (unit, statement.dump)
        if key not in self._seen:
            self._seen.add(key)
            self._waiting.append((unit, statement))

    def _source(self, unit: Unit) -> Source:
        """Read a module, as importing it would: its packages, and what it imports."""
        if unit not in self._sources:
            self.found.files[unit.path] = checksum.state(unit.path)
            source = self._sources[unit] = _parsed(unit)
            for module in sorted({*source.modules, unit.name.rpartition(".")[0]}):
                self._imported(module, by=unit)
            for statement in source.statements:
                if statement.acts or not unit.is_ours:
                    self._add(unit, statement)
        return self._sources[unit]

    def _imported(self, module: str, *, by: Unit) -> None:
        """Count what a module does when it is imported, with the packages that it is in."""
        while module:
            units = self._units(module)
            for unit in units:
                self._source(unit)
            if not units and not by.is_ours and "." not in module:
                self.found.libraries.add(module)
            module = module.rpartition(".")[0]

    def _named(self, text: str, unit: Unit) -> None:
        """Count what a text may mean to ``import_module``, or to whoever runs a file."""
        module, _, name = text.rpartition(".")
        if not unit.is_ours:
            for found in (*self._units(text), *self._units(module)):
                self._all_of(found)
        elif text.split(".")[0] in PACKAGES and module:
            whole, outer = self._find(text), self._find(module)
            if whole is not None:
                self._all_of(whole)
            elif outer is not None:
                self._name_in(outer, name)

    def _follow(self, unit: Unit, statement: Statement, chain: Chain) -> list[str]:
        """Count what a dotted name stands for, and say what that is; nothing where not ours."""
        first, *rest = chain
        source = self._source(unit)
        found = [self._name_in(unit, first)] if source.binding(first) else []
        imported = [scope[first] for scope in (source.imports, statement.imports) if first in scope]
        found += [self._resolve(to, tuple(rest)) for to in imported]
        return [meant for meant in dict.fromkeys(found) if meant]

    def _resolve(self, to: Import, rest: Chain) -> str:
        """Count what an import stands for, and the names that are taken from it."""
        if to.name is not None:
            outer = self._find(to.module)
            inner = self._find(f"{to.module}.{to.name}")
            if outer is not None and (inner is None or self._source(outer).binding(to.name)):
                return self._name_in(outer, to.name)
            return self._resolve(Import(f"{to.module}.{to.name}"), rest)
        unit = self._find(to.module)
        if unit is None:
            return ""
        if not rest:  # handed on: anything of it may be used
            self._all_of(unit)
            return unit.name
        if not self._source(unit).binding(rest[0]) and self._find(f"{to.module}.{rest[0]}"):
            return self._resolve(Import(f"{to.module}.{rest[0]}"), rest[1:])
        return self._name_in(unit, rest[0])


def _own_name(path: Path) -> str:
    """Name of a user's own file, which must not depend on where it lies."""
    if path.is_relative_to(ROOT):
        return ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return f"<{path.parent.name if path.name == '__init__.py' else path.stem}>"


_KNOWN: dict[tuple[Unit, str], Source] = {}


def _parsed(unit: Unit) -> Source:
    """Read the statements of a file; one that is not Python is one statement."""
    key = (unit, checksum.of_file(unit.path))
    if key not in _KNOWN:
        is_package = unit.path.name == "__init__.py"
        package = unit.name if is_package else unit.name.rpartition(".")[0]
        try:
            if unit.path.suffix != ".py":
                raise SyntaxError
            _KNOWN[key] = parse(unit.path.read_bytes(), package, PACKAGES)
        except SyntaxError:
            _KNOWN[key] = Source([opaque(key[1])])
    return _KNOWN[key]


def _folders(beside: list[Path]) -> list[Path]:
    """Folders that a user's own files import from: theirs, and those on the path of no library."""
    found = [folder.resolve() for folder in (*beside, *map(Path, sys.path))]
    return [path for path in dict.fromkeys(found) if path.is_dir() and not _is_installed(path)]


def _users_files(module: str, folders: list[Path]) -> list[Path]:
    """Files of a user's own that a name may import, here or in another process.

    That is what the name was imported from here, and what lies in the folder of a part or on the
    path, which the part may have changed.
    """
    there = getattr(sys.modules.get(module), "__file__", None)
    found = [_file(folder, module) for folder in folders]
    paths = [path.resolve() for path in (Path(there) if there else None, *found) if path]
    return [path for path in dict.fromkeys(paths) if not _is_installed(path)]


_INSTALLED = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]


def _is_installed(path: Path) -> bool:
    """Whether a file or folder belongs to Python, to a library or to this project."""
    return (
        any(path.is_relative_to(ROOT / package) for package in PACKAGES)
        or bool({"site-packages", "dist-packages"} & set(path.parts))
        or any(path.is_relative_to(folder) for folder in _INSTALLED)
    )


def _file(root: Path, module: str) -> Path | None:
    """File of a module below a folder."""
    stem = root / module.replace(".", "/")
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None
