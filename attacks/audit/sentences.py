"""The findings of an audit as sentences that need no glossary."""

from __future__ import annotations

import math

from attacks.audit.attribute import AttributeResult
from attacks.audit.result import AttackResult, Audit

SPLITS = {
    "time": "Split by time: the attacker holds the earlier half of each user's vectors.",
    "role": "Split as given: the attacker holds the vectors whose role is gallery.",
    "random": "There are no times, so the attacker holds a random half of each user's vectors: "
    "an upper reading of what can be linked over time.",
}


def sentences(audit: Audit) -> tuple[str, ...]:
    """Say what was audited, what to beware of, and what each attack found."""
    about = (
        f"{audit.num_vectors:,} vectors of {audit.num_users:,} users, "
        f"{audit.num_dimensions:,} numbers each"
    )
    if audit.num_dropped:
        about += (
            f"; {audit.num_dropped:,} vectors left out, with them {audit.num_users_dropped:,} users"
        )
    return (
        f"{about}.",
        SPLITS[audit.split_by],
        *_aside(audit),
        *_warnings(audit),
        *_found(audit),
        *(
            f"under {name}, {sentence}"
            for name, defended in audit.defended.items()
            for sentence in _found(defended)
        ),
    )


def _aside(audit: Audit) -> list[str]:
    if not audit.num_users_background:
        return []
    return [
        f"{audit.num_users_background:,} users are only learned from: they are neither held by the "
        "attacker nor named."
    ]


def _found(audit: Audit) -> list[str]:
    """Say what each attack found, and what was inferred of each attribute."""
    which = "earlier" if audit.split_by == "time" else "known"
    return [
        *(
            f"{result.attack}: {sentence}"
            for result in audit.attacks
            for sentence in _findings(result, which)
        ),
        *(f"{one.attribute}: {_inferred(one)}" for one in audit.attributes),
    ]


def _inferred(one: AttributeResult) -> str:
    right = _percents(one.accuracy, one.accuracy_low, one.accuracy_high)
    balanced = _percents(
        one.balanced_accuracy, one.balanced_accuracy_low, one.balanced_accuracy_high
    )
    return (
        f"inferred right for {right[0]} of {one.num_users:,} users ({right[1]}) from one vector "
        f"each, where naming all {one.majority_class!r} is right for "
        f"{_percents(one.majority)[0]}; averaged over the {one.num_classes} classes "
        f"{balanced[0]} ({balanced[1]}), where chance is {_percents(one.chance)[0]}."
    )


def _warnings(audit: Audit) -> list[str]:
    found = _rounding(audit)
    num_gallery = audit.attacks[0].figures["num_gallery"]
    if audit.largest_equal_class == num_gallery:
        return [*found, "All users have the same vector: it identifies nobody."]
    found += _constant(audit)
    if audit.largest_equal_class > 1:
        found.append(
            f"{audit.num_users_equal:,} users share their gallery vector exactly, up to "
            f"{audit.largest_equal_class:,} the same one: among these an attacker can only guess."
        )
    return found


def _rounding(audit: Audit) -> list[str]:
    found = []
    if audit.largest_offset:
        found.append(
            f"Offsets of up to {audit.largest_offset:g}, which all vectors share, are subtracted: "
            "float32 could not hold what varies beside them."
        )
    if audit.num_vectors_merged:
        found.append(
            f"{audit.num_vectors_merged:,} vectors that differ in the input equal others after "
            "rounding to float32: figures are too low for their users."
        )
    return found


def _constant(audit: Audit) -> list[str]:
    """Say whose vector never changes, and whether it is nobody else's."""
    found = []
    alone, shared = audit.num_users_identifier, audit.num_users_constant
    shared -= alone
    if 0 < alone == audit.num_users_repeated:
        found.append("Every vector of a user is the same: it is an identifier by construction.")
    elif alone:
        found.append(
            f"{alone:,} of {audit.num_users_repeated:,} users with two or more vectors have the "
            "same one each time, which nobody else has: theirs are identifiers by construction."
        )
    if shared:
        found.append(
            f"{shared:,} of {audit.num_users_repeated:,} users with two or more vectors have the "
            "same one each time, but share it with others."
        )
    return found


def _findings(result: AttackResult, which: str) -> list[str]:
    figure = {name: value or 0.0 for name, value in result.figures.items()}
    rate, interval = _percents(figure["top1"], figure["top1_low"], figure["top1_high"])
    if figure["top1_low"] <= figure["chance"]:
        against = f"which cannot be told from chance, {_percents(figure['chance'])[0]}"
    else:
        lift = figure["lift"]
        against = f"{lift:,.0f}" if lift >= 100 else f"{lift:.3g}"
        against += " times better than chance"
    always, never = (_percents(figure[f"share_{which}"])[0] for which in ("always", "never"))
    found = [
        *_doubts(result),
        f"an attacker with one {which} vector of each of {figure['num_gallery']:,} users names "
        f"the right user {rate} of the time ({interval}), {against}.",
        f"{always} of the users are named right every time, {never} never.",
    ]
    if result.num_tied_apart:
        found.append(
            f"{result.num_tied_apart:,} of {result.figures['num_probes']:,} probes tie with a user "
            "of another vector, whom this attack does not tell from the right one."
        )
    if result.forecasts is None:
        found.append(
            "no forecast: fewer than 10 users were ever named right, or ever missed, or the "
            "gallery has fewer than 40."
        )
    for one in result.forecasts or ():
        if one.top1 is None or one.top1_low is None or one.top1_high is None:
            found.append(f"no forecast: {one.reason}.")
            continue
        rate, interval = _percents(one.top1, one.top1_low, one.top1_high)
        found.append(f"among {one.num_gallery:,} such users it would be {rate} ({interval}).")
    return found


def _doubts(result: AttackResult) -> list[str]:
    """Warn of intervals that may cover too seldom, and give the one that holds."""
    if result.interval == "ok":
        return []
    keys = ("per_user_top1", "per_user_top1_low", "per_user_top1_high")
    rate, interval = _percents(*(result.figures[key] or 0.0 for key in keys))
    return [
        f"the right user is named {rate} of the time ({interval}) if each user counts once; "
        f"intervals over vectors are unreliable here ({result.interval_reason})."
    ]


def _percents(rate: float, *bounds: float) -> tuple[str, str]:
    """Format a rate to three digits in percent, and its bounds to as many decimals."""
    size = 100 * (rate or max(bounds, default=0.0)) or 100.0
    decimals = max(0, 2 - math.floor(math.log10(size)))
    return (
        f"{100 * rate:.{decimals}f} %",
        "-".join(f"{100 * bound:.{decimals}f}" for bound in bounds),
    )
