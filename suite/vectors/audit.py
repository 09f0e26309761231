"""Attack vectors by the attacks that are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from attacks.audit import Audit
from attacks.base import Attack
from suite import registry
from suite.parts import Part
from suite.vectors.vectors import Vectors

NEEDS = {
    "other_space": "vectors of a second training",
    "histories": "the histories behind the vectors",
    "noise": "the covariance of a defense's noise",
}
"""What an attack that holds more than vectors needs; such a one cannot audit bare vectors."""


def audit(
    source: Vectors,
    *,
    name: str,
    attacks: Sequence[str],
    defenses: Sequence[str] = (),
    background: Path | None = None,
    **settings: Any,
) -> Audit:
    """Run `attacks.audit.audit` on vectors of a file.

    Parameters
    ----------
    source
        What to audit.
    name
        Name of the source, for error messages.
    attacks
        Each as in a suite file: a name, ``path/to/file.py:Class``, or ``name: {parameters}``.
    defenses
        Likewise; the vectors that each releases are audited too.
    background
        Text file with one user id per line: these users are used for fitting only.
    settings
        Arguments of `attacks.audit.audit`.

    Returns
    -------
    Audit
        The notes of the source follow its first sentence.

    Raises
    ------
    ValueError
        An attack or a defense is unknown, the background users cannot be read or do not exist, or
        the vectors cannot be audited.
    """
    chosen = {text: _attack(text) for text in attacks}
    changing = {text: created("defenses", text) for text in defenses}
    if background is not None:
        settings["background"] = _listed(source, background)
    try:
        result = source.audit(attacks=chosen, defenses=changing, **settings)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return replace(result, words=(*result.words[:1], *source.notes, *result.words[1:]))


def _attack(text: str) -> Attack:
    attack: Attack = created("attacks", text)
    if needs := attack.needs & NEEDS.keys():
        needed = ", ".join(NEEDS[name] for name in sorted(needs))
        raise ValueError(f"--attack {text}: does not apply, it needs {needed}")
    return attack


def _listed(source: Vectors, path: Path) -> NDArray[np.bool_]:
    """Whether each vector's user is in a list of user ids, ``(n,)``."""
    try:
        ids = {line.strip() for line in path.read_text().splitlines()} - {""}
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--background: {path} is no readable text file: {error}") from None
    user = source.user.cast(pl.String)
    unknown = sorted(ids - set(user.to_list()))
    if unknown or not ids:
        shown = f"{unknown[0]!r}, whom no vector is of" if unknown else "no user id"
        raise ValueError(f"--background: {path}: found {shown}, allowed: ids of the users audited")
    return user.is_in(list(ids)).to_numpy()


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
