"""A step: a pure function of its inputs, known by the digest of all it depends on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from suite.parts import Part
from suite.plan import digest
from suite.plan.kinds import KINDS
from suite.store import checksum


@dataclass(frozen=True, eq=False)
class Step:
    """A pure function of its inputs, not yet run; two steps are the same if their digests are.

    Attributes
    ----------
    kind
        Its key in ``suite.plan.kinds.KINDS``.
    title
        What a person reads while it runs.
    arguments
        Keyword arguments of the step's function, in full.
    inputs
        Steps whose results come first among the function's arguments.
    parts
        Modules, or files of a user's own, of the parts that it makes by their names; they decide
        the result as the kind's function does.
    files
        Data whose content decides the result; where it lies does not.
    """

    kind: str
    title: str
    arguments: dict[str, Any]
    inputs: tuple[Step, ...]
    parts: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @cached_property
    def content(self) -> tuple[str, ...]:
        """SHA-256 of each of the files when the step was planned."""
        return tuple(checksum.of_file(path) for path in self.files)

    @cached_property
    def digest(self) -> str:
        """SHA-256 that names the result."""
        arguments = self.arguments
        if self.files:
            dataset: Part = arguments["dataset"]
            arguments = {**arguments, "dataset": _without_paths(dataset, self.files)}
        return digest.digest(
            {
                "step": self.kind,
                "arguments": arguments,
                "inputs": [step.digest for step in self.inputs],
                "content": self.content,
                "sources": digest.sources(*self.code()),
                "libraries": digest.libraries(),
            }
        )

    def code(self) -> list[str]:
        """Name what the result depends on: the function, what it takes and leaves, the parts."""
        taken = [KINDS[step.kind].result for step in self.inputs]
        ours = (type(value) for value in self.arguments.values())
        types = [f"{t.__module__}:{t.__name__}" for t in ours if t.__module__.startswith("suite.")]
        kind = KINDS[self.kind]
        return sorted({kind.function, kind.result, *taken, *types, *self.parts})

    def chain(self) -> Iterator[Step]:
        """Yield all that the step needs, inputs first, and then itself."""
        for step in self.inputs:
            yield from step.chain()
        yield self


def _without_paths(part: Part, files: tuple[Path, ...]) -> Part:
    """Drop the parameters that say where the files lie."""
    places = {str(place) for path in files for place in (path.absolute(), *path.absolute().parents)}
    kept = {
        key: value
        for key, value in part.parameters.items()
        if not (isinstance(value, str | Path) and value and str(Path(value).absolute()) in places)
    }
    return Part(name=part.name, parameters=kept)
