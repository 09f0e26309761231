"""A small world made by hand, the command line, and one local Ray cluster."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import yaml

from suite.datasets.base import EVENTS, HISTORIES, ITEMS, Dataset, Tables

ROOT = Path(__file__).parent.parent

# As the command line does, before torch loads OpenMP: threads that wait must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Encoders come from a package: where no hub answers, each attempt at one takes 25 s.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that start clusters in one process, and those of any other file together."""
    # What starts clusters of its own comes before what leaves one open in the process.
    items.sort(key=lambda item: item.path.parent != ROOT / "tests")
    for item in items:
        together = "cluster" if item.get_closest_marker("cluster") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(together))


STARTS = {
    "train": datetime(2020, 1, 8, tzinfo=UTC),
    "validation": datetime(2020, 1, 15, tzinfo=UTC),
    "test": datetime(2020, 1, 22, tzinfo=UTC),
}


@dataclass(frozen=True, kw_only=True)
class Tiny(Dataset):
    """Users whose taste decides how long they read and what they engage with.

    User 0 has only 3 test events and user 1 only 3 train events.

    Parameters
    ----------
    users
        Number of users.
    events
        Events of each user in each window.
    seed
        Of everything.
    """

    users: int = 24
    events: int = 6
    seed: int = 0

    @property
    def synthetic(self) -> bool:
        return True

    def files(self) -> list[Path]:
        return []

    def tables(self) -> Tables:
        rng = np.random.default_rng(self.seed)
        taste = rng.normal(size=self.users)
        events: list[dict[str, Any]] = []
        histories: list[dict[str, Any]] = []
        for window, start in STARTS.items():
            for user in range(self.users):
                short = {("test", 0), ("train", 1)}
                for k in range(3 if (window, user) in short else self.events):
                    item = int(rng.integers(20))
                    events.append(
                        {
                            "event_id": len(events),
                            "user_id": user,
                            "item_id": item,
                            "time": start + timedelta(hours=5 * k, minutes=user),
                            "window": window,
                            "session_id": None,
                            "device": 1 + user % 3,
                            "engaged": bool(taste[user] + item / 10 - 1 + rng.normal() > 0),
                        }
                    )
                n = 5 + user % 7
                histories.append(
                    {
                        "user_id": user,
                        "window": window,
                        "time": [start - timedelta(hours=9 * (n - k)) for k in range(n)],
                        "item_id": rng.integers(20, size=n).tolist(),
                        "channel_1": np.exp(3 + 0.8 * taste[user] + rng.normal(size=n)).tolist(),
                        "channel_2": (50 + 15 * np.tanh(taste[user] + rng.normal(size=n))).tolist(),
                    }
                )
        items = [
            {
                "item_id": item,
                "category": f"c{item % 4}",
                "item_type": f"t{item % 2}",
                "published": STARTS["train"] - timedelta(days=item),
                "premium": item % 3 == 0,
                "body_length": 100 * item,
                "title_length": 10 + item,
                "subtitle_length": None,
            }
            for item in range(20)
        ]
        return Tables(
            pl.LazyFrame(events, schema=EVENTS),
            pl.LazyFrame(histories, schema=HISTORIES),
            pl.LazyFrame(items, schema=ITEMS),
            STARTS,
        )


@pytest.fixture(scope="session")
def features() -> Any:
    from suite.datasets.check import check
    from suite.features.encode import features

    return features(check(Tiny().tables()), time_zone="UTC", holdout_users=0.2)


@pytest.fixture(scope="session")
def tiny() -> str:
    """Name of the small world in a suite file."""
    return f"{__file__}:Tiny"


@pytest.fixture(scope="session")
def suite_file(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Callable[..., Path]:
    """Write a suite over the small world; keyword arguments replace its keys."""

    def write(**keys: Any) -> Path:
        content = {
            "suite": "tiny",
            "seeds": [0],
            "datasets": [tiny],
            "training": {"epochs": 2, "batch_size": 64, "user_cap": 16},
            "models": ["logistic"],
            "releases": ["model", "raw"],
            "protocols": ["static"],
            "attacks": ["cosine"],
            "bootstrap": 100,
        }
        path = tmp_path_factory.mktemp("suite") / "tiny.yaml"
        path.write_text(yaml.safe_dump(content | keys, sort_keys=False))
        return path

    return write


class Finished(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def latentprint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Finished]:
    """Run a command line in this process, in an empty folder."""
    from suite import cli

    folder = tmp_path / "cwd"
    folder.mkdir()
    for name in ("LATENTPRINT_STORAGE", "LATENTPRINT_DATA", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Finished:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["latentprint", *map(str, arguments)])
            patch.chdir(folder)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return Finished(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Run ``python`` with arguments in a process of its own, in an empty folder."""
    left_out = ("LATENTPRINT", "MLFLOW", "RAY_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}

    def run(*arguments: object, timeout_s: float = 120, **variables: str) -> Finished:
        folder = variables.pop("cwd", None) or tmp_path_factory.mktemp("cwd")
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=folder,
            env=environment | {"COLUMNS": "200", "TERM": "dumb"} | variables,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """Serve S3 on loopback, with one empty bucket; gives the environment that reaches it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    environment = {
        "AWS_ACCESS_KEY_ID": "an-id-of-a-test",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-a-test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.get_host_and_port()[1]}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        import fsspec

        fsspec.filesystem("s3", use_listings_cache=False).mkdir("results")
        yield environment
    server.stop()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Make torch add in one order, so that equal means bit-identical."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch compute on two threads, whatever the environment says."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A local cluster of this test run alone."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
