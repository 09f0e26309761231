"""Wording of messages: what a value must be where pydantic rejects it, and counts of things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {
    "int": "an integer",
    "float": "a number",
    "finite": "a finite number",
    "decimal": "a number",
    "string": "text",
    "bytes": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "iterable": "a list",
    "dict": "a dictionary: keys with their values",
    "mapping": "a dictionary: keys with their values",
    "model": "a dictionary: keys with their values",
    "dataclass": "a dictionary: keys with their values",
    "date": "a date such as 2022-04-12",
    "datetime": "a time such as 2022-04-12 18:30:00",
    "time": "a time of day such as 18:30:00",
    "path": "a path",
    "none": "null",
}
"""Wording by the first word of the error's type, as in ``int_parsing`` or ``float_type``."""

_WITH_CONTEXT = {
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "greater than or equal to {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "less than or equal to {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
    "string_too_short": "text of at least {min_length} character(s)",
    "string_too_long": "text of at most {max_length} character(s)",
    "string_pattern_mismatch": "text that matches {pattern}",
    "is_instance_of": "a {class}",
    "value_error": "{error}",
    "assertion_error": "{error}",
}


def allowed(error: Mapping[str, Any]) -> str:
    """Describe what would have been accepted instead of a rejected value.

    Parameters
    ----------
    error
        One of ``ValidationError.errors()``.

    Returns
    -------
    str
        One line without a full stop; the message of our own validators is unchanged.
    """
    kind = str(error["type"])
    if kind in _WITH_CONTEXT:
        return _WITH_CONTEXT[kind].format(**error["ctx"])
    return _WORDS.get(kind.partition("_")[0], "a value of another type")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 vector`` and ``2,000 vectors``.

    Parameters
    ----------
    number
        How many.
    noun
        In the singular; its plural ends in s.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
