"""Lines in the RecSys Challenge 2021's format, written by hand or drawn at random."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from suite.datasets.tweets.layout import COLUMNS, SEPARATOR

END_S = 1_614_556_800
"""Midnight of 1 March 2021, UTC: the end of the logs drawn here."""

DAY_S = 86_400

WORDS = ("[PAD]", "[CLS]", "[SEP]", "rt", "@", "#", "!", "?", "Good", "MORNING", "sun", "##ny", "7")

_DEFAULTS: dict[str, Any] = {
    "text_tokens": "1\t8\t10\t2",
    "hashtags": "",
    "tweet_id": 1,
    "present_media": "",
    "present_links": "",
    "present_domains": "",
    "tweet_type": "TopLevel",
    "language": "EN",
    "tweet_timestamp": END_S - 1,
    "engaged_with_user_id": 1,
    "engaged_with_user_follower_count": 100,
    "engaged_with_user_following_count": 10,
    "engaged_with_user_is_verified": "false",
    "engaged_with_user_account_creation": END_S - 1000 * DAY_S,
    "engaging_user_id": 2,
    "engaging_user_follower_count": 5,
    "engaging_user_following_count": 50,
    "engaging_user_is_verified": "false",
    "engaging_user_account_creation": END_S - 100 * DAY_S,
    "engagee_follows_engager": "false",
    "reply_timestamp": "",
    "retweet_timestamp": "",
    "retweet_with_comment_timestamp": "",
    "like_timestamp": "",
}


def identifier(number: int) -> str:
    """32 hexadecimal digits whose first 16 are the number."""
    return f"{number:016X}{'AB' * 8}"


def line(**changes: Any) -> str:
    """One row; ids are given as numbers."""
    assert set(changes) <= set(COLUMNS)
    row = {**_DEFAULTS, **changes}
    ids = ("tweet_id", "engaged_with_user_id", "engaging_user_id")
    row |= {name: identifier(row[name]) for name in ids if isinstance(row[name], int)}
    return SEPARATOR.join(str(row[name]) for name in COLUMNS)


def write(folder: Path, lines: Iterable[str], name: str = "part-00000") -> Path:
    """Write a part and the vocabulary beside the folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")
    vocabulary(folder.parent)
    return folder


def vocabulary(folder: Path) -> str:
    """Path of a vocabulary of a few words."""
    path = folder / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return str(path)


def random_lines(
    rng: np.random.Generator,
    *,
    rows: int = 400,
    users: int = 12,
    tweets: int = 120,
    days: int = 5,
) -> list[str]:
    """Draw a log that ends with the day, every user being a reader and a creator."""
    times = END_S - 1 - rng.integers(0, days * DAY_S, tweets)
    times[0] = END_S - 1
    creators = rng.integers(0, users, tweets)
    texts = ["\t".join(map(str, rng.integers(3, len(WORDS), rng.integers(1, 6)))) for _ in times]
    tags = [_some(rng, "h", 6, 4) for _ in times]
    domains = [_some(rng, "d", 5, 2) for _ in times]
    media = [_some(rng, "", 3, 2, ("Photo", "Video", "GIF")) for _ in times]
    kinds = rng.choice(["TopLevel", "Retweet", "Quote", "Reply"], tweets)
    languages = rng.choice(["EN", "DA", "JA"], tweets)
    seen: set[tuple[int, int]] = set()
    found = []
    while len(found) < rows:
        tweet, reader = (0 if not found else int(rng.integers(tweets))), int(rng.integers(users))
        if (tweet, reader) in seen or reader == creators[tweet]:
            continue
        seen.add((tweet, reader))
        time, creator = int(times[tweet]), int(creators[tweet])

        def did(rate: float, time: int = time) -> int | str:
            return time + int(rng.integers(0, DAY_S)) if rng.random() < rate else ""

        found.append(
            line(
                text_tokens=f"1\t{texts[tweet]}\t2",
                hashtags=tags[tweet],
                tweet_id=1000 + tweet,
                present_media=media[tweet],
                present_links=domains[tweet],
                present_domains=domains[tweet],
                tweet_type=kinds[tweet],
                language=languages[tweet],
                tweet_timestamp=time,
                engaged_with_user_id=creator,
                engaged_with_user_follower_count=int(rng.integers(1000)),
                engaged_with_user_following_count=int(rng.integers(1000)),
                engaged_with_user_is_verified="true" if creator % 3 == 0 else "false",
                engaging_user_id=reader,
                engaging_user_follower_count=int(rng.integers(1000)),
                engaging_user_following_count=int(rng.integers(1000)),
                engaging_user_is_verified="true" if reader % 4 == 0 else "false",
                engagee_follows_engager="true" if rng.random() < 0.3 else "false",
                reply_timestamp=did(0.2),
                retweet_timestamp=did(0.3),
                retweet_with_comment_timestamp=did(0.15),
                like_timestamp=did(0.4),
            )
        )
    return found


def _some(
    rng: np.random.Generator, stem: str, kinds: int, most: int, names: tuple[str, ...] = ()
) -> str:
    chosen = rng.integers(0, kinds, rng.integers(0, most + 1))
    return "\t".join(names[n] if names else f"{stem}{n}" for n in chosen)
