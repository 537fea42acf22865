"""What the programs in Python report: wall time, CPU time of this process, its greatest resident memory."""

import json
import resource
import time


class Meter:
    """Runs while the `with` block does."""

    def __enter__(self):
        self._cpu = _cpu_time()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.wall = time.perf_counter() - self._started
        self.cpu = _cpu_time() - self._cpu

    def report(self, program: str, flows: int, tasks: int, in_flight: int):
        steps = flows * tasks
        print(json.dumps({
            "program": program,
            "flows": flows,
            "tasks": tasks,
            "in_flight": in_flight,
            "wall_s": self.wall,
            "rate": steps / self.wall,
            "cpu_us": self.cpu / steps * 1e6,
            "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }), flush=True)


def _cpu_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
