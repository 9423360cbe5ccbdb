"""What a benchmark answers with, and how it measures."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """Figures, each beside its peer or physical limit from the same run."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    notes: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """The table as it stands in docs/benchmarks.md."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = "\n".join("| " + " | ".join(written(v) for v in line) + " |" for line in lines)
        return "\n\n".join([table, *self.notes])


def written(value: object) -> str:
    """A value as people read it: three digits that count, thousands set apart."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def median_s(work: Callable[[], object], repeats: int = 3) -> float:
    """Median seconds that the work takes."""
    return statistics.median(seconds(work) for _ in range(repeats))


def seconds(work: Callable[[], object]) -> float:
    """Seconds that the work takes, once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mb() -> float:
    """The most memory that this process has held so far [MB]."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / (1e6 if sys.platform == "darwin" else 1e3 / 1.024)
