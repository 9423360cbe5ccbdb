"""What answers without a key: health, the pages, the documentation."""

import re

import pytest

from app.settings import Settings
from tests.http.conftest import Service


@pytest.fixture
def settings(sqlite_settings: Settings) -> Settings:
    """One database serves: what is tested here does not reach it."""
    return sqlite_settings


def test_alive_and_ready(service: Service) -> None:
    assert service.get("/healthz", None).json() == {"status": "alive"}
    assert service.get("/readyz", None).json() == {"status": "ready"}


def test_the_first_page_links_to_what_there_is_and_to_nobody_else(service: Service) -> None:
    page = service.get("/", None)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for link in re.findall(r'href="([^"]+)"', page.text):
        if not link.startswith("data:"):
            assert service.get(f"/{link}", "view").status_code == 200, link
    assert not re.search(r"https?://", page.text)


def test_the_documentation_needs_no_other_host(service: Service) -> None:
    page = service.get("/docs", None)
    assert not re.search(r"https?://", page.text)
    parts = re.findall(r'(?:href|src)="(docs/[^"]+)"', page.text)
    assert len(parts) == 3
    for part in parts:
        answer = service.get(f"/{part}", None)
        assert answer.status_code == 200
        assert len(answer.content) > 100
    assert service.get("/docs/other.js", None).status_code == 404


def test_transparency_says_what_it_must_not_be_used_for(town_service: Service) -> None:
    said = town_service.get("/transparency", None).json()
    assert set(said) == {"does", "knows", "estimates", "never", "data"}
    # The town's one district, two units and ten incidents, counted without places.
    assert [said["data"][name] for name in ("districts", "units", "incidents")] == [1, 2, 10]
    assert said["data"]["last_ping"] == "2024-01-01T09:01:00Z"  # T-2 arrives in EAST
    assert not {"lat", "lon", "cell"} & set(said["data"])
    page = town_service.get("/transparency", None, headers={"Accept": "text/html,*/*"})
    assert "What it must not be used for" in page.text
