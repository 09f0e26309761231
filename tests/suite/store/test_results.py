from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import tempfile
import time
from pathlib import Path

import fsspec
import pytest

from suite.store.atomic import replace
from suite.store.marker import DamagedError, Marker
from suite.store.results import MARKER, STALE_S, Store, public

DIGEST = "0f" * 32


STRANGE = "br[1]ack * q?x=1 #h %20"
"""A name that holds what patterns and URIs are made of, and means itself."""


@pytest.fixture(params=["folder", STRANGE, "memory", f"memory {STRANGE}", "s3", f"s3 {STRANGE}"])
def store(request, tmp_path, monkeypatch):
    kind, _, name = request.param.partition(" ")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / f"cache {name}"))
    (tmp_path / f"cache {name}").mkdir()
    if kind == "memory":
        yield Store(f"memory://bucket/prefix {name}")
        fsspec.filesystem("memory").store.clear()
    elif kind == "s3":
        request.getfixturevalue("s3")
        yield Store(f"s3://results/{tmp_path.name}{name}")
    else:
        yield Store(str(tmp_path / request.param))


@pytest.fixture
def objects(request, tmp_path, monkeypatch):
    """Store in an object store; its cache is empty."""
    request.getfixturevalue("s3")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Store(f"s3://results/{tmp_path.name}")


def write(store: Store, text: str = "one", digest: str = DIGEST) -> None:
    with store.writing("fit", digest, {"seconds": 1.5}) as folder:
        (folder / "result.txt").write_text(text)
        (folder / "deeper").mkdir()
        (folder / "deeper" / "more.txt").write_text(text)


def files(store: Store) -> list[str]:
    """What lies in a store; an upload's own folder is called UPLOAD."""
    names = [path.removeprefix(f"{store.root}/") for path in store.fs.find(store.root)]
    return [re.sub(r"/[0-9a-f]{32}/", "/UPLOAD/", name) for name in names]


def test_what_is_written_can_be_read_with_its_note(store):
    assert not store.has("fit", DIGEST)
    write(store)
    assert store.has("fit", DIGEST)
    assert store.marker("fit", DIGEST) == {"seconds": 1.5}
    folder = store.path("fit", DIGEST)
    assert (folder / "result.txt").read_text() == "one"
    assert (folder / "deeper" / "more.txt").read_text() == "one"
    assert store.path("fit", DIGEST) == folder
    assert not store.has("fit", "1" * 64)
    assert not store.has("represent", DIGEST)


def test_the_note_may_be_filled_while_writing(store):
    note = {}
    with store.writing("fit", DIGEST, note):
        note["seconds"] = 2.0
    assert store.marker("fit", DIGEST) == {"seconds": 2.0}


def test_a_writer_that_fails_leaves_nothing(store):
    def fail() -> None:
        with store.writing("fit", DIGEST, {}) as folder:
            (folder / "result.txt").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not store.has("fit", DIGEST)
    assert files(store) == []


def test_a_result_without_a_marker_does_not_count_and_is_replaced(store):
    store.fs.makedirs(f"{store.root}/fit/{DIGEST}", exist_ok=True)
    store.fs.pipe_file(f"{store.root}/fit/{DIGEST}/half.txt", b"half")
    assert not store.has("fit", DIGEST)
    write(store)
    assert store.has("fit", DIGEST)
    if store.is_local:
        assert sorted(files(store)) == [
            f"fit/{DIGEST}/{name}" for name in ("deeper/more.txt", MARKER, "result.txt")
        ]
    assert not (store.path("fit", DIGEST) / "half.txt").exists()


def lying(store: Store, name: str) -> str:
    """Path, within the store's file system, of a file of the result."""
    (path,) = (p for p in store.fs.find(store.root) if p.endswith(f"/{name}"))
    return path


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("result.txt", b"two", "result.txt was changed"),
        ("result.txt", b"", "result.txt has 0 bytes, not 3"),
        ("deeper/more.txt", None, "deeper/more.txt: No such file or directory"),
        (MARKER, b"{", "done.json is not JSON"),
        (MARKER, b"\xff\xfe\xfd", "done.json is not JSON"),
        (MARKER, b"", "done.json is not JSON"),
        (MARKER, b'{"seconds": 1.5}', "done.json holds no hashes"),
        (MARKER, b"[1]", "done.json holds no hashes"),
    ],
)
def test_a_damaged_result_is_refused_by_name_and_gives_way_to_a_new_one(
    store, tmp_path, monkeypatch, name, content, what
):
    write(store)
    assert store.fault("fit", DIGEST, hashed=True) is None
    if content is None:
        store.fs.rm_file(lying(store, name))
    else:
        store.fs.pipe_file(lying(store, name), content)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))  # another machine
    line = f"fit/{DIGEST} is damaged: {what}"
    assert store.fault("fit", DIGEST, hashed=True) == line
    with pytest.raises(DamagedError, match=f"^{re.escape(line)}$"):
        store.path("fit", DIGEST)
    assert store.has("fit", DIGEST)
    store.remove("fit", DIGEST)
    assert not store.has("fit", DIGEST)
    assert files(store) == []
    write(store, "new")
    assert (store.path("fit", DIGEST) / "result.txt").read_text() == "new"


def test_a_note_that_was_changed_is_damage_too(store):
    write(store)
    path = lying(store, MARKER)
    store.fs.pipe_file(path, store.fs.cat_file(path).replace(b"1.5", b"0.5"))
    with pytest.raises(DamagedError, match=r"done\.json was changed$"):
        store.marker("fit", DIGEST)
    assert not store.whole("fit", DIGEST)


def test_a_result_that_is_not_there_is_said_to_be_so(store):
    assert not store.whole("fit", DIGEST)
    with pytest.raises(DamagedError, match=r"it is missing$"):
        store.path("fit", DIGEST)


def test_a_writer_replaces_a_result_that_was_damaged_meanwhile(store):
    write(store)
    with store.writing("fit", DIGEST, {}) as folder:
        (folder / "result.txt").write_text("new")
        store.fs.pipe_file(lying(store, MARKER), b"garbage")
    assert (store.path("fit", DIGEST) / "result.txt").read_text() == "new"


def test_a_damaged_copy_of_an_object_store_is_fetched_again(objects):
    write(objects)
    copy = objects.path("fit", DIGEST)
    (copy / "result.txt").write_text("two")
    assert (objects.path("fit", DIGEST) / "result.txt").read_text() == "one"
    assert objects.fault("fit", DIGEST, hashed=True) is None


def test_the_marker_holds_size_and_sha256_of_every_file_and_its_own(store):
    write(store)
    marker = json.loads(store.fs.cat_file(lying(store, MARKER)))
    one = [3, hashlib.sha256(b"one").hexdigest()]
    assert marker["files"] == {"deeper/more.txt": one, "result.txt": one}
    own = marker.pop("sha256")
    assert own == hashlib.sha256(json.dumps(marker, sort_keys=True).encode()).hexdigest()
    assert Marker.from_json(store.fs.cat_file(lying(store, MARKER))).note == {"seconds": 1.5}


def test_files_and_folders_are_on_the_disk_before_the_marker_and_the_marker_before_its_name(
    tmp_path, monkeypatch
):
    synced = []

    def fsync(handle, really=os.fsync):
        path = Path(f"/proc/self/fd/{handle}").readlink()
        name = re.sub(r"\.[0-9a-f]{32}", "", path.relative_to(tmp_path).as_posix())
        synced.append((name, (path / MARKER).exists()))
        really(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write(Store(str(tmp_path)))
    at = f"fit/{DIGEST}"
    assert synced == [
        *((f"{at}/deeper/more.txt", False), (f"{at}/result.txt", False)),
        *((f"{at}/deeper", False), (at, False)),
        *((f"{at}/{MARKER}", False), (at, True)),
        ("fit", False),
    ]


def cut_off(objects, number):
    """Leave behind what a writer does that is killed before its marker."""
    at = f"{objects.root}/fit/{DIGEST}/{number:032x}"
    objects.fs.pipe_file(f"{at}/result.txt", b"half")


def test_in_an_object_store_an_upload_that_was_cut_off_is_removed_when_it_is_old(
    objects, monkeypatch
):
    cut_off(objects, 1)
    assert not objects.has("fit", DIGEST)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + STALE_S + 60)
    write(objects)
    at = f"fit/{DIGEST}"
    assert sorted(files(objects)) == [
        *(f"{at}/UPLOAD/deeper/more.txt", f"{at}/UPLOAD/result.txt", f"{at}/{MARKER}")
    ]


def test_in_an_object_store_an_upload_under_way_elsewhere_is_left_alone_and_does_not_count(
    objects, tmp_path, monkeypatch
):
    cut_off(objects, 1)
    with objects.writing("fit", DIGEST, {"by": "slow"}) as slow:
        (slow / "result.txt").write_text("slow")
        write(objects, "fast")
        first = objects.fs.cat_file(f"{objects.root}/fit/{DIGEST}/{MARKER}")
    assert objects.fs.cat_file(f"{objects.root}/fit/{DIGEST}/{MARKER}") == first
    assert objects.fs.exists(f"{objects.root}/fit/{DIGEST}/{1:032x}/result.txt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    assert (objects.path("fit", DIGEST) / "result.txt").read_text() == "fast"


def test_what_another_machine_finished_is_seen_at_once(objects):
    other = Store(objects.url)
    assert not objects.has("fit", DIGEST)
    assert objects.fs.find(objects.root) == []
    write(other)
    assert objects.has("fit", DIGEST)


def test_a_copy_of_an_object_store_belongs_to_its_user_alone(objects, tmp_path):
    write(objects)
    (cache,) = tmp_path.glob("latentprint-*")
    assert cache.stat().st_mode & 0o777 == 0o700
    assert objects.path("fit", DIGEST).is_relative_to(cache)


@pytest.mark.parametrize(
    "url", ["s3://id:secret@bucket/runs", "ftp://id:secret@host/runs", "s3://secret@bucket"]
)
def test_a_user_or_password_in_the_uri_is_refused_without_being_repeated(url):
    with pytest.raises(ValueError, match=r"^found a user or a password in \w+://") as refused:
        Store(url)
    assert "secret@" not in str(refused.value)
    assert "id:" not in str(refused.value)


def test_a_killed_writer_leaves_nothing_that_counts_and_a_later_one_clears_it(tmp_path, shell):
    program = (
        "import os, sys\n"
        "from suite.store.results import Store\n"
        f"with Store(sys.argv[1]).writing('fit', '{DIGEST}', {{}}) as folder:\n"
        "    (folder / 'result.txt').write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    root = tmp_path / "runs"
    assert shell("-c", program, root).code == -9
    (left,) = (root / "fit").iterdir()
    assert (left / "result.txt").exists()
    store = Store(str(root))
    assert not store.has("fit", DIGEST)
    os.utime(left, (0, 0))
    write(store)
    assert [path.name for path in (root / "fit").iterdir()] == [DIGEST]


def test_two_writers_at_once_leave_the_result_of_the_first_to_finish(tmp_path):
    store = Store(str(tmp_path))
    with store.writing("fit", DIGEST, {}) as slow:
        (slow / "result.txt").write_text("slow")
        write(store, "fast")
    assert (store.path("fit", DIGEST) / "result.txt").read_text() == "fast"
    assert [path.name for path in (tmp_path / "fit").iterdir()] == [DIGEST]


def test_a_result_can_be_read_by_whom_the_umask_allows(tmp_path):
    store = Store(str(tmp_path))
    before = os.umask(0o022)
    try:
        write(store)
    finally:
        os.umask(before)
    assert store.path("fit", DIGEST).stat().st_mode & 0o777 == 0o755


def test_scratch_can_be_written_through_its_name_and_is_cleared_alone(store):
    url = f"{store.scratch(DIGEST)}/checkpoint.pt"
    fs, path = fsspec.core.url_to_fs(url)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.pipe_file(path, b"state")
    write(store)
    assert path == f"{store.root}/unfinished/{DIGEST}/checkpoint.pt"
    store.clear("1" * 64)
    assert f"unfinished/{DIGEST}/checkpoint.pt" in files(store)
    store.clear(DIGEST)
    assert not any("unfinished" in name for name in files(store))
    assert store.has("fit", DIGEST)


def publish(store: Store, folder, suite: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "leaderboard.json").write_text(text)
    (folder / "leaderboard.md").write_text(text)
    store.publish(suite, folder)


def test_a_suite_is_published_whole_and_published_again(store, tmp_path):
    publish(store, tmp_path / "board", "quick", "first")
    publish(store, tmp_path / "board", "quick", "second")
    assert store.read_published("quick", "leaderboard.json") == "second"
    assert sorted(files(store)) == [f"suites/quick/leaderboard.{kind}" for kind in ("json", "md")]


def test_without_a_name_the_suite_published_last_is_read(store, tmp_path):
    for suite in ("quick", "another", "quick"):
        publish(store, tmp_path / "board", suite, suite)
        time.sleep(1.1 if "s3" in store.fs.protocol else 0.02)  # S3 tells whole seconds
    assert store.read_published(None, "leaderboard.json") == "quick"
    assert store.read_published("another", "leaderboard.json") == "another"


def test_a_suite_that_never_ran_is_answered_with_those_that_did(store, tmp_path):
    with pytest.raises(ValueError, match=r"no suite has been run here; found: none$"):
        store.read_published(None, "leaderboard.json")
    publish(store, tmp_path / "board", "quick", "x")
    with pytest.raises(ValueError, match=r"no suite 'quik' has been run here; found: quick$"):
        store.read_published("quik", "leaderboard.json")


def test_a_store_travels_to_another_process(store):
    import pickle

    again = pickle.loads(pickle.dumps(store))
    write(store)
    assert again.has("fit", DIGEST)
    assert again.marker("fit", DIGEST) == {"seconds": 1.5}


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "leaderboard.json"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))  # as where the disk is full
    try:
        with pytest.raises(OSError, match="File too large"):
            replace(fsspec.filesystem("file"), str(path), bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:p@ss/w@host:5000/x", "http://host:5000/x"),
        ("https://token@host", "https://host"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db"),
        ("sqlite:////runs/mlflow.db", "sqlite:////runs/mlflow.db"),
    ],
)
def test_a_uri_is_shown_without_user_and_password(uri, shown):
    assert public(uri) == shown
