"""Memory that was freed goes back to the system, and large results are read in pieces."""

import subprocess
import sys

import numpy as np
import pytest

from suite.artifacts.representation import Representation
from tests.processes import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

KEPT = """
from pathlib import Path
from suite.cluster import memory

def own():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096

blocks = [bytes(bytearray(64 * 1024)) for _ in range(4000)]
last = bytes(bytearray(64 * 1024))  # holds the end of the heap in place
full = own()
del blocks
kept = own()
memory.give_back()
print(full, kept, own())
"""

READ = r"""
import re, sys
from pathlib import Path
import numpy as np
from suite.steps.represent import Representation

def peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

before = peak()
found = Representation.load(Path(sys.argv[1]))
assert (found.vector[:, 0] == found.event_id.astype(np.float32)).all()
print(peak() - before, found.vector.nbytes)
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return map(int, done.stdout.split())


def test_freed_blocks_go_back_though_the_heap_ends_in_one_that_is_used():
    full, kept, left = run(KEPT)
    assert kept > 0.9 * full
    assert left < 0.4 * full


def test_reading_vectors_takes_little_more_than_they_do(tmp_path):
    number = np.arange(1_000_000)
    vector = np.repeat(number[:, None], 64, axis=1).astype(np.float32)
    Representation(number, number, vector).save(tmp_path)
    taken, needed = run(READ, tmp_path)
    assert taken < 2 * needed
