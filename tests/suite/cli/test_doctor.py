from __future__ import annotations


def test_doctor_says_what_was_found_and_what_will_be_used(latentprint, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "250")
    done = latentprint("doctor", "--storage", tmp_path / "runs")
    assert done.code == 0
    for what in ("python", "processor", "accelerator", "ray", "faiss", "mlflow", "memory"):
        assert what in done.out
    assert str(tmp_path / "runs") in done.out
    assert not (tmp_path / "runs").exists()
