from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from suite import registry
from suite.registry import first_line
from suite.spec import Suite


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    depth: int = 1


class Everything(BaseModel):
    """One field of every kind that a part's schema may have."""

    model_config = ConfigDict(extra="forbid")

    whole: int = 1
    number: float = Field(1.0, gt=0, le=2, allow_inf_nan=False)
    least: int = Field(1, ge=1, lt=5, multiple_of=2)
    text: str = Field("a", min_length=1, max_length=3)
    word: str = Field("a", pattern="^a+$")
    truth: bool = True
    names: list[str] = Field(["a"], min_length=1, max_length=2)
    pair: tuple[int, int] | None = None
    some: tuple[str, ...] = ()
    columns: dict[str, int] = {}
    inner: Inner = Inner()
    inners: list[Inner] = []
    day: date | None = None
    unit: Literal["s", "ms"] = "s"
    either: str | dict[str, Any] | None = None
    several: list[int | list[int]] = []
    each: list[Annotated[int, Field(ge=0)]] = []
    path: Path = Path()
    own: int = 1

    @field_validator("own")
    @classmethod
    def _refuse(cls, given: int) -> int:
        if given > 3:
            raise ValueError("at most 3, as our own words say")
        return given


MAPPING = "a dictionary: keys with their values"
DAY = "a date such as 2022-04-12"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"whole": "x"}, "whole: found 'x', allowed: an integer"),
        ({"whole": 1.5}, "whole: found 1.5, allowed: an integer"),
        ({"whole": None}, "whole: found None, allowed: an integer"),
        ({"whole": "9" * 5000}, f"whole: found '{'9' * 199}, allowed: an integer"),
        ({"number": "x"}, "number: found 'x', allowed: a number"),
        ({"number": float("inf")}, "number: found inf, allowed: a finite number"),
        ({"number": 0}, "number: found 0, allowed: greater than 0.0"),
        ({"number": 3}, "number: found 3, allowed: less than or equal to 2.0"),
        ({"least": 0}, "least: found 0, allowed: greater than or equal to 1"),
        ({"least": 6}, "least: found 6, allowed: less than 5"),
        ({"least": 3}, "least: found 3, allowed: a multiple of 2"),
        ({"text": 3}, "text: found 3, allowed: text"),
        ({"text": ""}, "text: found '', allowed: text of at least 1 character(s)"),
        ({"text": "long"}, "text: found 'long', allowed: text of at most 3 character(s)"),
        ({"word": "b"}, "word: found 'b', allowed: text that matches ^a+$"),
        ({"truth": "maybe"}, "truth: found 'maybe', allowed: true or false"),
        ({"truth": []}, "truth: found [], allowed: true or false"),
        ({"names": "a"}, "names: found 'a', allowed: a list"),
        ({"names": []}, "names: found [], allowed: at least 1 item(s)"),
        ({"names": ["a", "b", "c"]}, "names: found ['a', 'b', 'c'], allowed: at most 2 item(s)"),
        ({"names": ["a", 3]}, "names.1: found 3, allowed: text"),
        ({"pair": 3}, "pair: found 3, allowed: a list"),
        ({"pair": [1]}, "pair.1: missing"),
        ({"some": 3}, "some: found 3, allowed: a list"),
        ({"columns": 3}, f"columns: found 3, allowed: {MAPPING}"),
        ({"columns": {"a": "b"}}, "columns.a: found 'b', allowed: an integer"),
        ({"inner": 3}, f"inner: found 3, allowed: {MAPPING}"),
        ({"inner": {"dept": 1}}, "unknown key 'inner.dept'; did you mean 'depth'? known: depth"),
        ({"inners": [{"depth": "x"}]}, "inners.0.depth: found 'x', allowed: an integer"),
        ({"day": "2022-13-45"}, f"day: found '2022-13-45', allowed: {DAY}"),
        ({"day": [1]}, f"day: found [1], allowed: {DAY}"),
        ({"unit": "m"}, "unit: found 'm', allowed: 's' or 'ms'"),
        ({"either": 3}, f"either: found 3, allowed: text or {MAPPING}"),
        ({"several": ["x"]}, "several.0: found 'x', allowed: an integer or a list"),
        ({"each": [0, -1]}, "each.1: found -1, allowed: greater than or equal to 0"),
        ({"path": 3}, "path: found 3, allowed: a path"),
        ({"own": 4}, "own: found 4, allowed: at most 3, as our own words say"),
    ],
)
def test_a_refusal_is_worded_by_us(given, said):
    with pytest.raises(ValidationError) as error:
        Everything.model_validate(given)
    assert first_line(error.value, Everything) == said


FOREIGN = (
    "Input should",
    "valid ",
    "Field required",
    "pydantic",
    "unable to",
    "Value error",
    "another type",
    "\n",
)


def wrong(kind):
    """Values of which no parameter accepts all, with the part and parameter that they are for."""
    for name in registry.names(kind):
        for field in registry.schema(registry.part(kind, name)).model_fields:
            for value in (None, "x", -1.5, [[]], {"a": {}}, True):
                yield name, field, value


def refusals(kind):
    for name, field, value in wrong(kind):
        try:
            registry.parameters(kind, name, {field: value})
        except ValueError as error:
            yield str(error)


@pytest.mark.parametrize("kind", sorted(set(registry.KINDS) - {"defenses"}))
def test_no_part_repeats_a_sentence_of_pydantic(kind):
    lines = [*refusals(kind)]

    assert lines
    assert not [line for line in lines if any(words in line for words in FOREIGN)]


def refusals_of(key):
    for value in (None, "x y", -1.5, [[]], {"a": {}}):
        try:
            Suite.model_validate({key: value})
        except ValidationError as error:
            yield first_line(error, Suite)


@pytest.mark.parametrize("key", sorted(Suite.model_fields))
def test_no_key_of_a_suite_repeats_a_sentence_of_pydantic(key):
    lines = [*refusals_of(key)]

    assert lines
    assert not [line for line in lines if any(words in line for words in FOREIGN)]
