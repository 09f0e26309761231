"""Content-addressed results of steps: written once, under a temporary name, marker last."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

MARKER = "done.json"

STALE_S = 3600
"""Age at which a temporary folder belongs to nobody: writing takes seconds."""


class Store:
    """Folders of finished results below a path or an fsspec URI.

    A result is ``<root>/<kind>/<digest>/`` and counts only once its marker is there, so a killed
    writer leaves nothing that could be taken for a result.

    Parameters
    ----------
    url
        A folder, or a URI such as ``s3://bucket/prefix``.
    """

    def __init__(self, url: str) -> None:
        self.fs, root = fsspec.core.url_to_fs(url)
        self.root = root.rstrip("/")
        self.url = url
        self.is_local = "file" in self.fs.protocol

    def has(self, kind: str, digest: str) -> bool:
        """Whether the result is finished."""
        return bool(self.fs.exists(f"{self._at(kind, digest)}/{MARKER}"))

    def marker(self, kind: str, digest: str) -> dict[str, Any]:
        """Read what was noted when the result was finished, such as its seconds."""
        noted: dict[str, Any] = json.loads(self.fs.cat_file(f"{self._at(kind, digest)}/{MARKER}"))
        return noted

    def path(self, kind: str, digest: str) -> Path:
        """Local folder of a finished result; one in an object store is copied here first."""
        at = self._at(kind, digest)
        if self.is_local:
            return Path(at)
        cache = Path(tempfile.gettempdir()) / "latentprint" / kind / digest
        if not (cache / MARKER).exists():
            partial = cache.with_name(f"{digest}.{uuid.uuid4().hex}")
            self.fs.get(at, str(partial), recursive=True)
            try:
                partial.rename(cache)
            except OSError:  # another task on this machine was faster
                shutil.rmtree(partial)
        return cache

    @contextmanager
    def writing(self, kind: str, digest: str, note: dict[str, Any]) -> Iterator[Path]:
        """Give a temporary folder; make it the result when the block ends without an error.

        Parameters
        ----------
        kind, digest
            Where the result will stand.
        note
            Content of the marker, read after the block: the caller may fill it inside.
        """
        at = self._at(kind, digest)
        self._sweep(kind, digest)
        near = Path(self.root if self.is_local else tempfile.gettempdir()) / kind
        folder = near / f"{digest}.{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
            if self.is_local:
                (folder / MARKER).write_text(json.dumps(note))
                if not self.has(kind, digest):  # another driver may have been faster
                    folder.rename(at)
            else:
                self.fs.put(f"{folder}/", f"{at}/", recursive=True)
                self.fs.pipe(f"{at}/{MARKER}", json.dumps(note).encode())
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def note(self, kind: str, digest: str) -> None:
        """Keep a result that is nothing but the fact that it was reached."""
        with self.writing(kind, digest, {}):
            pass

    def _sweep(self, kind: str, digest: str) -> None:
        """Remove an upload that was cut off, and temporary folders of writers long dead."""
        if self.fs.exists(self._at(kind, digest)) and not self.has(kind, digest):
            self.fs.rm(self._at(kind, digest), recursive=True)
        if self.is_local:
            for left in Path(self.root, kind).glob(f"{digest}.*"):
                if time.time() - left.stat().st_mtime > STALE_S:
                    shutil.rmtree(left, ignore_errors=True)

    def scratch(self, digest: str) -> str:
        """Name the folder, as a path or URI, where an unfinished step keeps what it has."""
        return str(self.fs.unstrip_protocol(f"{self.root}/unfinished/{digest}"))

    def clear(self, digest: str) -> None:
        """Remove the scratch folder of a step that is finished."""
        at = f"{self.root}/unfinished/{digest}"
        if self.fs.exists(at):
            self.fs.rm(at, recursive=True)

    def publish(self, name: str, folder: Path) -> None:
        """Copy a suite's files to ``<root>/suites/<name>``, each whole."""
        at = self.published(name)
        self.fs.makedirs(at, exist_ok=True)
        for path in sorted(folder.iterdir()):
            partial = f"{at}/.{path.name}.{uuid.uuid4().hex}"
            self.fs.put(str(path), partial)
            self.fs.mv(partial, f"{at}/{path.name}")

    def published(self, name: str) -> str:
        """Folder of a suite's files."""
        return f"{self.root}/suites/{name}"

    def read_published(self, name: str | None, file: str) -> str:
        """Read a file of a suite, or of the suite published last.

        Raises
        ------
        ValueError
            If no such suite was published here; the line names those that were.
        """
        there = {at.rpartition("/")[2]: f"{at}/{file}" for at in self._ls(f"{self.root}/suites")}
        there = {suite: path for suite, path in there.items() if self.fs.exists(path)}
        if name not in {None, *there} or not there:
            wanted = f"suite {name!r}" if name else "suite"
            msg = f"{self.url}: no {wanted} has been run here; found: {', '.join(there) or 'none'}"
            raise ValueError(msg)
        chosen = there[name] if name else max(there.values(), key=self.fs.modified)
        return str(self.fs.cat_file(chosen).decode())

    def _ls(self, folder: str) -> list[str]:
        """List a folder; a pattern would take brackets in the root's name for its own."""
        return self.fs.ls(folder, detail=False) if self.fs.exists(folder) else []

    def _at(self, kind: str, digest: str) -> str:
        return f"{self.root}/{kind}/{digest}"
