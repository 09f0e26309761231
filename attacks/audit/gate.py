"""Whether an audit's figures may exceed what is allowed, for checks that run by themselves."""

from __future__ import annotations

from attacks.audit.result import AttackResult, Audit


def check(*, above_lift: float | None, above_top1: float | None) -> None:
    """Refuse a limit that no figure can be compared with.

    Raises
    ------
    ValueError
        If the lift is below 1, or top-1 outside [0, 1].
    """
    if above_lift is not None and not above_lift >= 1:
        raise ValueError(f"fail-above-lift: found {above_lift:g}, allowed: 1 (chance) or more")
    if above_top1 is not None and not 0 <= above_top1 <= 1:
        raise ValueError(f"fail-above-top1: found {above_top1:g}, allowed: 0 to 1")


def breaches(
    found: Audit, *, above_lift: float | None = None, above_top1: float | None = None
) -> list[str]:
    """Sentences on every attack that may do better than allowed.

    The upper end of the 95 % interval is compared: what cannot be ruled out. Where the interval
    over vectors is unreliable, the larger of its upper end and that of the interval over users
    counts. Where defenses were audited, what they release is compared, and the undefended vectors
    are not.

    Parameters
    ----------
    found
    above_lift
        Allowed lift, at least 1; None allows any.
    above_top1
        Allowed top-1, in [0, 1]; None allows any.

    Raises
    ------
    ValueError
        If a limit is out of range.
    """
    check(above_lift=above_lift, above_top1=above_top1)
    named = {f" under {name}": one for name, one in found.defended.items()} or {"": found}
    return [
        sentence
        for under, audit in named.items()
        for result in audit.attacks
        for sentence in _exceeding(result, under, above_lift, above_top1)
    ]


def largest_top1(result: AttackResult) -> float:
    """Upper end of the interval of top-1; the larger one where that over vectors is unreliable."""
    keys = ["top1_high"] if result.interval == "ok" else ["top1_high", "per_user_top1_high"]
    return max(result.figures[key] or 0.0 for key in keys)


def _exceeding(
    result: AttackResult, under: str, above_lift: float | None, above_top1: float | None
) -> list[str]:
    top1 = largest_top1(result)
    lift = top1 * (result.figures["num_gallery"] or 1)
    limits = (("lift", lift, above_lift), ("top1", top1, above_top1))
    return [
        f"{result.attack}{under}: {name} may be as high as {value:.4g} (upper end of the 95 % "
        f"interval), allowed: {allowed:g}"
        for name, value, allowed in limits
        if allowed is not None and value > allowed
    ]
