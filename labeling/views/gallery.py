"""The gallery: any images of an experiment, filtered and ordered as somebody asks, 60 at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from labeling.models import Cutoff, Experiment, Image, ScoreKind, ScoreRun
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.cutoffs import CutoffChoice
from labeling.services.gallery import Page, people_with_labels, read_page
from labeling.services.image_filters import (
    DEFECTS,
    LABELS,
    ROLES,
    SIDES,
    UNSCORED,
    ImageFilter,
    classes_of,
    in_words,
    meanings_of,
    read_value,
)
from labeling.services.image_masks import Gallery
from labeling.services.image_orders import BY_METRIC, PLACE, TITLES, WORST, Order, missing_for
from labeling.services.labels_at_once import MOST_AT_ONCE
from labeling.services.rules import Condition
from labeling.services.run_tables import RAW, Z, metric_choices, title_of
from labeling.views.access import requires
from labeling.views.asked import WAYS, choice_asked, run_asked, tile_frame

PAGE_TILES = 60
# What an address may say of scores and the rule, beside filters and order.
RULE = ("score", *WAYS, "also")
CHOICES = {"role": ROLES, "label": LABELS, "defect": DEFECTS, "side": SIDES}
MOST_SUGGESTIONS, MOST_CHOICES = 500, 100
# A form says this of itself: what was typed into it becomes part of the address, so that addresses are short.
OF_FORM = "form"


@dataclass(frozen=True)
class Address:
    """What an address of the gallery asks for."""

    wanted: ImageFilter
    order: Order
    rule: Mapping[str, list[str]]

    def query(self, *, after: int | None = None) -> str:
        """The query string that means it, from the first page on or behind an image."""
        entries = self.wanted.as_query() | self.order.as_query() | dict(self.rule)
        return f"?{urlencode(entries | ({'after': after} if after else {}), doseq=True)}"

    def asking(self, wanted: ImageFilter) -> str:
        """The query string of the same with other filters."""
        return replace(self, wanted=wanted).query()


@dataclass(frozen=True)
class Chip:
    """A value of a filter that is on, in words, and the address without it. `joined`: one more of the same filter."""

    name: str
    words: str
    without: str
    joined: bool


@require_GET
@requires(Action.LOOK)
def gallery(request: HttpRequest, pk: int) -> HttpResponse:
    """The page; for htmx the next tiles alone. What a form says becomes part of the address first."""
    experiment = get_object_or_404(Experiment.objects.prefetch_related("channels"), pk=pk)
    images, has_rule = _gallery_asked(request.GET, experiment)
    address = _address_asked(request.GET, images)
    if request.GET.get("find") or OF_FORM in request.GET:
        meant = meanings_of(request.GET.get("find", ""), images.table.wells, people_with_labels(images))
        if len(meant) == 1 or not request.GET.get("find"):
            return redirect(reverse("gallery", args=[pk]) + _with_form(address, request.GET, meant).query())
    else:
        meant = []
    page = read_page(images, address.wanted, address.order, limit=PAGE_TILES, after=_after(request.GET.get("after")))
    address = replace(address, order=page.order)
    context = tile_frame(request, experiment) | {"place": "review", "page": page}
    context["next"] = address.query(after=page.next) if page.next else ""
    if request.htmx:
        return render(request, "labeling/_gallery_tiles.html", context)
    channels = [channel.name for channel in experiment.channels.all()]
    context |= _form(images, address, channels) | _ways_on(address, page, channels)
    context["has_rule"] = has_rule
    context["matching"] = reverse("matching_images", args=[pk]) + address.query()
    context["find"] = request.GET.get("find", "")
    context["meant"] = [
        (in_words(name, read_value(name, text), channels), address.asking(address.wanted.with_value(name, text)))
        for name, text in meant
    ]
    return render(request, "labeling/gallery.html", context)


@require_GET
@requires(Action.LABEL)
def matching(request: HttpRequest, pk: int) -> JsonResponse:
    """What "all that match" selects, images of other pages as well: their places by id."""
    experiment = get_object_or_404(Experiment.objects.prefetch_related("channels"), pk=pk)
    images, _ = _gallery_asked(request.GET, experiment)
    ids = images.matching_ids(ImageFilter.parse(dict(request.GET.lists())))
    if len(ids) > MOST_AT_ONCE:
        raise BadValue(f"{len(ids):,} images match; filter them to {MOST_AT_ONCE:,} or fewer to label them at once.")
    found = Image.objects.filter(pk__in=ids.tolist()).with_place()
    return JsonResponse({"images": {image.pk: image.place for image in found}})


def _gallery_asked(asked: QueryDict, experiment: Experiment) -> tuple[Gallery, bool]:
    """The images with the scores and the rule asked for, else those in force; and whether one is saved."""
    run = run_asked(asked, experiment)
    if run is None:
        return Gallery.of(experiment), False
    saved = Cutoff.objects.current(run)
    choice = choice_asked(asked, run, CutoffChoice.of(saved) if saved else None)
    runs = ScoreRun.objects.defer("vector")
    blended = run if run.kind == ScoreKind.BLENDED else runs.latest_of(experiment, ScoreKind.BLENDED)
    return Gallery.of(experiment, run, choice, blended), saved is not None


def _address_asked(asked: QueryDict, images: Gallery) -> Address:
    wanted = ImageFilter.parse(dict(asked.lists()))
    name = asked.get("order") or (WORST if images.run else PLACE)
    more = {part: asked.get(part, "") for part in ("by", "seed", "until")}
    rule = {part: asked.getlist(part) for part in RULE if part in asked}
    return Address(wanted, Order.parse(name, **more), rule)


def _with_form(address: Address, asked: QueryDict, meant: list[tuple[str, str]]) -> Address:
    """The address with what was typed: a word of which the meaning is known, limits of a metric, an order by it."""
    wanted, order = address.wanted, address.order
    for name, text in meant:
        wanted = wanted.with_value(name, text)
    column, unit = asked.get("metric_column", ""), asked.get("unit", RAW)
    if asked.get("at_least") or asked.get("at_most"):
        within = Condition.of(column=column, unit=unit, low=asked.get("at_least"), high=asked.get("at_most"))
        wanted = wanted.with_value("metric", str(within))
    if asked.get("sort"):
        order = Order.parse(asked["sort"], by=f"{unit},{column}")
    return replace(address, wanted=wanted, order=order)


def _form(images: Gallery, address: Address, channels: list[str]) -> dict[str, object]:
    """What can be chosen, and what is on already and stays so."""
    wells, run = images.table.wells, images.run
    classes = classes_of(wells)
    suggestions = [*wells.barcodes, *(f"{one.field} {one.value}" for one in classes)]
    kept = address.wanted.as_query() | dict(address.rule)
    order_by = address.order.as_query().get("by", "")
    return {
        "run": run,
        "choice": images.choice,
        "n_images": len(images.table.image_ids),
        "plates": wells.barcodes,
        # A list of hundreds of compounds helps nobody: those are typed.
        "classes": classes if len(classes) <= MOST_CHOICES else [],
        "people": people_with_labels(images),
        "suggestions": suggestions[:MOST_SUGGESTIONS],
        "choices": {name: [(one, in_words(name, one, channels)) for one in CHOICES[name]] for name in CHOICES},
        "metrics": metric_choices(images.experiment, run) if run else {},
        "units": [(RAW, "as measured"), (Z, "robust z")],
        "orders": [(name, title, missing_for(name, images)) for name, title in TITLES.items()],
        "order": address.order,
        "order_by": order_by,
        "order_title": _title_of(address.order, channels),
        "kept": [(name, value) for name, values in kept.items() for value in values],
    }


def _ways_on(address: Address, page: Page, channels: list[str]) -> dict[str, object]:
    """Chips that take filters off, and the addresses the page leads to."""
    wanted, order = address.wanted, address.order
    unscored = wanted.without("metric").without("side").with_value("side", UNSCORED)
    return {
        "chips": list(_chips(address, channels)),
        "first_page": address.query(),
        "no_filter": address.asking(ImageFilter()),
        "another_sample": replace(address, order=replace(order, seed=order.seed + 1)).query(),
        "unscored": replace(address, wanted=unscored, order=Order(PLACE)).query(),
        "rule_query": f"?{urlencode(address.rule, doseq=True)}" if address.rule else "",
        "instead": [
            (
                n,
                " or ".join(in_words(name, value, channels) for value in getattr(wanted, name)),
                address.asking(wanted.without(name)),
            )
            for name, n in page.instead
        ],
    }


def _chips(address: Address, channels: list[str]) -> Iterator[Chip]:
    wanted = address.wanted
    for name in wanted.used:
        for n, value in enumerate(getattr(wanted, name)):
            yield Chip(name, in_words(name, value, channels), address.asking(wanted.without(name, value)), n > 0)


def _title_of(order: Order, channels: list[str]) -> str:
    if order.metric is None:
        return TITLES[order.name]
    _, column = order.metric
    return f"{BY_METRIC[order.name].removesuffix(' first')} {title_of(column, channels)} first"


def _after(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isdecimal() and int(text) < 2**63):
        raise BadValue(f"There is no image {text!r} to go on from; reload the page.")
    return int(text)
