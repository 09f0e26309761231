"""Content-addressed results of steps, written once: temporary name first, marker last."""

from __future__ import annotations

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

from suite.store.atomic import replace, sync
from suite.store.marker import NAME as MARKER
from suite.store.marker import DamagedError, Marker

STALE_S = 3600
"""Age at which a temporary folder counts as abandoned: writing takes seconds."""


def public(url: str) -> str:
    """Return a URI without user, password and query."""
    return re.sub(r"//.*@", "//", url, flags=re.DOTALL).split("?")[0]


def _cache() -> Path:
    """Folder of this user for copies from object stores; it may be deleted at any time."""
    folder = Path(tempfile.gettempdir()) / f"latentprint-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder}: owned by another user, who could change results")
    return folder


class Store:
    """Folders of finished results below a path or an fsspec URI.

    A result is ``<root>/<kind>/<digest>/`` and exists only once its marker does, so that what a
    killed writer leaves is never mistaken for a result. An object store cannot rename a folder:
    there each upload is a subfolder, and the marker names the valid one.

    Parameters
    ----------
    url
        A folder, or a URI such as ``s3://bucket/prefix`` without user and password: the credentials
        come from the environment or from the machine's role.

    Raises
    ------
    ValueError
        The URI contains a user or a password, which command lines and logs would expose.
    """

    def __init__(self, url: str) -> None:
        if "://" in url and "@" in url:
            raise ValueError(
                f"found a user or a password in {public(url)}; allowed: none, they come from the "
                "environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        # Other processes write here too: a cached listing would hide their results.
        self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.root = root.rstrip("/")
        self.url = url
        self.is_local = "file" in self.fs.protocol

    def has(self, kind: str, digest: str) -> bool:
        """Return whether the result is finished; it may have been damaged since."""
        return bool(self.fs.exists(f"{self._at(kind, digest)}/{MARKER}"))

    def fault(self, kind: str, digest: str, *, hashed: bool) -> str | None:
        """Describe in one line what is wrong with a finished result; None if nothing is.

        Parameters
        ----------
        kind, digest
            Of the result.
        hashed
            Whether to check the content of its files; otherwise only their sizes are checked, and
            in an object store only the marker.
        """
        try:
            if hashed:
                self.path(kind, digest)
            else:
                marker = self._marker(kind, digest)
                if self.is_local and (
                    fault := marker.fault(self._folder(kind, digest), hashed=False)
                ):
                    raise self._damaged(kind, digest, fault)
        except DamagedError as error:
            return str(error)
        return None

    def whole(self, kind: str, digest: str) -> bool:
        """Return whether the result is finished and, judging by sizes, undamaged."""
        return self.has(kind, digest) and self.fault(kind, digest, hashed=False) is None

    def marker(self, kind: str, digest: str) -> dict[str, Any]:
        """Return the note written when the result was finished, such as its seconds.

        Raises
        ------
        DamagedError
            The marker is damaged.
        """
        return self._marker(kind, digest).note

    def path(self, kind: str, digest: str) -> Path:
        """Return the local folder of a finished result, copied first if in an object store.

        Raises
        ------
        DamagedError
            The result is missing or damaged.
        """
        marker = self._marker(kind, digest)
        if self.is_local:
            folder = self._folder(kind, digest)
            if fault := marker.fault(folder, hashed=True):
                raise self._damaged(kind, digest, fault)
            return folder
        copy = self._near(kind) / digest
        if copy.exists() and marker.fault(copy, hashed=True):
            _discard(copy)
        if not copy.exists():
            self._fetch(kind, digest, marker, copy)
        return copy

    def remove(self, kind: str, digest: str) -> None:
        """Remove a result, its marker first."""
        at = self._at(kind, digest)
        if self.is_local:
            _discard(self._folder(kind, digest))
            return
        if self.has(kind, digest):
            self.fs.rm_file(f"{at}/{MARKER}")
        self._rm(at)

    @contextmanager
    def writing(self, kind: str, digest: str, note: dict[str, Any]) -> Iterator[Path]:
        """Yield a temporary folder that becomes the result if the block ends without an error.

        Parameters
        ----------
        kind, digest
            Of the result.
        note
            Note for the marker, read after the block: the caller may fill it inside.
        """
        self._sweep(kind, digest)
        folder = self._near(kind) / f"{digest}.{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
            if self.is_local:
                Marker.of(folder, note).write(folder)
                self._rename(folder, kind, digest)
            elif not self.whole(kind, digest):
                self._upload(folder, kind, digest, note)
                with suppress(OSError):  # spares this machine a download
                    folder.rename(folder.with_name(digest))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _rename(self, folder: Path, kind: str, digest: str) -> None:
        """Make a folder the result, unless another writer was first."""
        at = self._folder(kind, digest)
        try:
            folder.rename(at)
        except OSError:
            if not self.has(kind, digest):
                raise
            if self.fault(kind, digest, hashed=True) is None:
                return
            _discard(at)
            folder.rename(at)
        sync(at.parent)

    def _upload(self, folder: Path, kind: str, digest: str, note: dict[str, Any]) -> None:
        at = self._at(kind, digest)
        marker = Marker.of(folder, note, folder.name.removeprefix(f"{digest}."))
        for name in marker.files:  # one by one: fsspec expands patterns in lists of names
            self.fs.put_file(str(folder / name), f"{at}/{marker.upload}/{name}")
        self.fs.pipe_file(f"{at}/{MARKER}", marker.to_json())

    def _fetch(self, kind: str, digest: str, marker: Marker, copy: Path) -> None:
        at = f"{self._at(kind, digest)}/{marker.upload}"
        partial = copy.with_name(f"{digest}.{uuid.uuid4().hex}")
        try:
            partial.mkdir(parents=True)
            for name in marker.files:
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # reported below
                    self.fs.get_file(f"{at}/{name}", str(partial / name))
            if fault := marker.fault(partial, hashed=True):
                raise self._damaged(kind, digest, fault)
            partial.rename(copy)
        except OSError:
            if not copy.exists():  # otherwise another task on this machine was first
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _marker(self, kind: str, digest: str) -> Marker:
        try:
            return Marker.from_json(self.fs.cat_file(f"{self._at(kind, digest)}/{MARKER}"))
        except FileNotFoundError:
            raise self._damaged(kind, digest, "it is missing") from None
        except ValueError as error:
            raise self._damaged(kind, digest, str(error)) from None

    def _damaged(self, kind: str, digest: str, fault: str) -> DamagedError:
        return DamagedError(f"{kind}/{digest} is damaged: {fault}", kind, digest)

    def note(self, kind: str, digest: str) -> None:
        """Store a result without files, as a record that a point was reached."""
        with self.writing(kind, digest, {}):
            pass

    def _sweep(self, kind: str, digest: str) -> None:
        """Remove abandoned temporary folders and uploads."""
        at = self._at(kind, digest)
        if not self.is_local:
            for left in [] if self.has(kind, digest) else self._ls(at):
                if all(time.time() - seen > STALE_S for seen in self._modified(left)):
                    self._rm(left)
        elif self.fs.exists(at) and not self.has(kind, digest):
            _discard(Path(at))
        for path in self._near(kind).glob(f"{digest}.*"):
            if time.time() - path.stat().st_mtime > STALE_S:
                shutil.rmtree(path, ignore_errors=True)

    def _modified(self, folder: str) -> list[float]:
        """Modification times of the files below a folder, in s since the epoch."""
        return [self.fs.modified(path).timestamp() for path in self.fs.find(folder)]

    def scratch(self, digest: str = "") -> str:
        """Path or URI of an unfinished step's scratch folder, or of all of them."""
        return str(self.fs.unstrip_protocol(f"{self.root}/unfinished/{digest}".rstrip("/")))

    def clear(self, digest: str) -> None:
        """Remove the scratch folder of a step that is finished."""
        at = f"{self.root}/unfinished/{digest}"
        if not self.fs.exists(at):
            return
        if self.is_local:
            shutil.rmtree(at)
        else:
            self._rm(at)

    def publish(self, name: str, folder: Path) -> None:
        """Copy a suite's files to ``<root>/suites/<name>``, each atomically."""
        at = self.published(name)
        self.fs.makedirs(at, exist_ok=True)
        for path in sorted(folder.iterdir()):
            replace(self.fs, f"{at}/{path.name}", path.read_bytes())

    def published(self, name: str) -> str:
        """Path or URI of the folder with a suite's files."""
        at = f"{self.root}/suites/{name}"
        return at if self.is_local else str(self.fs.unstrip_protocol(at))

    def read_published(self, name: str | None, file: str) -> str:
        """Read a file of a suite, or of the most recently published suite.

        Raises
        ------
        ValueError
            No such suite was published here; the message lists those that were.
        """
        paths = {at.rpartition("/")[2]: f"{at}/{file}" for at in self._ls(f"{self.root}/suites")}
        paths = {suite: path for suite, path in paths.items() if self.fs.exists(path)}
        if name not in {None, *paths} or not paths:
            wanted = f"suite {name!r}" if name else "suite"
            msg = f"{self.url}: no {wanted} has been run here; found: {', '.join(paths) or 'none'}"
            raise ValueError(msg)
        chosen = paths[name] if name else max(paths.values(), key=self.fs.modified)
        return str(self.fs.cat_file(chosen).decode())

    def _near(self, kind: str) -> Path:
        """Local folder in which results of a kind are written, or copied to."""
        return (Path(self.root) if self.is_local else _cache()) / kind

    def _rm(self, folder: str) -> None:
        """Remove all below a folder of an object store, one by one: lists expand patterns."""
        for path in self.fs.find(folder):
            self.fs.rm_file(path)

    def _ls(self, folder: str) -> list[str]:
        """List a folder; a glob would interpret brackets in the root's name."""
        return self.fs.ls(folder, detail=False) if self.fs.exists(folder) else []

    def _at(self, kind: str, digest: str) -> str:
        return f"{self.root}/{kind}/{digest}"

    def _folder(self, kind: str, digest: str) -> Path:
        return Path(self._at(kind, digest))


def _discard(folder: Path) -> None:
    """Remove a folder; its name is free at once, and open files stay readable."""
    gone = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
