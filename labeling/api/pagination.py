"""Keyset pages: page 1,000 costs what page 1 costs, and nothing is shown twice when rows are added."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from labeling.problems import BadValue
from labeling.services.image_orders import Lineup

LARGEST_ID = 2**63 - 1
BEHIND, BEFORE = ">", "<"


class ById(CursorPagination):
    """Oldest first."""

    ordering = "id"
    page_size = 100
    max_page_size = 1000
    page_size_query_param = "page_size"
    page_size_query_description = "Rows a page, at most 1,000."

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(self.page_size))
        if not text.isdecimal() or not 1 <= int(text) <= self.max_page_size:
            raise BadValue(f"{text!r} is no page size; ask for 1 to {self.max_page_size} rows.")
        return int(text)

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise _bad_cursor() from None
        if cursor and not (cursor.position or "").isdecimal():
            raise _bad_cursor()
        return cursor


class NewestFirst(ById):
    ordering = "-id"


class AuditPages(ById):
    """Newest first, by the number that has no gaps."""

    ordering = "-sequence"


class ImagePages(ById):
    """In the order asked for, from an image on or back from one: labels given meanwhile skip and repeat nothing."""

    next_cursor = previous_cursor = ""

    def paginate(self, lineup: Lineup, request: Request) -> list[int]:
        """The ids of one page of images."""
        self.base_url = request.build_absolute_uri()
        limit, n = self.get_page_size(request), len(lineup.chosen)
        direction, image_id = _read_cursor(request.query_params.get("cursor"))
        start = 0
        if direction == BEHIND:
            start = lineup.n_until(image_id)
        elif direction == BEFORE:
            start = max(lineup.n_until(image_id, itself=False) - limit, 0)
        page = lineup.ids(start, start + limit)
        if page:
            self.next_cursor = _written(BEHIND, page[-1]) if start + limit < n else ""
            self.previous_cursor = _written(BEFORE, page[0]) if start else ""
        return page

    def get_next_link(self) -> str | None:
        return replace_query_param(self.base_url, "cursor", self.next_cursor) if self.next_cursor else None

    def get_previous_link(self) -> str | None:
        return replace_query_param(self.base_url, "cursor", self.previous_cursor) if self.previous_cursor else None


def _written(direction: str, image_id: int) -> str:
    return urlsafe_b64encode(f"{direction}{image_id}".encode()).decode()


def _read_cursor(cursor: str | None) -> tuple[str, int]:
    """Where a page is, from behind or before which image; from the beginning without a cursor."""
    if not cursor:
        return "", 0
    try:
        text = urlsafe_b64decode(cursor.encode()).decode()
    except ValueError:
        raise _bad_cursor() from None
    direction, image_id = text[:1], text[1:]
    if direction not in (BEHIND, BEFORE) or not image_id.isdecimal() or int(image_id) > LARGEST_ID:
        raise _bad_cursor()
    return direction, int(image_id)


def _bad_cursor() -> BadValue:
    return BadValue("The cursor is not one that a page of this list gave; start again without it.")
