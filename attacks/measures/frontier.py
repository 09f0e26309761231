"""What a set of releases offers together: utility kept against identity given away.

Shape letter: n releases.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def kept(auc: Values, undefended: float) -> Values:
    """Share of the undefended AUC's distance to 0.5 that is left, ``(n,)``, clipped to [0, 1].

    Parameters
    ----------
    auc : (n,)
        In [0, 1].
    undefended
        AUC of the same model's undefended release, above 0.5.

    Raises
    ------
    ValueError
        The undefended AUC is 0.5 or less: nothing can be kept of it.
    """
    if undefended <= 0.5:
        raise ValueError(f"utility kept: found an undefended AUC of {undefended}, allowed: > 0.5")
    share: Values = np.clip((auc - 0.5) / (undefended - 0.5), 0.0, 1.0)
    return share


def anonymity(lift: Values, num_gallery: int | NDArray[np.int64]) -> Values:
    """Share of the bits of an identity that are not given away: ``1 - log(lift) / log(N)``.

    1 where an attacker is as good as chance (a lift of 1, or less), 0 where everyone is named.

    Parameters
    ----------
    lift : (n,)
        At least 0.
    num_gallery : () or (n,)
        N, at least 2.

    Raises
    ------
    ValueError
        N is below 2.
    """
    if np.min(num_gallery) < 2:
        smallest = np.min(num_gallery)
        raise ValueError(f"anonymity: found a gallery of {smallest}, allowed: 2 users or more")
    share: Values = 1.0 - np.log(np.clip(lift, 1.0, num_gallery)) / np.log(num_gallery)
    return share


def hypervolume(utility: Values, privacy: Values) -> float:
    """Area of the unit square that is dominated by at least one of n releases.

    1 for a release that keeps all of the utility and gives away nothing; no release more can make
    it smaller.

    Parameters
    ----------
    utility, privacy : (n,)
        Larger is better; in [0, 1].

    References
    ----------
    Eckart Zitzler, Lothar Thiele, Multiobjective Evolutionary Algorithms: A Comparative Case Study
    and the Strength Pareto Approach, IEEE Transactions on Evolutionary Computation, 1999.
    """
    order = np.lexsort((-privacy, -utility))
    left, tallest = utility[order], np.maximum.accumulate(privacy[order])
    return float(np.sum((left - np.append(left[1:], 0.0)) * tallest)) if len(order) else 0.0
