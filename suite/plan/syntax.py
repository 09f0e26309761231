"""One Python file as the digest sees it: what each statement is, what it names and imports.

Docstrings, comments, blank lines, annotations of functions and pydantic's descriptions change
nothing that is computed, so they are left out. Imports that only a type checker follows are too.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Chain = tuple[str, ...]
"""A dotted name as it is written, such as ``("batches", "rows")``."""

_ACTS = re.compile(r"_*(?:set|regist|config|init|patch|seed|en|dis|add|append|update|insert|use)")
"""Begins the names of functions of libraries that a module calls for more than their value."""

_A_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*(:\w+)?", re.ASCII)

_READS_DOCSTRINGS = re.compile(rb"__doc__|getdoc")


class Import(NamedTuple):
    """What a name stands for: a module, or a name in it."""

    module: str
    name: str | None = None


@dataclass(frozen=True)
class Statement:
    """A statement at the top of a file.

    Attributes
    ----------
    dump
        SHA-256 of its syntax tree.
    binds
        Names that it defines.
    chains
        Names that it uses, also inside functions.
    imports
        What its own import statements bind.
    modules
        Modules that its own import statements run.
    texts
        Texts in it that may name a module, or something in one, to be imported.
    acts
        Whether more than its names may depend on it, so that it counts once its file is imported.
    """

    dump: str
    binds: frozenset[str]
    chains: frozenset[Chain]
    imports: dict[str, Import]
    modules: frozenset[str]
    texts: frozenset[str]
    acts: bool


@dataclass
class Source:
    """A file: its statements, and what its imports bind for all of them.

    Attributes
    ----------
    statements
        In order, without imports and docstrings.
    imports
        By name.
    modules
        Modules that are run when this one is imported.
    """

    statements: list[Statement] = field(default_factory=list)
    imports: dict[str, Import] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)

    def binding(self, name: str) -> list[Statement]:
        """Return the statements that define a name."""
        return [statement for statement in self.statements if name in statement.binds]


def parse(content: bytes, package: str, own: Iterable[str]) -> Source:
    """Read a file.

    Parameters
    ----------
    content
        Of the file.
    package
        Dotted name of the package that relative imports start from.
    own
        Top-level packages whose classes and functions may act when they are called.

    Raises
    ------
    SyntaxError
        It is no Python file.
    """
    tree = ast.parse(content)
    if not _READS_DOCSTRINGS.search(content):
        tree = _WithoutTexts().visit(tree)
    source = Source()
    rest = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _note(node, package, source.imports, source.modules)
        elif not _is_for_checkers(node):
            rest.append(node)
    compound = [node for node in rest if not isinstance(node, _PLAIN)]
    for node in compound:
        for inner in _imports(node):
            _note(inner, package, source.imports, source.modules)
    bound = {name for node in rest for name in _bound(node)}
    roots = {name for name, to in source.imports.items() if to.module.split(".")[0] in set(own)}
    for node in rest:
        source.statements.append(_statement(node, package, bound | roots))
    return source


_PLAIN_DECORATORS = {"property", "classmethod", "staticmethod", "cached_property", "abstractmethod"}

_PLAIN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


def _statement(node: ast.stmt, package: str, ours: set[str]) -> Statement:
    imports: dict[str, Import] = {}
    modules: set[str] = set()
    texts = frozenset(_named(node))
    for inner in _imports(node):
        _note(inner, package, imports, modules)
    chains = frozenset(_chains(node))
    acts = not isinstance(node, _PLAIN) or _changes_another(node) or _acts(node, ours)
    _strip_annotations(node)
    dump = ast.dump(node)
    return Statement(
        hashlib.sha256(dump.encode()).hexdigest(),
        frozenset(_bound(node)),
        chains,
        imports,
        frozenset(modules),
        texts,
        acts,
    )


def opaque(sha256: str) -> Statement:
    """Return the one statement of a file that cannot be read."""
    nothing: frozenset[Any] = frozenset()
    return Statement(sha256, nothing, nothing, {}, nothing, nothing, acts=True)


def _is_for_checkers(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    )


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            yield inner


def _note(
    node: ast.Import | ast.ImportFrom, package: str, imports: dict[str, Import], modules: set[str]
) -> None:
    """Note what an import statement binds and runs."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            modules.add(alias.name)
            top = alias.name.split(".")[0]
            imports[alias.asname or top] = Import(alias.name if alias.asname else top)
        return
    parts = package.split(".") if node.level else []
    base = parts[: len(parts) - node.level + 1]
    module = ".".join(part for part in (*base, node.module) if part)
    modules.add(module)
    for alias in node.names:
        # A name of a module may be a module itself; one that is not there is not followed.
        modules.add(f"{module}.{alias.name}")
        imports[alias.asname or alias.name] = Import(module, alias.name)


def _bound(node: ast.stmt) -> set[str]:
    """Names that a statement at the top of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found.add(inner.id)
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(inner.name)
    return found


def _chains(node: ast.AST) -> Iterator[Chain]:
    """Dotted names that are read, the longest only."""
    if isinstance(node, ast.Attribute | ast.Name):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield (inner.id, *reversed(parts))
            return
    if isinstance(node, ast.Global):
        yield from ((name,) for name in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _chains(child)


def _named(node: ast.AST) -> Iterator[str]:
    """Texts that may name a module, or something in it, to be imported when the code runs."""
    for inner in ast.walk(node):
        text = inner.value if isinstance(inner, ast.Constant) else None
        if isinstance(text, str) and _A_NAME.fullmatch(text):
            yield text.replace(":", ".")


def _changes_another(node: ast.stmt) -> bool:
    """Whether something else than a name is assigned to, such as an attribute of a class."""
    inner = ast.walk(node) if isinstance(node, ast.Assign | ast.AnnAssign) else ()
    return any(
        isinstance(target, ast.Attribute | ast.Subscript) and isinstance(target.ctx, ast.Store)
        for target in inner
    )


def _acts(node: ast.stmt, ours: set[str]) -> bool:
    """Whether a definition may do more, when it is executed, than to define its names.

    It may where it calls something of ours, such as a decorator, or where a class derives from
    one of ours, whose ``__init_subclass__`` or metaclass would be called.
    """
    called = [*_executed(node), *(node.bases if isinstance(node, ast.ClassDef) else ())]
    for root, last in map(_root_and_last, called):
        if root is None or root in ours or _ACTS.match(last):
            return True
    return False


def _root_and_last(called: ast.expr) -> tuple[str | None, str]:
    """First and last name of what is called; no first one where it is computed."""
    last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    while isinstance(called, ast.Attribute | ast.Call | ast.Subscript):
        called = called.func if isinstance(called, ast.Call) else called.value
    if isinstance(called, ast.Constant):
        return "", last
    return (called.id if isinstance(called, ast.Name) else None), last


def _executed(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what is called when a definition is executed, not what the bodies of functions call."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
        yield from (d for d in node.decorator_list if not isinstance(d, ast.Call))
        for inner in (*node.decorator_list, *defaults):
            yield from _executed(inner)
        return
    if isinstance(node, ast.ClassDef):
        yield from (d for d in node.decorator_list if not isinstance(d, ast.Call))
        yield from (k.value for k in node.keywords)  # a metaclass, or what __init_subclass__ takes
    if isinstance(node, ast.Call):
        yield node.func
    for child in ast.iter_child_nodes(node):
        yield from _executed(child)


class _WithoutTexts(ast.NodeTransformer):
    """Drops texts that stand alone, as docstrings do, and the descriptions of fields."""

    def visit_Expr(self, node: ast.Expr) -> Any:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        if getattr(node.func, "id", getattr(node.func, "attr", "")) == "Field":
            node.keywords = [
                k
                for k in node.keywords
                if k.arg != "description" or not isinstance(k.value, ast.Constant)
            ]
        return self.generic_visit(node)


def _strip_annotations(node: ast.AST) -> None:
    """Drop the annotations that nothing reads: of plain functions, and of their own variables.

    A decorator may read those of its function, a dataclass or pydantic those of a class.
    """
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            if all(getattr(d, "id", None) in _PLAIN_DECORATORS for d in inner.decorator_list):
                _strip_signature(inner)
            for own in _own_statements(inner):
                if isinstance(own, ast.AnnAssign):
                    own.annotation = ast.Constant(None)


def _strip_signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    node.returns = None
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    for argument in (*arguments, node.args.vararg, node.args.kwarg):
        if argument is not None:
            argument.annotation = None


def _own_statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a function's body holds, but for the classes in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef):
            yield child
            yield from _own_statements(child)
