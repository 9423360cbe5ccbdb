"""The pages of an empty service, as a person meets them."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

WIDTH_PX = 390  # of a phone


def test_the_first_page_leads_to_what_there_is(page: Page, address: str) -> None:
    page.goto(f"{address}/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Focus Patrol")
    links = [link.get_attribute("href") for link in page.get_by_role("link").all()]
    assert {"docs", "openapi.json"} <= {str(link).lstrip("/") for link in links}
    for link in links:
        answer = page.request.get(f"{address}/{str(link).lstrip('/')}")
        assert answer.status in (200, 401), link  # 401 is data, which needs a key


def test_the_first_page_fits_a_phone(page: Page, address: str) -> None:
    page.set_viewport_size({"width": WIDTH_PX, "height": 844})
    page.goto(f"{address}/")
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH_PX


def test_the_documentation_shows_every_route(page: Page, address: str) -> None:
    page.goto(f"{address}/docs")
    paths = page.request.get(f"{address}/openapi.json").json()["paths"]
    operations = sum(len(methods) for methods in paths.values())
    expect(page.locator(".opblock")).to_have_count(operations, timeout=15_000)
