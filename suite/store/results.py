"""Content-addressed results of steps: written once, under a temporary name, marker last."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec

from suite.store.atomic import replace

MARKER = "done.json"

UPLOAD = "upload"
"""Key of the marker, in an object store, that names the upload that counts."""

STALE_S = 3600
"""Age at which a temporary folder belongs to nobody: writing takes seconds."""


def public(url: str) -> str:
    """Return a URI without user, password and query."""
    return re.sub(r"//.*@", "//", url, flags=re.DOTALL).split("?")[0]


def _cache() -> Path:
    """Folder of this user for copies of what an object store holds; it may be deleted any time."""
    folder = Path(tempfile.gettempdir()) / f"latentprint-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder}: belongs to somebody else, who could change results")
    return folder


class Store:
    """Folders of finished results below a path or an fsspec URI.

    A result is ``<root>/<kind>/<digest>/`` and counts only once its marker is there, so a killed
    writer leaves nothing that could be taken for a result. An object store cannot rename a folder:
    there each upload is a folder of its own in it, and the marker names the one that counts.

    Parameters
    ----------
    url
        A folder, or a URI such as ``s3://bucket/prefix``, without user and password: what the
        URI's library finds in the environment, or the machine's own role, opens it.

    Raises
    ------
    ValueError
        The URI holds a user or a password, which command lines and logs would show to others.
    """

    def __init__(self, url: str) -> None:
        if "://" in url and "@" in url:
            raise ValueError(
                f"found a user or a password in {public(url)}; allowed: none, they come from the "
                "environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        # Others write here too: a listing that is remembered would hide what they have finished.
        self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.root = root.rstrip("/")
        self.url = url
        self.is_local = "file" in self.fs.protocol

    def has(self, kind: str, digest: str) -> bool:
        """Whether the result is finished."""
        return bool(self.fs.exists(f"{self._at(kind, digest)}/{MARKER}"))

    def marker(self, kind: str, digest: str) -> dict[str, Any]:
        """Read what was noted when the result was finished, such as its seconds."""
        noted: dict[str, Any] = json.loads(self.fs.cat_file(f"{self._at(kind, digest)}/{MARKER}"))
        noted.pop(UPLOAD, None)
        return noted

    def path(self, kind: str, digest: str) -> Path:
        """Local folder of a finished result; one in an object store is copied here first."""
        at = self._at(kind, digest)
        if self.is_local:
            return Path(at)
        cache = self._near(kind) / digest
        if not cache.exists():
            upload = json.loads(self.fs.cat_file(f"{at}/{MARKER}"))[UPLOAD]
            partial = cache.with_name(f"{digest}.{uuid.uuid4().hex}")
            try:
                partial.mkdir(parents=True)
                self.fs.get(f"{at}/{upload}/", f"{partial}/", recursive=True)
                partial.rename(cache)
            except OSError:
                if not cache.exists():  # else another task on this machine was faster
                    raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
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
        folder = self._near(kind) / f"{digest}.{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
            if self.is_local:
                (folder / MARKER).write_text(json.dumps(note))
                try:
                    folder.rename(at)
                except OSError:
                    if not self.has(kind, digest):  # else another writer was faster
                        raise
            elif not self.has(kind, digest):
                upload = folder.name.removeprefix(f"{digest}.")
                if any(folder.iterdir()):
                    self.fs.put(f"{folder}/", f"{at}/{upload}/", recursive=True)
                self.fs.pipe_file(f"{at}/{MARKER}", json.dumps({**note, UPLOAD: upload}).encode())
                with suppress(OSError):  # spares this machine a download
                    folder.rename(folder.with_name(digest))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def note(self, kind: str, digest: str) -> None:
        """Keep a result that is nothing but the fact that it was reached."""
        with self.writing(kind, digest, {}):
            pass

    def _sweep(self, kind: str, digest: str) -> None:
        """Remove temporary folders and uploads of writers long dead."""
        at = self._at(kind, digest)
        if not self.is_local:
            for left in [] if self.has(kind, digest) else self._ls(at):
                if all(time.time() - seen > STALE_S for seen in self._modified(left)):
                    self.fs.rm(left, recursive=True)
        elif self.fs.exists(at) and not self.has(kind, digest):
            self.fs.rm(at, recursive=True)
        for path in self._near(kind).glob(f"{digest}.*"):
            if time.time() - path.stat().st_mtime > STALE_S:
                shutil.rmtree(path, ignore_errors=True)

    def _modified(self, folder: str) -> list[float]:
        """When each file below a folder was written, in s since the epoch."""
        return [self.fs.modified(path).timestamp() for path in self.fs.find(folder)]

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
            replace(self.fs, f"{at}/{path.name}", path.read_bytes())

    def published(self, name: str) -> str:
        """Folder of a suite's files, as a path or URI."""
        at = f"{self.root}/suites/{name}"
        return at if self.is_local else str(self.fs.unstrip_protocol(at))

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

    def _near(self, kind: str) -> Path:
        """Local folder where results of a kind are put together, and copied to."""
        return (Path(self.root) if self.is_local else _cache()) / kind

    def _ls(self, folder: str) -> list[str]:
        """List a folder; a pattern would take brackets in the root's name for its own."""
        return self.fs.ls(folder, detail=False) if self.fs.exists(folder) else []

    def _at(self, kind: str, digest: str) -> str:
        return f"{self.root}/{kind}/{digest}"
