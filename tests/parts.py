"""Every part of the registry, to be tested by what it must do."""

from __future__ import annotations

import pytest

from suite import registry

PARTS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]

EXAMPLES = {
    "table": {
        "events": "nowhere.csv",
        "train": "2020-01-08",
        "validation": "2020-01-15",
        "test": "2020-01-22",
        "end": "2020-01-29",
    }
}
"""Parameters of the parts that cannot have a default for each."""


def parts(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", registry.names(kind))


def made(kind: str, name: str):
    return registry.create(kind, name, EXAMPLES.get(name, {}))
