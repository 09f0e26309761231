"""A SQLite store at any path, several runs at once, and what MLflow advises."""

import sqlite3
import subprocess
import sys

import pytest
from filelock import FileLock

from suite.publish import sqlite, tracking

NAMES = ["plain", "pct%20x", "q?x=1", "br[1]ack", "ha#sh", "a b", "100%"]


@pytest.mark.parametrize("name", NAMES)
def test_the_uri_of_a_file_names_that_file(tmp_path, name):
    file = tmp_path / name / "mlflow.db"
    assert sqlite.file(sqlite.uri(file)) == file
    assert sqlite.file("http://127.0.0.1:5000") is None


def test_a_store_is_made_at_the_very_path(tmp_path):
    # In one test: each new database takes MLflow seconds. The worst of the names, all at once.
    file = tmp_path / "pct%20x?q=1#h[1]" / "mlflow.db"
    tracking.check(sqlite.uri(file))
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.parent.name]
    assert {"mlflow.db", "mlflow.db.lock"} == {path.name for path in file.parent.iterdir()}


def test_several_first_users_of_a_store_wait_for_each_other(tmp_path):
    uri = sqlite.uri(tmp_path / "runs" / "mlflow.db")
    program = f"from suite.publish import tracking; tracking.check({uri!r})"
    users = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [user.communicate()[1] for user in users]
    assert [user.returncode for user in users] == [0, 0, 0], said


def test_a_schema_of_another_version_is_named_with_the_command_that_upgrades_it(tmp_path):
    uri = sqlite.uri(tmp_path / "mlflow.db")
    # Made by another process: MLflow looks at the schema of a store once in each.
    program = f"from suite.publish import tracking; tracking.check({uri!r})"
    subprocess.run([sys.executable, "-c", program], check=True)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("update alembic_version set version_num = '451aebb31d03'")
    with pytest.raises(
        ValueError, match=r"another version of MLflow; .*`mlflow db upgrade sqlite:"
    ):
        tracking.check(uri)


def test_a_store_that_another_run_writes_to_is_waited_for_and_then_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "WAIT_S", 0.2)
    with (
        FileLock(tmp_path / "mlflow.db.lock"),
        pytest.raises(ValueError, match=r"has been writing to it .*mlflow\.db\.lock"),
    ):
        tracking.check(sqlite.uri(tmp_path / "mlflow.db"))
