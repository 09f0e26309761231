"""A result is kept under the name of the files that it was planned for, or not at all."""

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]

REPLACED = '''
import os
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Tiny


@dataclass(frozen=True, kw_only=True)
class Replaced(Tiny):
    """Its file becomes another one while it is read, as one that is written anew each night."""

    path: str
    how: str = "stays"

    def files(self):
        return [Path(self.path)]

    def tables(self):
        path, text = Path(self.path), Path(self.path).read_text()
        if self.how == "replaced before":
            path.write_text(text.replace("1", "2"))
        found = super().tables()
        if self.how == "replaced after":
            path.write_text(text.replace("1", "2"))
        if self.how == "gone":
            path.unlink()
        if self.how == "another one meanwhile":
            times = path.stat()
            path.with_suffix(".new").write_text(text)
            path.with_suffix(".new").replace(path)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        return found
'''


@pytest.fixture
def run(latentprint, suite_file, tmp_path):
    """Run a suite over a data file to which that happens."""
    (tmp_path / "own.py").write_text(REPLACED)
    log = tmp_path / "log.csv"

    def ran(how):
        log.write_text("a\n1\n")
        dataset = {f"{tmp_path}/own.py:Replaced": {"path": str(log), "how": how}}
        suite = suite_file(datasets=[dataset], releases=["raw"])
        return latentprint("run", suite, "--storage", tmp_path / "runs"), log

    return ran


@pytest.mark.parametrize(
    "how", ["replaced before", "replaced after", "gone", "another one meanwhile"]
)
def test_a_data_file_replaced_after_it_was_planned_is_named_and_nothing_is_kept(run, tmp_path, how):
    done, log = run(how)
    assert done.code == 2, done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("latentprint: ")]
    assert line.startswith(f"latentprint: {log}: replaced while the suite ran; ")
    assert not list(tmp_path.glob("runs/features/*/done.json"))


def test_a_data_file_that_stays_is_read_once(run, tmp_path):
    done, _ = run("stays")
    assert done.code == 0, done.err
    assert len(list(tmp_path.glob("runs/features/*/done.json"))) == 1
