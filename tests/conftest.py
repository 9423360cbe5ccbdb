"""What holds for every test: in CI nothing may be left out; elsewhere, what is left out is said."""

import os
from collections.abc import Generator
from typing import Any

import pytest

CI = os.environ.get("CI", "").lower() in ("1", "true")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself in CI has failed."""
    return _no_skip_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """And so has a file that skips itself."""
    return _no_skip_in_ci((yield))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says loudly what this machine could not run, and what it would need."""
    left_out = terminalreporter.getreports("skipped")
    if not left_out:
        return
    terminalreporter.section(f"LEFT OUT ON THIS MACHINE: {len(left_out)}", sep="!", red=True)
    reasons = [_reason(report) for report in left_out]
    for reason in sorted(set(reasons)):
        terminalreporter.line(f"{reasons.count(reason):4d} x {reason}", yellow=True)


def _no_skip_in_ci(report: Any) -> Any:
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} may not be left out in CI: {_reason(report)}"
    return report


def _reason(report: Any) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(text).removeprefix("Skipped: ")
