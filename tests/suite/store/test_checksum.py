from __future__ import annotations

import hashlib
import os

from suite.store import checksum


def test_a_file_is_known_by_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"\x00\xff")
    assert checksum.of_file(tmp_path / "a") == hashlib.sha256(b"\x00\xff").hexdigest()


def test_a_file_that_changes_is_read_again_even_with_its_old_size_and_time(tmp_path):
    path = tmp_path / "a"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        os.utime(path, (1, 1))
        assert checksum.of_file(path) == hashlib.sha256(content).hexdigest()
    other = tmp_path / "b"
    other.write_bytes(b"six")
    os.utime(other, (1, 1))
    other.replace(path)
    assert checksum.of_file(path) == hashlib.sha256(b"six").hexdigest()
