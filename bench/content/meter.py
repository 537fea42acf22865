"""What processes cost: CPU time and resident memory of a process and all it started, from /proc."""

from __future__ import annotations

import contextlib
import os
import pathlib
import threading

TICK = os.sysconf("SC_CLK_TCK")


def processes() -> dict[int, tuple[int, float]]:
    """Parent, and CPU seconds with those of ended children, of every process."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                # What comes before the last parenthesis is a name with anything in it.
                fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                found[int(entry)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICK)
    return found


def tree(root: int, table: dict[int, tuple[int, float]]) -> list[int]:
    """The process and everything below it that still runs."""
    found, todo = [], [root]
    while todo:
        one = todo.pop()
        if one in table:
            found.append(one)
            todo += [child for child, (parent, _) in table.items() if parent == one]
    return found


def cpu(root: int | None) -> float:
    if root is None:
        return 0.0
    table = processes()
    return sum(table[one][1] for one in tree(root, table))


class Peak:
    """The greatest resident set of one of the processes below `root` while the `with` block runs, MB."""

    def __init__(self, root: int):
        self.root = root
        self.mb = 0.0
        self.ended = threading.Event()

    def __enter__(self):
        for one in tree(self.root, processes()):
            with contextlib.suppress(OSError):
                # 5: forget the peak until now.
                pathlib.Path(f"/proc/{one}/clear_refs").write_text("5")
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.look()
        self.ended.set()
        self.thread.join()

    def watch(self):
        # Often enough for processes that are started for one task: their peak is theirs until they end.
        while not self.ended.wait(0.1):
            self.look()

    def look(self):
        for one in tree(self.root, processes()):
            with contextlib.suppress(OSError):
                for line in pathlib.Path(f"/proc/{one}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self.mb = max(self.mb, int(line.split()[1]) / 1024)
