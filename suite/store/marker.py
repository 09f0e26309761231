"""The marker of a finished result: its note, and the size and SHA-256 of every file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suite.store import checksum
from suite.store.atomic import sync

NAME = "done.json"

OWN = "sha256"
"""Key of the hash of all that the marker says otherwise."""


class DamagedError(ValueError):
    """A result is not what was written: one line, and which result it is."""

    def __init__(self, said: str, kind: str, digest: str) -> None:
        super().__init__(said, kind, digest)  # all of them: Ray sends it from another process
        self.kind, self.digest = kind, digest

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Marker:
    """What was true of a result when it was finished.

    Attributes
    ----------
    note
        What its writer wanted to be known, such as the seconds.
    files
        Size in bytes and SHA-256 of every file, by its path in the result's folder.
    upload
        In an object store, the name of the upload that counts.
    """

    note: dict[str, Any]
    files: dict[str, tuple[int, str]]
    upload: str | None = None

    @classmethod
    def of(cls, folder: Path, note: dict[str, Any], upload: str | None = None) -> Marker:
        """Describe the files of a folder."""
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files = {
            path.relative_to(folder).as_posix(): (path.stat().st_size, checksum.of_file(path))
            for path in paths
        }
        return cls(note, files, upload)

    def to_json(self) -> bytes:
        """JSON with its own hash."""
        plain = asdict(self)
        return json.dumps({**plain, OWN: _hash(plain)}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Marker:
        """Read what ``to_json`` gave.

        Raises
        ------
        ValueError
            It is something else; says in a few words what.
        """
        try:
            plain = json.loads(content)
        except ValueError:
            raise ValueError(f"{NAME} is not JSON") from None
        if not isinstance(plain, dict) or OWN not in plain:
            raise ValueError(f"{NAME} holds no hashes")
        if plain.pop(OWN) != _hash(plain):
            raise ValueError(f"{NAME} was changed")
        files = {name: (size, sha256) for name, (size, sha256) in plain["files"].items()}
        return cls(plain["note"], files, plain["upload"])

    def write(self, folder: Path) -> None:
        """Write the marker into the folder, after the files are on the disk."""
        folders = [path for path in folder.rglob("*") if path.is_dir()]
        for path in (*(folder / name for name in self.files), *folders, folder):
            sync(path)
        (folder / NAME).write_bytes(self.to_json())
        for path in (folder / NAME, folder):
            sync(path)

    def fault(self, folder: Path, *, hashed: bool) -> str | None:
        """Say in a few words which file of a folder is not what it was, if any.

        Parameters
        ----------
        folder
            Where the files are.
        hashed
            Whether their content is read; else only their sizes are looked at.
        """
        for name, (size, sha256) in self.files.items():
            path = folder / name
            try:
                found = path.stat().st_size
                if found != size:
                    return f"{name} has {found:,} bytes, not {size:,}"
                if hashed and checksum.of_file(path) != sha256:
                    return f"{name} was changed"
            except OSError as error:
                return f"{name}: {error.strerror}"
        return None


def _hash(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
