import subprocess
import sys
from pathlib import Path

from suite.datasets.check import check
from suite.datasets.ebnerd import EBNeRD
from suite.datasets.simulate_ebnerd import simulate
from suite.datasets.synthetic import Synthetic


def test_the_tables_are_those_of_the_simulated_files(tmp_path):
    simulate(tmp_path / "world", users=60, seed=4, identity=0.7, drift=0.2, history_days=8)
    files = check(EBNeRD(path=str(tmp_path / "world")).tables())
    part = Synthetic(users=60, seed=4, identity=0.7, drift=0.2, history_days=8)
    tables = check(part.tables())

    for name in ("events", "histories", "items"):
        assert getattr(tables, name).collect().equals(getattr(files, name).collect())
    assert part.synthetic
    assert part.time_zone == "Europe/Copenhagen"


def test_lazy_tables_outlive_the_dataset_that_made_them():
    tables = check(Synthetic(users=30, seed=1).tables())

    assert tables.histories.collect().height > 0


def test_no_simulated_file_stays_when_the_process_ends(tmp_path):
    code = "from suite.datasets.synthetic import Synthetic; Synthetic(users=30).tables()"
    subprocess.run(
        [sys.executable, "-c", code],
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
    )

    assert list(tmp_path.iterdir()) == []
