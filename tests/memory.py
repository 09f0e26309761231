"""Memory of a process and of all that it started, pages that several of them share counted once."""

import re
import threading
from pathlib import Path

from tests.processes import session

KIB = 2**10

LARGEST = 6
"""Processes that are named at a peak."""


class Watch:
    """Samples the processes of a session until the block ends.

    Attributes
    ----------
    peak_bytes
        Largest sum of proportional set sizes: of a page that n processes share each has 1/n.
    peak_own_bytes
        The same without pages of files, which the kernel takes back when memory is short.
    peak_of
        Bytes of the largest processes at the first of these peaks, by command.
    """

    def __init__(self, process, every_s=1.0):
        self.process, self.every_s = process, every_s
        self.peak_bytes = self.peak_own_bytes = 0
        self.peak_of = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _watch(self):
        while not self._done.wait(self.every_s):
            pids = session(self.process)
            sizes = [proportional(pid) for pid in pids]
            total = sum(size for size, _ in sizes)
            if total > self.peak_bytes:
                self.peak_bytes = total
                largest = sorted(zip(sizes, pids, strict=True), reverse=True)[:LARGEST]
                self.peak_of = [(command(pid), size) for (size, _), pid in largest]
            self.peak_own_bytes = max(self.peak_own_bytes, sum(own for _, own in sizes))


def proportional(pid):
    """Proportional set size of a process in bytes, with and without pages of files."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0, 0
    size = {name: int(kib) * KIB for name, kib in re.findall(r"^(Pss\w*): +(\d+) kB", text, re.M)}
    return size.get("Pss", 0), size.get("Pss_Anon", 0) + size.get("Pss_Shmem", 0)


def command(pid):
    """First words of what a process runs, or what Ray calls it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended
        return "?"
    return b" ".join(words[:1] if words[0].startswith(b"ray::") else words[:4]).decode().strip()
