"""The official files of the RecSys Challenge 2021: their 24 columns, and nothing else."""

from __future__ import annotations

SEPARATOR = "\x01"
"""Between columns; elements of a list are separated by tabs."""

COLUMNS = (
    "text_tokens",  # list of WordPiece ids
    "hashtags",  # list
    "tweet_id",
    "present_media",  # list of MEDIA
    "present_links",  # list
    "present_domains",  # list
    "tweet_type",  # one of TYPES
    "language",
    "tweet_timestamp",  # seconds since the epoch, as all times
    "engaged_with_user_id",  # the creator
    "engaged_with_user_follower_count",
    "engaged_with_user_following_count",
    "engaged_with_user_is_verified",
    "engaged_with_user_account_creation",
    "engaging_user_id",  # the reader
    "engaging_user_follower_count",
    "engaging_user_following_count",
    "engaging_user_is_verified",
    "engaging_user_account_creation",
    "engagee_follows_engager",
    "reply_timestamp",  # empty where the reader did not
    "retweet_timestamp",
    "retweet_with_comment_timestamp",
    "like_timestamp",
)

TYPES = ("TopLevel", "Retweet", "Quote", "Reply")
MEDIA = ("Photo", "Video", "GIF")

LABELS = ("like", "reply", "retweet", "comment")
"""After ``engaged``, which is any of them; a comment is a retweet with one."""

DAY_S, HOUR_S = 86_400, 3_600

MARKER = "SYNTHETIC.json"
"""File beside the parts of a simulated log: it says how the log was made."""

VOCABULARY = "bert-base-multilingual-cased"
"""Whose ids the official files hold."""

HEADS = {
    f"{role}_{name}": f"{prefix}_{column}"
    for role, prefix in (("creator", "engaged_with_user"), ("reader", "engaging_user"))
    for name, column in (
        ("id", "id"),
        ("followers", "follower_count"),
        ("following", "following_count"),
        ("verified", "is_verified"),
        ("created", "account_creation"),
    )
}
"""Our name of each column about a user -> the official one."""
