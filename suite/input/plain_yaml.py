"""YAML as people read it: what YAML 1.1 would silently take for something else is refused."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BOOLEAN = {"yes", "no", "on", "off", "y", "n"}


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses duplicate keys, octal and base-60 numbers, and yes for true."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are all different."""
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag.endswith(":merge"):
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if isinstance(key, str | int | float | bool) and key in seen:
                raise ValueError(
                    f"line {line}: key {key!r} stands in line {seen[key]} already, allowed: once"
                )
            if isinstance(key, str | int | float | bool):
                seen[key] = line
        return super().construct_mapping(node, deep)


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    text = node.value.replace("_", "")
    if ":" in text or re.fullmatch(r"[-+]?0\d+", text):
        kind = "a base-60 number" if ":" in text else "an octal number"
        raise ValueError(
            f"line {node.start_mark.line + 1}: found {node.value}, which YAML reads as {kind}; "
            f"allowed: a decimal number, or text in quotes"
        )
    base = yaml.SafeLoader
    if node.tag.endswith(":int"):
        return base.construct_yaml_int(loader, node)
    return base.construct_yaml_float(loader, node)


def _boolean(loader: _Loader, node: yaml.ScalarNode) -> Any:
    if node.value.lower() in _BOOLEAN:
        raise ValueError(
            f"line {node.start_mark.line + 1}: found {node.value}, which YAML reads as a truth "
            "value; allowed: true, false, or text in quotes"
        )
    return yaml.SafeLoader.construct_yaml_bool(loader, node)


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:bool", _boolean)


def load(text: str) -> Any:
    """Read one YAML document; nothing but plain data is made.

    Raises
    ------
    ValueError
        One line that names the line: a key that stands there twice, an octal or base-60 number, a
        truth value other than true and false.
    yaml.YAMLError
        Not YAML.
    """
    return yaml.load(text, Loader=_Loader)
