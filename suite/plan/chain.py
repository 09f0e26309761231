"""The chain of steps of one cell, from its features to its figures."""

from __future__ import annotations

from functools import cache
from typing import Any

from suite import registry
from suite.parts import Part
from suite.plan.choices import blocks, on_validation
from suite.plan.step import Step
from suite.spec import UNDEFENDED, Cell, Suite

BEST = "best"
"""Stands in a suite's attacks for the one of them that is strongest on validation."""


def forget() -> None:
    """Forget the steps that were planned before: what decides their digests may have changed."""
    steps = (fit, ranks, reference, best, _represent, _defend, _utility, _attack, _half)
    for planned in (*steps, _inputs_read, on_validation):
        planned.cache_clear()


@cache
def fit(cell: Cell, suite: Suite, features: Step) -> Step:
    """Fit the cell's model."""
    return Step(
        "fit",
        f"fit {_who(cell)}",
        {"model": cell.model, "training": suite.training, "seed": cell.seed},
        (features,),
        (registry.module("models", cell.model.name),),
    )


@cache
def ranks(cell: Cell, suite: Suite, features: Step) -> Step:
    """Attack what is released; of inputs in several blocks the strongest on validation."""
    several = cell.release == "raw" and len(blocks(cell)) > 1
    readings = [(block, cell, block) for block in blocks(cell)] if several else []
    return _strongest("strongest", readings, suite, features) or _attack(cell, suite, features)


@cache
def reference(cell: Cell, suite: Suite, features: Step) -> Step | None:
    """Read the model's own inputs, undefended, by the blocks and the suite's plain attacks.

    Only for rows whose attack is one of them: one that pools probes, or knows more, may do better
    than all of these without any amplification by the model.
    """
    attacks = [part for part in suite.attacks if part.name != BEST]
    plain = [part for part in attacks if registry.part("attacks", part.name).plain]
    among = attacks if cell.attack.name == BEST else [cell.attack]
    if cell.release != "model" or not all(part in plain for part in among):
        return None
    # Attacks of inputs need no model, so that all seeds and all defenses share them.
    undefended = Part(name=UNDEFENDED, label=UNDEFENDED)
    raw = cell._replace(release="raw", defense=undefended, seed=suite.seeds[0], attack=plain[0])
    return _inputs_read(raw._replace(releases_m=1, attacker_holds="defended"), suite, features)


@cache
def _inputs_read(raw: Cell, suite: Suite, features: Step) -> Step | None:
    """Read raw inputs by the suite's plain attacks, whichever the cell's own attack is."""
    attacks = [part for part in suite.attacks if part.name != BEST]
    plain = [part for part in attacks if registry.part("attacks", part.name).plain]
    readings = [
        (f"{block}, {attack.label}", raw._replace(attack=attack), block)
        for block in blocks(raw)
        for attack in plain
    ]
    return _strongest("reference", readings, suite, features)


def measure(cell: Cell, suite: Suite, features: Step, attack: Step) -> Step:
    """Compute the figures of an attack, beside what the vectors are worth."""
    return Step(
        "measure",
        f"measure {_who(cell)}, {_what(cell)}: {cell.protocol.label}, {cell.attack.label}",
        {},
        (attack, _utility(cell, suite, features)),
    )


@cache
def best(cell: Cell, suite: Suite, features: Step) -> Step:
    """Choose among the suite's other attackers on validation, report the choice on test."""
    candidates = [part for part in suite.attacks if part.name != BEST]
    if not candidates:
        raise ValueError(
            "attacks: found only best, allowed: best beside the attacks to choose from"
        )
    chosen_on = on_validation(cell.protocol)
    if chosen_on is None:
        raise ValueError(
            f"attacks: found best, allowed: only where {cell.protocol.name} has a "
            "counterpart on validation to choose by"
        )
    of_inputs = list(blocks(cell)) if cell.release == "raw" else [""]
    cells = [(cell._replace(attack=part), block) for block in of_inputs for part in candidates]
    names = [
        f"{block}, {c.attack.label}" if len(of_inputs) > 1 else c.attack.label for c, block in cells
    ]
    to_choose = [_attack(c._replace(protocol=chosen_on), suite, features, b) for c, b in cells]
    on_test = [measure(c, suite, features, _attack(c, suite, features, b)) for c, b in cells]
    return Step(
        "best",
        f"best attack on {_who(cell)}, {_what(cell)}: {cell.protocol.label}",
        {"candidates": names},
        (*to_choose, *on_test),
    )


@cache
def _represent(
    cell: Cell, suite: Suite, features: Step, fitted_on: Step, block: str | None = None
) -> Step:
    if cell.release == "raw":
        block = block or [*blocks(cell)][-1]
        title = f"inputs of {cell.model.label} on {cell.dataset.label}: {block}"
        return Step("inputs", title, blocks(cell)[block], (features,))
    arguments: dict[str, Any] = {"model": cell.model, "release": cell.release}
    if cell.release == "random_net":
        arguments["seed"] = cell.seed
    return Step(
        "represent",
        f"represent {_who(cell)}, {cell.release}",
        arguments,
        (features, fit(cell, suite, fitted_on)) if cell.release == "model" else (features,),
        (registry.module("models", cell.model.name),),
    )


@cache
def _defend(
    cell: Cell, suite: Suite, features: Step, encoded: Step, block: str | None = None
) -> Step:
    """Defend the vectors of encoded histories, as the whole histories' vectors ask for."""
    released = _represent(cell, suite, encoded, features, block)
    if cell.defense.name == UNDEFENDED:
        return released
    whole = (_represent(cell, suite, features, features, block),) if encoded is not features else ()
    return Step(
        "defend",
        f"defend {_who(cell)}, {_what(cell)}",
        {"defense": cell.defense, "seed": cell.seed, "releases_m": cell.releases_m},
        (features, released, *whole),
        (registry.module("defenses", cell.defense.name),),
    )


@cache
def _utility(cell: Cell, suite: Suite, features: Step) -> Step:
    """Predict the labels from one release; undefended, a model's scores are there already."""
    once = cell._replace(releases_m=1)
    title = f"utility of {_who(cell)}, {_what(once)}"
    released = (_defend(once, suite, features, features),)
    if cell.release != "model":
        return Step("utility", title, {}, (features, *released))
    fitted = fit(cell, suite, features)
    if cell.defense.name == UNDEFENDED:
        return Step("utility", title, {}, (features, *released, fitted))
    return Step(
        "utility",
        title,
        {"model": cell.model, "seed": cell.seed},
        (features, *released, fitted),
        (registry.module("models", cell.model.name),),
    )


@cache
def _attack(cell: Cell, suite: Suite, features: Step, block: str | None = None) -> Step:
    gallery = probed = features
    if registry.part("protocols", cell.protocol.name).splits_history:
        gallery, probed = (_half(cell, features, side) for side in ("gallery", "probe"))
    held = cell
    if cell.attacker_holds == "undefended":
        held = cell._replace(defense=Part(name=UNDEFENDED, label=UNDEFENDED))
    released = [_defend(held, suite, features, gallery, block)]
    if "other_space" in registry.part("attacks", cell.attack.name).needs:
        other = cell._replace(seed=cell.seed + 1)
        released.append(_defend(other, suite, features, features, block))
    elif gallery is not probed or held is not cell:
        released.append(_defend(cell, suite, features, probed, block))
    parts = {"protocol": cell.protocol, "attack": cell.attack}
    # Of all attacks of the suite alike: lifts compare at the same N only.
    others = (registry.part("attacks", one.name) for one in suite.attacks if one.name != BEST)
    aside = {"aside": True} if any("background" in one.needs for one in others) else {}
    return Step(
        "attack",
        f"attack {_who(cell)}, {_what(cell)}: {cell.protocol.label}, {cell.attack.label}",
        {**parts, "seed": cell.seed, **aside},
        (features, *released),
        tuple(registry.module(f"{kind}s", p.name) for kind, p in parts.items()),
    )


@cache
def _half(cell: Cell, features: Step, side: str) -> Step:
    return Step(
        "half",
        f"{side} half of the histories of {cell.dataset.label}, {cell.protocol.label}",
        {
            "dataset": cell.dataset,
            "side": side,
            "deal": cell.protocol.parameters.get("deal", "session"),
        },
        (features,),
        (registry.module("datasets", cell.dataset.name),),
        features.files,
    )


def _strongest(
    kind: str, readings: list[tuple[str, Cell, str]], suite: Suite, features: Step
) -> Step | None:
    """Choose among named cells and blocks on validation; None where that cannot be done."""
    chosen_on = on_validation(readings[0][1].protocol) if readings else None
    if chosen_on is None:
        return None
    outcomes = [
        _attack(cell._replace(protocol=protocol or cell.protocol), suite, features, block)
        for protocol in (chosen_on, None)
        for _, cell, block in readings
    ]
    names, cell = [name for name, _, _ in readings], readings[0][1]
    return Step(
        kind,
        f"strongest inputs of {_who(cell)}: {cell.protocol.label}, {cell.attack.label}",
        {"candidates": names},
        tuple(outcomes),
    )


def _who(cell: Cell) -> str:
    return f"{cell.model.label} on {cell.dataset.label}, seed {cell.seed}"


def _what(cell: Cell) -> str:
    """Say what is released: a defended release with its defense and its number of releases."""
    if cell.defense.name == UNDEFENDED:
        return cell.release
    times = "" if cell.releases_m == 1 else f", {cell.releases_m} releases"
    return f"{cell.release}, {cell.defense.label}{times}"
