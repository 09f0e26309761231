"""Attack vectors by the attacks that are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import yaml
from pydantic import ValidationError

from attacks.audit import Audit
from attacks.base import Attack
from suite import registry
from suite.parts import Part
from suite.vectors.vectors import Vectors

NEEDS = {
    "other_space": "vectors of a second training",
    "histories": "the histories behind the vectors",
    "background": "vectors of other users in two windows",
}
"""What an attack that holds more than vectors needs; such a one cannot audit bare vectors."""


def audit(source: Vectors, *, name: str, attacks: Sequence[str], **settings: Any) -> Audit:
    """Run `attacks.audit.audit` on vectors of a file.

    Parameters
    ----------
    source
        What to audit.
    name
        Of the source, for error messages.
    attacks
        Each as in a suite file: a name, ``path/to/file.py:Class``, or ``name: {parameters}``.
    settings
        Of `attacks.audit.audit`.

    Returns
    -------
    Audit
        The notes of the source follow its first sentence.

    Raises
    ------
    ValueError
        If an attack is unknown, or the vectors cannot be audited.
    """
    chosen = {text: _attack(text) for text in attacks}
    try:
        found = source.audit(attacks=chosen, **settings)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return replace(found, words=(*found.words[:1], *source.notes, *found.words[1:]))


def _attack(text: str) -> Attack:
    try:
        part = Part.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError):
        raise ValueError(
            f"--attack: must be a name, or 'name: {{key: value}}', got {text!r}"
        ) from None
    if needs := registry.part("attacks", part.name).needs:
        needed = ", ".join(NEEDS[name] for name in sorted(needs))
        raise ValueError(f"--attack {part.name}: does not apply, it needs {needed}")
    attack: Attack = registry.create("attacks", part.name, part.parameters)
    return attack
