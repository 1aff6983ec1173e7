"""The guide for scientists shows what the pages look like; `make guide` draws its pictures anew."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import log_in
from tests.browser.guide import GUIDE


@pytest.mark.parametrize("page", [(1280, 800), (1920, 1080)], indirect=True, ids=["1280", "1920"])
def test_the_guide_shows_its_pictures(page: Page, scientist, shot):
    log_in(page, scientist.username)
    page.goto("/help/")
    pictures = page.locator(".guide img")
    expect(pictures).to_have_count(len(list(GUIDE.glob("*.jpg"))))
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("picture => picture.naturalWidth") > 0, picture.get_attribute("src")
        assert len(picture.get_attribute("alt") or "") > 20
    page.evaluate("() => scrollTo(0, 0)")
    shot("help")
