"""Simulated readers of a news site: their traits, their visits and the truth about engagement.

Shape letters: R rows of traits (a user in a week), N visits, C = 16 categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, owens_t

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CATEGORIES = (
    *("news", "nation", "politics", "money", "sport", "football", "crime", "celebrity"),
    *("culture", "health", "travel", "food", "cars", "science", "opinion", "weather"),
)

DAY_S, WEEK_S = 86_400, 7 * 86_400
WEEK_START_S = 7 * 3600
"""Weeks begin on Thursdays, like the epoch, at 07:00; the days of this module at 07:00 too."""

NUM_TRAITS = 18
NULL_SCROLL_RATE, NULL_READ_RATE = 0.1, 0.02
MAX_READ_S = 1800

_POPULARITY = 1 / np.arange(1, len(CATEGORIES) + 1) ** 0.7
_DWELL_OF_CATEGORY = np.array([3, -2, 5, 2, -4, -5, 4, -6, 6, 3, 0, 1, -3, 5, 7, -7]) / 6
_SCROLL_OF_CATEGORY = np.array([2, 9, -6, 4, 6, -9, 3, 12, -4, 0, -8, 8, 5, -7, -10, 11]) * 1.6
_DWELL_OF_DEVICE = np.array([0.0, 0.15, -0.15, 0.2])
_DEVICE_SHARE = np.array([0.35, 0.6, 0.05])


@dataclass(frozen=True)
class Articles:
    """Articles of the site, sorted by category, then by time of publication.

    Attributes
    ----------
    category : (n,)
        Row of ``CATEGORIES``.
    published_s : (n,)
        Seconds since the epoch.
    body_length, title_length, subtitle_length : (n,)
        Characters.
    first : (C + 1,)
        First row of each category; the last entry is n.
    """

    category: Ints
    published_s: Ints
    body_length: Ints
    title_length: Ints
    subtitle_length: Ints
    first: Ints

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int, begin_s: int, end_s: int) -> Articles:
        """Publish ``count`` articles evenly over a time span, each category from its start."""
        share = _POPULARITY / _POPULARITY.sum()
        extra = rng.multinomial(count - len(CATEGORIES), share)
        category = np.repeat(np.arange(len(CATEGORIES)), extra + 1)
        published_s = rng.integers(begin_s, end_s, count)
        first = np.concatenate([[0], np.cumsum(extra + 1)])
        published_s[first[:-1]] = begin_s
        order = np.lexsort((published_s, category))
        body_length = np.exp(rng.normal(7.7, 0.6, count)).clip(200, 47_355)
        return cls(
            category=category,
            published_s=published_s[order],
            body_length=body_length.astype(np.int64),
            title_length=rng.integers(25, 90, count),
            subtitle_length=rng.integers(0, 240, count),
            first=first,
        )

    @property
    def length_z(self) -> Floats:
        """Standardized logarithm of the body's length, (n,)."""
        return (np.log(self.body_length) - 7.7) / 0.6

    def recent(self, rng: np.random.Generator, category: Ints, time_s: Ints) -> Ints:
        """Pick for each visit an article of the category, published before it, mostly recent."""
        span = int(self.published_s.max()) + 1
        key = self.category * span + self.published_s
        newest = np.searchsorted(key, category * span + np.minimum(time_s, span - 1)) - 1
        lag = rng.geometric(0.15, len(time_s)) - 1
        picked: Ints = np.maximum(newest - lag, self.first[category])
        return picked


@dataclass(frozen=True)
class Traits:
    """What makes a reader an individual, one row per user and week.

    ``identity`` scales every deviation from the common reader; at 0 all rows are equal.

    Attributes
    ----------
    activity : (R,)
        Factor on the number of visits; its mean over users is 1.
    dwell, dwell_spread : (R,)
        Mean and standard deviation of the log read time in s.
    scroll, scroll_spread : (R,)
        The same of the scroll in %, before it is cut to [0, 100].
    correlation : (R,)
        Of log read time and scroll.
    sway : (R,)
        Factor on what category, length, hour and device do to the two means.
    dwell_trend, scroll_trend : (R,)
        Half of what the two means gain from the first to the last second of a week.
    hour, hour_spread : (R,)
        Favorite local hour, and the spread around it.
    weekend : (R,)
        Probability that a visit is on a weekend day.
    device : (R, 3)
        Cumulative probabilities of desktop, mobile and tablet.
    taste : (R, C)
        Cumulative probabilities of the categories.
    person : (R, 4)
        Scores behind single sign-on, subscription, gender and age; 0 for the common reader.
    """

    activity: Floats
    dwell: Floats
    dwell_spread: Floats
    scroll: Floats
    scroll_spread: Floats
    correlation: Floats
    sway: Floats
    dwell_trend: Floats
    scroll_trend: Floats
    hour: Floats
    hour_spread: Floats
    weekend: Floats
    device: Floats
    taste: Floats
    person: Floats

    @classmethod
    def of(cls, scores: Floats, identity: float) -> Traits:
        """Turn standard normal scores, (R, NUM_TRAITS + C), into traits."""
        z = identity * scores
        # The more individual a reader, the less chance and circumstance are in each visit.
        habit = 1 - 0.6 * identity
        weekend_odds = 2 / 5 * np.exp(1.2 * z[:, 8])
        return cls(
            activity=np.exp(0.7 * z[:, 0] - (0.7 * identity) ** 2 / 2),
            dwell=np.log(35) + 0.9 * z[:, 1],
            dwell_spread=0.9 * habit * np.exp(0.5 * z[:, 2]),
            scroll=60 + 25 * z[:, 3],
            scroll_spread=32 * habit * np.exp(0.5 * z[:, 4]),
            correlation=np.tanh(0.5 + 0.7 * z[:, 5]),
            sway=np.full(len(z), habit),
            dwell_trend=0.6 * z[:, 16],
            scroll_trend=20 * z[:, 17],
            hour=19 + 6 * z[:, 6],
            hour_spread=4 * habit * np.exp(0.4 * z[:, 7]),
            weekend=weekend_odds / (1 + weekend_odds),
            device=_cumulative(np.log(_DEVICE_SHARE) + 2 * z[:, 9:12]),
            person=z[:, 12:16],
            taste=_cumulative(np.log(_POPULARITY) + 2 * z[:, NUM_TRAITS:]),
        )


def scores_by_week(
    rng: np.random.Generator, num_weeks: int, num_users: int, drift: float
) -> Floats:
    """Draw the scores behind the traits: standard normal in every week, a random walk over weeks.

    Returns
    -------
    (num_weeks, num_users, NUM_TRAITS + C)
        Scores of neighboring weeks correlate by ``1 - drift``.
    """
    scores = rng.standard_normal((num_weeks, num_users, NUM_TRAITS + len(CATEGORIES)))
    keep = 1 - drift
    for week in range(1, num_weeks):
        scores[week] = keep * scores[week - 1] + np.sqrt(1 - keep**2) * scores[week]
    return scores


@dataclass(frozen=True)
class Visits:
    """Visits sorted by row of traits, then by time.

    Attributes
    ----------
    row : (N,)
        Row of traits.
    time_s : (N,)
        Seconds since the epoch, as the local clock shows them.
    article : (N,)
        Row of the article.
    device : (N,)
        1 desktop, 2 mobile, 3 tablet.
    read_s, scroll_percent : (N,)
        Whole numbers; a scroll that was not recorded is NaN.
    """

    row: Ints
    time_s: Ints
    article: Ints
    device: Ints
    read_s: Floats
    scroll_percent: Floats

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        articles: Articles,
        traits: Traits,
        counts: Ints,
        week_s: Ints,
    ) -> Visits:
        """Draw each row's visits of a week.

        Parameters
        ----------
        counts : (R,)
            Number of visits.
        week_s : (R,)
            Start of the row's week.
        """
        row = np.repeat(np.arange(len(counts)), counts)
        size = len(row)
        # The week opens on a Thursday: its third and fourth day are the weekend.
        on_weekend = rng.random(size) < traits.weekend[row]
        weekday = np.array([0, 1, 4, 5, 6])[rng.integers(0, 5, size)]
        day = np.where(on_weekend, rng.integers(2, 4, size), weekday)
        hour = traits.hour[row] + traits.hour_spread[row] * rng.standard_normal(size)
        since_start_s = ((hour * 3600 - WEEK_START_S) % DAY_S).astype(np.int64)
        time_s = week_s[row] + day * DAY_S + np.minimum(since_start_s, DAY_S - 1)
        time_s = time_s[np.lexsort((time_s, row))]

        category = _pick(rng, traits.taste, row)
        article = articles.recent(rng, category, time_s)
        device = 1 + _pick(rng, traits.device, row)
        means = _means(articles, traits, row, time_s, article, device)
        noise = rng.standard_normal((2, size))
        share = traits.correlation[row]
        noise[1] = share * noise[0] + np.sqrt(1 - share**2) * noise[1]
        read_s = np.exp(means[0] + traits.dwell_spread[row] * noise[0])
        scroll = (means[1] + traits.scroll_spread[row] * noise[1]).clip(0, 100).round()
        scroll[rng.random(size) < NULL_SCROLL_RATE] = np.nan
        return cls(row, time_s, article, device, read_s.clip(0, MAX_READ_S).round(), scroll)


def engagement(
    articles: Articles, traits: Traits, visits: Visits, over_s: int, over_percent: int
) -> Floats:
    """Probability that a visit is read longer and scrolled further than the thresholds, (N,).

    It is exact: the probability that both of two correlated normals exceed their bounds, times
    that of a recorded scroll.
    """
    row = visits.row
    dwell, scroll = _means(articles, traits, row, visits.time_s, visits.article, visits.device)
    # Both channels are rounded, so the bound lies half a unit above the threshold.
    h = (np.log(over_s + 0.5) - dwell) / traits.dwell_spread[row]
    k = (over_percent + 0.5 - scroll) / traits.scroll_spread[row]
    recorded: Floats = (1 - NULL_SCROLL_RATE) * both_exceed(h, k, traits.correlation[row])
    return recorded


def both_exceed(h: Floats, k: Floats, correlation: Floats) -> Floats:
    """P(X > h, Y > k) of standard normals X, Y with a correlation, for h and k other than 0.

    References
    ----------
    Owen, "Tables for Computing Bivariate Normal Probabilities", Annals of Mathematical
    Statistics, 1956.
    """
    rest = np.sqrt(1 - correlation**2)
    # By symmetry the upper orthant at (h, k) is the lower one at (-h, -k).
    probability: Floats = (
        (ndtr(-h) + ndtr(-k)) / 2
        - owens_t(h, (k / h - correlation) / rest)
        - owens_t(k, (h / k - correlation) / rest)
        - np.where(h * k < 0, 0.5, 0.0)
    )
    return probability


def _means(
    articles: Articles, traits: Traits, row: Ints, time_s: Ints, article: Ints, device: Ints
) -> tuple[Floats, Floats]:
    """Mean log read time and mean scroll of each visit, (N,) each."""
    category = articles.category[article]
    length = articles.length_z[article]
    hour = time_s % DAY_S / 3600
    evening = np.cos(2 * np.pi * (hour - 21) / 24)
    progress = 2 * ((time_s - WEEK_START_S) % WEEK_S) / WEEK_S - 1
    sway_dwell = _DWELL_OF_CATEGORY[category] + _DWELL_OF_DEVICE[device]
    sway_dwell += 0.5 * length + 0.35 * evening
    sway_scroll = _SCROLL_OF_CATEGORY[category] - 8 * length + 6 * evening
    dwell = traits.dwell[row] + traits.dwell_trend[row] * progress
    scroll = traits.scroll[row] + traits.scroll_trend[row] * progress
    return dwell + traits.sway[row] * sway_dwell, scroll + traits.sway[row] * sway_scroll


def _cumulative(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    cumulative: Floats = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    return cumulative


def _pick(rng: np.random.Generator, cumulative: Floats, row: Ints) -> Ints:
    """Draw one column for each row by its cumulative probabilities."""
    uniform = rng.random(len(row))
    picked: Ints = np.zeros(len(row), dtype=np.int64)
    for column in range(cumulative.shape[1] - 1):
        picked += uniform >= cumulative[row, column]
    return picked
