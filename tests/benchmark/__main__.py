"""`python -m tests.benchmark [NAME…]`: measures, prints tables, and keeps them.

A benchmark is a file `bench_NAME.py` beside this one with a function `run() -> Table`. Each runs in
a process of its own, so that peak memory is its own. Tables go to out/bench; `--write` also puts
them into docs/benchmarks.md, between `<!-- bench NAME -->` and `<!-- end -->`.
"""

import argparse
import importlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUT = ROOT / "out" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(names)}")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    if options.one:
        print(importlib.import_module(f"tests.benchmark.bench_{options.names[0]}").run().markdown())
        return 0
    print(machine())
    OUT.mkdir(parents=True, exist_ok=True)
    failed = [name for name in options.names or names if not measured(name, options.write)]
    print(f"failed: {', '.join(failed)}" if failed else f"tables are in {OUT.relative_to(ROOT)}")
    return bool(failed)


def measured(name: str, write: bool) -> bool:
    """Runs one benchmark in a process of its own, prints and keeps its table."""
    command = [sys.executable, "-m", "tests.benchmark", "--one", name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(f"\n## {name}\n\n{done.stdout}", flush=True)
    if done.returncode:
        return False
    (OUT / f"{name}.md").write_text(done.stdout, encoding="utf-8")
    if write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_section(page, name, done.stdout), encoding="utf-8")
    return True


def with_section(page: str, name: str, text: str) -> str:
    """The page with this text between the marks of `name`. Raises ValueError without marks."""
    mark = f"<!-- bench {name} -->\n"
    found = re.search(re.escape(mark) + r".*?(?=<!-- end -->)", page, re.DOTALL)
    if not found:
        raise ValueError(f"docs/benchmarks.md has no section {mark.strip()}")
    return page[: found.start()] + mark + text.strip() + "\n" + page[found.end() :]


def machine() -> str:
    """What the figures were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, numpy {np.__version__}"
    )


if __name__ == "__main__":
    sys.exit(main())
