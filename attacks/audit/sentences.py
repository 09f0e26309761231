"""The findings of an audit in plain sentences."""

from __future__ import annotations

import math

from attacks.audit.attribute import AttributeResult
from attacks.audit.result import AttackResult, Audit

SPLITS = {
    "time": "Split by time: the attacker has the earlier half of each user's vectors.",
    "role": "Split as given: the attacker has the vectors with the role gallery.",
    "random": "There are no times, so the attacker has a random half of each user's vectors: "
    "figures are optimistic for the attacker compared with linkage over time.",
}


def sentences(audit: Audit) -> tuple[str, ...]:
    """Describe what was audited, warnings, and the findings of each attack."""
    about = (
        f"{audit.num_vectors:,} vectors of {audit.num_users:,} users, "
        f"{_counted(audit.num_dimensions, 'dimension')} each"
    )
    if audit.num_dropped:
        about += f"; left out {_counted(audit.num_dropped, 'vector')}"
        if audit.num_users_dropped:
            about += f" and with them {_counted(audit.num_users_dropped, 'user')}"
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
    number = _counted(audit.num_users_background, "user")
    return [f"Used for fitting only, neither in the gallery nor to be identified: {number}."]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _found(audit: Audit) -> list[str]:
    """Describe the findings of each attack, and what was inferred about each attribute."""
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
        f"inferred correctly for {right[0]} of {one.num_users:,} users ({right[1]}) from one "
        f"vector each, while the most frequent class {one.majority_class!r} has "
        f"{_percents(one.majority)[0]}; averaged over the {one.num_classes} classes "
        f"{balanced[0]} ({balanced[1]}), where chance is {_percents(one.chance)[0]}."
    )


def _warnings(audit: Audit) -> list[str]:
    warnings = _rounding(audit)
    num_gallery = audit.attacks[0].figures["num_gallery"]
    if audit.largest_equal_class == num_gallery:
        return [*warnings, "All users have the same vector, which identifies no one."]
    warnings += _constant(audit)
    if audit.largest_equal_class > 1:
        warnings.append(
            f"{audit.num_users_equal:,} users share their gallery vector exactly with others, up "
            f"to {audit.largest_equal_class:,} the same one: within such a group an attacker can "
            "only guess."
        )
    return warnings


def _rounding(audit: Audit) -> list[str]:
    warnings = []
    if audit.largest_offset:
        warnings.append(
            f"Offsets of up to {audit.largest_offset:g}, common to all vectors, are subtracted: "
            "float32 cannot represent the differences between vectors beside them."
        )
    if audit.num_vectors_merged:
        warnings.append(
            f"Rounding to float32 made {_counted(audit.num_vectors_merged, 'vector')} equal to "
            "others that differ in the input: figures are too low for their users."
        )
    return warnings


def _constant(audit: Audit) -> list[str]:
    """Describe users whose vector never changes, and whether others share it."""
    warnings = []
    alone, shared = audit.num_users_identifier, audit.num_users_constant
    shared -= alone
    repeated = f"of {audit.num_users_repeated:,} users with two or more vectors the vector is"
    if 0 < alone == audit.num_users_repeated:
        warnings.append("All vectors of a user are equal: they are identifiers by construction.")
    elif alone:
        warnings.append(
            f"For {alone:,} {repeated} always the same and no other user has it: an identifier by "
            "construction."
        )
    if shared:
        warnings.append(f"For {shared:,} {repeated} always the same, but others have it too.")
    return warnings


def _findings(result: AttackResult, which: str) -> list[str]:
    figure = {name: value or 0.0 for name, value in result.figures.items()}
    rate, interval = _percents(figure["top1"], figure["top1_low"], figure["top1_high"])
    if figure["top1_low"] <= figure["chance"]:
        against = f"not distinguishable from chance, {_percents(figure['chance'])[0]}"
    else:
        lift = figure["lift"]
        against = f"{lift:,.0f}" if lift >= 100 else f"{lift:.3g}"
        against += " times better than chance"
    always, never = (_percents(figure[f"share_{which}"])[0] for which in ("always", "never"))
    findings = [
        *_doubts(result),
        f"an attacker with one {which} vector of each of {figure['num_gallery']:,} users "
        f"identifies the right user {rate} of the time ({interval}), {against}.",
        f"{always} of the users are identified every time, {never} never.",
    ]
    if result.num_tied_apart:
        findings.append(
            f"for {result.num_tied_apart:,} of {result.figures['num_probes']:,} probes a user with "
            "another vector ties with the right one, which this attack cannot distinguish."
        )
    if result.forecasts is None:
        findings.append(
            "no forecast: fewer than 10 users are ever identified, or ever missed, or the gallery "
            "has fewer than 40."
        )
    for one in result.forecasts or ():
        if one.top1 is None or one.top1_low is None or one.top1_high is None:
            findings.append(f"no forecast: {one.reason}.")
            continue
        rate, interval = _percents(one.top1, one.top1_low, one.top1_high)
        findings.append(f"among {one.num_gallery:,} such users it would be {rate} ({interval}).")
    return findings


def _doubts(result: AttackResult) -> list[str]:
    """Warn of unreliable intervals, and give the reliable one."""
    if result.interval == "ok":
        return []
    keys = ("per_user_top1", "per_user_top1_low", "per_user_top1_high")
    rate, interval = _percents(*(result.figures[key] or 0.0 for key in keys))
    return [
        f"with equal weight per user, the right user is identified {rate} of the time "
        f"({interval}); intervals over vectors are unreliable here ({result.interval_reason})."
    ]


def _percents(rate: float, *bounds: float) -> tuple[str, str]:
    """Format a rate to three digits in percent, and its bounds to as many decimals."""
    size = 100 * (rate or max(bounds, default=0.0)) or 100.0
    decimals = max(0, 2 - math.floor(math.log10(size)))
    return (
        f"{100 * rate:.{decimals}f} %",
        "-".join(f"{100 * bound:.{decimals}f}" for bound in bounds),
    )
