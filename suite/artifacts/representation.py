"""Result of the represent, inputs and defend steps."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from attacks.defenses import base

EVENTS_PER_GROUP = 65_536
"""Row group size; a group is in memory as a whole while it is written or read."""


@dataclass(frozen=True)
class Representation:
    """Released vectors of n events, in the order of the features' events.

    Attributes
    ----------
    user_id : (n,)
        User of each vector.
    event_id : (n,)
        Event that each vector was computed for.
    vector : (n, d)
        Released vectors; of several releases, what an adversary makes of them.
    certificate
        What bounds every attacker, for one release; None without a defense that gives a bound.
    uncertified
        Why a defense gives none.
    num_releases
        The most releases of a vector that the adversary observes, where there is a certificate.
    noise : (d, d)
        Covariance of the noise that a defense left in a vector; None where it adds none.
    """

    user_id: NDArray[np.int64]
    event_id: NDArray[np.int64]
    vector: NDArray[np.float32]
    certificate: base.AnyCertificate | None = None
    uncertified: str = ""
    num_releases: int = 1
    noise: NDArray[np.float64] | None = None

    def save(self, folder: Path) -> None:
        """Write representation.parquet, which ``latentprint audit`` also reads.

        Beside it certificate.json or uncertified.txt, and noise.npy, where there are such.
        """
        if self.certificate is not None:
            plain = {"kind": type(self.certificate).__name__, "num_releases": self.num_releases}
            text = json.dumps(plain | asdict(self.certificate))
            (folder / "certificate.json").write_text(text)
        elif self.uncertified:
            (folder / "uncertified.txt").write_text(self.uncertified)
        if self.noise is not None:
            np.save(folder / "noise.npy", self.noise, allow_pickle=False)
        d = self.vector.shape[1]
        vector = pa.FixedSizeListArray.from_arrays(pa.array(self.vector.reshape(-1)), d)
        table = pa.table([self.user_id, self.event_id, vector], ["user_id", "event_id", "vector"])
        pq.write_table(
            table,
            folder / "representation.parquet",
            compression="none",
            use_dictionary=False,
            row_group_size=EVENTS_PER_GROUP,
        )

    @classmethod
    def load(cls, folder: Path) -> Representation:
        """Read what ``save`` wrote, in pieces, as the vectors may fill half of the memory."""
        file = pq.ParquetFile(folder / "representation.parquet")
        num_events = file.metadata.num_rows
        user_id, event_id = np.empty(num_events, np.int64), np.empty(num_events, np.int64)
        d = file.schema_arrow.field("vector").type.list_size
        vector = np.empty((num_events, d), np.float32)
        start = 0
        # Not with iter_batches, which prefetches the whole file.
        for number in range(file.num_row_groups):
            piece = file.read_row_group(number)
            rows = slice(start, start + len(piece))
            user_id[rows], event_id[rows] = piece["user_id"], piece["event_id"]
            vector[rows] = piece["vector"].combine_chunks().flatten().to_numpy().reshape(-1, d)
            start = rows.stop
        certificate, num_releases = _certificate(folder)
        uncertified = _text(folder / "uncertified.txt")
        known = (certificate, uncertified, num_releases, _noise(folder))
        return cls(user_id, event_id, vector, *known)


def _certificate(folder: Path) -> tuple[base.AnyCertificate | None, int]:
    text = _text(folder / "certificate.json")
    if not text:
        return None, 1
    plain = json.loads(text)
    num_releases = plain.pop("num_releases")
    kinds = (base.Certificate, base.MetricCertificate, base.GroupCertificate)
    made: base.AnyCertificate = {k.__name__: k for k in kinds}[plain.pop("kind")](**plain)
    return made, num_releases


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _noise(folder: Path) -> NDArray[np.float64] | None:
    path = folder / "noise.npy"
    if not path.exists():
        return None
    noise: NDArray[np.float64] = np.load(path, allow_pickle=False)
    return noise
