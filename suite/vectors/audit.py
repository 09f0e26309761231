"""Attack vectors by the attacks that are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

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
    "noise": "the covariance of a defense's noise",
}
"""What an attack that holds more than vectors needs; such a one cannot audit bare vectors."""


def audit(
    source: Vectors,
    *,
    name: str,
    attacks: Sequence[str],
    defenses: Sequence[str] = (),
    **settings: Any,
) -> Audit:
    """Run `attacks.audit.audit` on vectors of a file.

    Parameters
    ----------
    source
        What to audit.
    name
        Of the source, for error messages.
    attacks
        Each as in a suite file: a name, ``path/to/file.py:Class``, or ``name: {parameters}``.
    defenses
        Likewise: what each releases of the vectors is audited too.
    settings
        Of `attacks.audit.audit`.

    Returns
    -------
    Audit
        The notes of the source follow its first sentence.

    Raises
    ------
    ValueError
        If an attack or a defense is unknown, or the vectors cannot be audited.
    """
    chosen = {text: _attack(text) for text in attacks}
    changing = {text: created("defenses", text) for text in defenses}
    try:
        found = source.audit(attacks=chosen, defenses=changing, **settings)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return replace(found, words=(*found.words[:1], *source.notes, *found.words[1:]))


def _attack(text: str) -> Attack:
    attack: Attack = created("attacks", text)
    if needs := attack.needs & NEEDS.keys():
        needed = ", ".join(NEEDS[name] for name in sorted(needs))
        raise ValueError(f"--attack {text}: does not apply, it needs {needed}")
    return attack


def created(kind: Literal["attacks", "defenses"], text: str) -> Any:
    """Make a part from how it is named on the command line, as in a suite file.

    Raises
    ------
    ValueError
        One line, if it is no name, unknown, or has other parameters.
    """
    try:
        part = Part.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError):
        raise ValueError(
            f"--{kind[:-1]}: must be a name, or 'name: {{key: value}}', got {text!r}"
        ) from None
    return registry.create(kind, part.name, part.parameters)
