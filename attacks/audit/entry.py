"""Audits of vectors from any system: attacks, and how often they identify users.

Nothing is trained. ``latentprint audit`` does the same for files.

Shape letters: n vectors, d dimensions, g gallery users, p probes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.audit.attribute import infer
from attacks.audit.background import attacked, learned_from, set_aside
from attacks.audit.defended import defended, place_in_time
from attacks.audit.result import AttackDifference, AttackResult, Audit
from attacks.audit.rounding import Rounded, rounded
from attacks.audit.sentences import sentences
from attacks.audit.split import Split, first_appearance, split
from attacks.base import Attack
from attacks.cosine import Cosine
from attacks.defenses.base import Defense
from attacks.euclidean import Euclidean
from attacks.gallery import Gallery, Released
from attacks.measures.comparisons import holm, paired_difference
from attacks.measures.figures import figures
from attacks.measures.forecast import curve, forecast
from attacks.measures.metrics import credits, top_credit
from attacks.measures.reliability import verdict
from attacks.measures.risk import by_activity, user_risk
from attacks.pooling import pooled
from attacks.ranks.precision import equal_rows, num_tied_apart

Codes = NDArray[np.int64]
Vectors = NDArray[np.float32]


def audit(  # noqa: PLR0913 - each column of the data is one
    user_id: NDArray[Any],
    vector: NDArray[Any],
    *,
    time: NDArray[Any] | None = None,
    role: NDArray[Any] | None = None,
    session: NDArray[Any] | None = None,
    attacks: Mapping[str, Attack] | None = None,
    attributes: Mapping[str, NDArray[Any]] | None = None,
    defenses: Mapping[str, Defense] | None = None,
    background: NDArray[np.bool_] | None = None,
    noise: NDArray[np.float64] | None = None,
    forecast_to: Sequence[int] = (),
    replicates: int = 10_000,
    seed: int = 0,
) -> Audit:
    """Attack vectors by re-identification and measure the success rate.

    Parameters
    ----------
    user_id : (n,)
        User of each vector; integers, strings or other sortable values. Ids that differ in blanks
        only are different users.
    vector : (n, d)
        Finite numbers; converted to float32 after subtraction of a large offset common to all
        vectors, see `attacks.ranks.precision.offset`.
    time : (n,)
        Numbers or datetimes, not text: the earlier half of each user's vectors becomes the
        gallery, which the attacker has, and the later half the probes to identify. Without times
        the halves are random.
    role : (n,)
        ``gallery`` or ``probe``: a given split.
    session : (n,)
        Probes that share one with their user's own gallery vectors are dropped; None, NaN, NaT
        and blank text mean no session.
    attacks
        By name; None runs cosine and euclidean.
    attributes
        By name, the value of each vector's user ``(n,)``, None, NaN and blank text for none: how
        well they are inferred from the mean vector of each user.
    defenses
        By name: each is fitted to the gallery's vectors and applied to all, with a user's vectors
        in the order of time, and what it releases is audited too.
    background : (n,)
        Whether each vector's user is only learned from, in no gallery and no probe, by attacks
        that learn from other people; None: if there is such an attack, a random half are.
    noise : (d, d)
        Covariance of noise that the vectors hold, for attacks that know it; None: they hold none.
    forecast_to
        Gallery sizes above N for which to forecast top-1; unsupported ones are rejected in the
        result, with the reason.
    replicates
        Number of bootstrap resamples of users.
    seed
        Seed of the random split, the attacks and the bootstrap.

    Returns
    -------
    Audit
        ``to_dict()`` is the JSON of ``latentprint audit``, ``words`` its sentences.

    Raises
    ------
    ValueError
        If a user id, a vector or a time is missing or not finite, lengths disagree, times are
        text, a role is unknown, fewer than two users have two vectors, an attribute has not 2 to
        20 classes of 10 users or differs between a user's vectors, or a defense cannot be fitted.

    Examples
    --------
    >>> found = audit(user_id, vector, time=time)
    >>> print(*found.words, sep=chr(10))
    >>> found.attacks[0].figures["lift"]
    """
    if len(vector) != len(user_id):
        raise ValueError(
            f"vector must have a row for each of the {len(user_id)} user ids, got {len(vector)}"
        )
    attacks = attacks or {"cosine": Cosine(), "euclidean": Euclidean()}
    whole = split(user_id, time=time, role=role, session=session, seed=seed)
    user = first_appearance(user_id)
    aside = set_aside(attacks.values(), background, user, seed)
    cut = attacked(whole, aside, user)
    first_row = np.unique(user, return_index=True)[1]
    activity = np.bincount(user)
    known, user_row = np.unique(user[cut.gallery], return_inverse=True)
    given = rounded(vector, cut.gallery, user_row)
    vectors = given.vector
    if noise is None and any("noise" in attack.needs for attack in attacks.values()):
        noise = np.zeros((vectors.shape[1], vectors.shape[1]))
    held = Gallery(
        vectors[cut.gallery],
        user_row,
        background=learned_from(vectors, user, whole, aside),
        noise=noise,
    )
    gallery = held.centroids

    results, top1 = [], {}
    for name, attack in attacks.items():
        attack.fit(held, np.random.default_rng(seed))
        behind = user[cut.probe]
        true_row = np.searchsorted(known, behind)
        probe, first, _ = pooled(attack, vectors[cut.probe], behind, true_row)
        behind, true_row = behind[first], true_row[first]
        ranks = attack.ranks(probe, attack.templates(held), true_row)
        risk = user_risk(ranks, behind)
        forecasts = forecast(
            ranks,
            behind,
            len(known),
            forecast_to,
            replicates=replicates,
            rng=np.random.default_rng(seed),
        )
        sizes = _sizes(len(known))
        result = AttackResult(
            attack=name,
            figures={**figures(ranks, behind, len(known)), "num_dropped": cut.num_dropped},
            **verdict(credits(ranks, len(known)), behind),
            curve=tuple(zip(sizes, curve(ranks, len(known), sizes).tolist(), strict=True)),
            forecasts=forecasts,
            by_activity=by_activity(risk, activity[risk.user]),
            users=replace(risk, user=user_id[first_row[risk.user]]),
            num_tied_apart=num_tied_apart(ranks.equal, gallery, true_row),
        )
        results.append(result)
        top1[name] = top_credit(ranks, 1), behind
    settings: dict[str, Any] = {
        "time": time,
        "role": role,
        "session": session,
        "attacks": attacks,
        "attributes": attributes,
        "background": background,
        "forecast_to": forecast_to,
        "replicates": replicates,
        "seed": seed,
    }
    released = _released(vectors, user, whole, time)
    audits = {}
    for name, defense in (defenses or {}).items():
        try:
            changed = defended(defense, released, whole.gallery, seed)
        except ValueError as error:
            raise ValueError(f"defense {name}: {error}") from None
        audits[name] = audit(user_id, changed, noise=defense.noise(), **settings)
    found = Audit(
        num_vectors=len(vectors),
        num_dimensions=vectors.shape[1],
        num_users=len(activity),
        attacks=tuple(results),
        differences=_differences(top1, replicates=replicates, seed=seed),
        attributes=tuple(
            infer(name, vectors, user, values, seed=seed)
            for name, values in (attributes or {}).items()
        ),
        defended=audits,
        num_users_background=len(np.unique(user[aside])),
        **_describe(cut, given, user, gallery),
    )
    return replace(found, words=sentences(found))


def _released(vectors: Vectors, user: Codes, cut: Split, time: NDArray[Any] | None) -> Released:
    """Return all vectors, with the halves as windows."""
    window = np.full(len(vectors), "probe", "<U7")
    window[cut.gallery] = "gallery"
    return Released(vectors, user, place_in_time(user, time), window)


def _sizes(num_gallery: int) -> list[int]:
    """Return 1, 2, 5, 10, 20, 50 .. up to N, and N."""
    steps = [step * 10**power for power in range(12) for step in (1, 2, 5)]
    return [size for size in steps if size < num_gallery] + [num_gallery]


def _differences(
    top1: dict[str, tuple[NDArray[np.float64], Codes]], *, replicates: int, seed: int
) -> tuple[AttackDifference, ...]:
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a, b in combinations(top1, 2) if np.array_equal(top1[a][1], top1[b][1])]
    found = [
        paired_difference(top1[a][0], top1[b][0], top1[a][1], swaps=replicates, rng=rng)
        for a, b in pairs
    ]
    adjusted = holm(np.array([one.p for one in found])).tolist()
    return tuple(
        AttackDifference(a, b, **asdict(one), p_holm=p)
        for (a, b), one, p in zip(pairs, found, adjusted, strict=True)
    )


def _describe(cut: Split, given: Rounded, user: Codes, gallery: Vectors) -> dict[str, Any]:
    """Count users who are dropped, whose vectors never change, or who share one with others."""
    same = given.same
    own = same[np.unique(user, return_index=True)[1]]
    is_repeated = np.bincount(user) > 1
    is_constant = np.bincount(user, same != own[user]) == 0
    owners = np.unique(same * (user.max() + 1) + user) // (user.max() + 1)
    is_alone = np.bincount(owners)[own] == 1
    sizes = np.unique(equal_rows(gallery), return_counts=True)[1]
    return {
        "split_by": cut.by,
        "num_dropped": cut.num_dropped,
        "num_users_dropped": cut.num_users_dropped,
        "num_users_repeated": int(is_repeated.sum()),
        "num_users_constant": int((is_constant & is_repeated).sum()),
        "num_users_identifier": int((is_constant & is_alone & is_repeated).sum()),
        "num_vectors_merged": given.num_merged,
        "largest_offset": float(np.abs(given.offset).max()),
        "num_equal_classes": int((sizes > 1).sum()),
        "num_users_equal": int(sizes[sizes > 1].sum()),
        "largest_equal_class": int(sizes.max()),
    }
