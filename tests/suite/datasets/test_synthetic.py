from suite.datasets.check import check
from suite.datasets.ebnerd import EBNeRD
from suite.datasets.simulators.ebnerd import simulate
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


def test_no_simulated_file_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tables = Synthetic(users=30, seed=1).tables()

    assert list(tmp_path.iterdir()) == []
    assert tables.histories.collect().height == 3 * 30
