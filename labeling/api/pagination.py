"""Keyset pages: page 1,000 costs what page 1 costs, and nothing is shown twice when rows are added."""

from __future__ import annotations

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from labeling.models import Image
from labeling.problems import BadValue
from labeling.services.image_facts import ScorePosition, page_by_score

LARGEST_ID = 2**63 - 1


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
    """By id, or by score and id; score order has no previous page."""

    position: ScorePosition | None = None
    in_score_order = False

    def paginate_queryset(self, queryset: QuerySet[Image], request: Request, view: Any = None) -> list[Image]:
        ordering = request.query_params.get("ordering", "id")
        self.in_score_order = ordering != "id"
        if not self.in_score_order:
            return super().paginate_queryset(queryset, request, view)
        self.base_url = request.build_absolute_uri()
        limit, after = self.get_page_size(request), _read_position(request.query_params.get("cursor"))
        field = ordering.removeprefix("-")
        page = page_by_score(queryset, field, descending=ordering.startswith("-"), after=after, limit=limit + 1)
        if len(page) > limit:
            last = page[limit - 1]
            self.position = ScorePosition(getattr(last, field), last.pk)
        return page[:limit]

    def get_next_link(self) -> str | None:
        if not self.in_score_order:
            return super().get_next_link()
        if self.position is None:
            return None
        return replace_query_param(self.base_url, "cursor", _written(self.position))

    def get_previous_link(self) -> str | None:
        return None if self.in_score_order else super().get_previous_link()


def _written(position: ScorePosition) -> str:
    score = "" if position.score is None else repr(position.score)
    return urlsafe_b64encode(f"{score},{position.image_id}".encode()).decode()


def _read_position(cursor: str | None) -> ScorePosition | None:
    if not cursor:
        return None
    try:
        score, _, image_id = urlsafe_b64decode(cursor.encode()).decode().partition(",")
        position = ScorePosition(float(score) if score else None, int(image_id))
    except ValueError:
        raise _bad_cursor() from None
    if position.image_id > LARGEST_ID or not math.isfinite(position.score or 0):
        raise _bad_cursor()
    return position


def _bad_cursor() -> BadValue:
    return BadValue("The cursor is not one that a page of this list gave; start again without it.")
