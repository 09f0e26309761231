"""The marker of a finished result: a note, and the size and SHA-256 of every file."""

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
"""Key of the hash of the marker's other content."""


class DamagedError(ValueError):
    """A stored result differs from what was written; carries its kind and digest."""

    def __init__(self, message: str, kind: str, digest: str) -> None:
        super().__init__(message, kind, digest)  # all of them, so that Ray can pickle it
        self.kind, self.digest = kind, digest

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Marker:
    """A result as it was when it was finished.

    Attributes
    ----------
    note
        Information from its writer, such as the seconds it took.
    files
        Size in bytes and SHA-256 of every file, by path in the result's folder.
    upload
        In an object store, the name of the valid upload.
    """

    note: dict[str, Any]
    files: dict[str, tuple[int, str]]
    upload: str | None = None

    @classmethod
    def of(cls, folder: Path, note: dict[str, Any], upload: str | None = None) -> Marker:
        """Make the marker of the files in a folder."""
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files = {
            path.relative_to(folder).as_posix(): (path.stat().st_size, checksum.of_file(path))
            for path in paths
        }
        return cls(note, files, upload)

    def to_json(self) -> bytes:
        """Return JSON that includes its own hash."""
        plain = asdict(self)
        return json.dumps({**plain, OWN: _hash(plain)}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Marker:
        """Parse the output of ``to_json``.

        Raises
        ------
        ValueError
            The content is invalid; the message says how.
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
        """Write the marker into the folder once the files are on the disk."""
        folders = [path for path in folder.rglob("*") if path.is_dir()]
        for path in (*(folder / name for name in self.files), *folders, folder):
            sync(path)
        (folder / NAME).write_bytes(self.to_json())
        for path in (folder / NAME, folder):
            sync(path)

    def fault(self, folder: Path, *, hashed: bool) -> str | None:
        """Describe the first file in a folder that differs from the marker; None if none does.

        Parameters
        ----------
        folder
            Folder with the files.
        hashed
            Whether to check their content too, not only their sizes.
        """
        for name, (size, sha256) in self.files.items():
            path = folder / name
            try:
                actual = path.stat().st_size
                if actual != size:
                    return f"{name} has {actual:,} bytes, not {size:,}"
                if hashed and checksum.of_file(path) != sha256:
                    return f"{name} was changed"
            except OSError as error:
                return f"{name}: {error.strerror}"
        return None


def _hash(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
