"""What holds for every page: nothing inline, a strict policy, a number to quote, problems in a sentence."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from labeling.models import AuditEvent, Image
from labeling.services.labels import NewLabel, label_images
from tests.labeling.pages.conftest import HTMX, client_of, text_of

INLINE = {
    "a script": re.compile(r"<script(?![^>]*\bsrc=)", re.I),
    "a style element": re.compile(r"<style\b", re.I),
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.I),
    "an event handler": re.compile(r"<[^>]*\s(?:on\w+|hx-on[:\w-]*)\s*=", re.I),
    "a javascript address": re.compile(r"(?:href|src|action)\s*=\s*[\"']?\s*javascript:", re.I),
    "something from elsewhere": re.compile(r"(?:src|href|action)\s*=\s*[\"'](?:https?:)?//", re.I),
}


def addresses(experiment, qc_set) -> list[str]:
    image = experiment.images.first().pk
    base = f"/experiments/{experiment.pk}/"
    return [
        "/",
        "/help/",
        "/password/",
        "/experiments/new/",
        base,
        f"{base}progress/",
        f"{base}files/",
        f"{base}review/",
        f"{base}review/?percent=30",
        f"{base}review/?band=good",
        f"{base}qc-sets/",
        f"/qc-sets/{qc_set.pk}/",
        f"/images/{image}/",
        "/audit/",
        "/audit/?since=never",
        "/nowhere/",
    ]


@pytest.fixture
def full(experiment, signed, scientist):
    """An experiment with something of everything, and names that would like to be markup."""
    first, second = experiment.images.all()[:2]
    label_images([NewLabel(first.pk, "bad", ("blur",), '<img src=x onerror="alert(1)">')], by=scientist)
    Image.objects.filter(pk=second.pk).update(state="failed", problem="<script>alert(2)</script>")
    experiment.name = '"><script>alert(3)</script>'
    experiment.save()
    return experiment


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
def test_no_page_has_anything_inline_whatever_people_type(full, signed, scientist, admin, headers):
    for client in (client_of(scientist), client_of(admin), Client()):
        for address in [*addresses(full, signed), "/login/"]:
            response = client.get(address, headers=headers)
            assert response.status_code < 500, address
            for what, pattern in INLINE.items():
                found = pattern.search(text_of(response))
                assert not found, f"{what} in {address}: {found and found.group()}"


def test_every_answer_carries_the_policy(full, signed, as_scientist, as_outsider):
    for client in (as_scientist, as_outsider, Client()):
        for address in addresses(full, signed):
            policy = client.get(address)["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy


def test_every_answer_has_a_number_that_stands_in_the_audit(experiment, as_scientist):
    first, second = as_scientist.get("/"), as_scientist.get("/")
    assert first["X-Request-Id"] != second["X-Request-Id"]
    response = as_scientist.post(
        f"/experiments/{experiment.pk}/labels/", {"image": experiment.images.first().pk, "verdict": "good"}
    )
    event = AuditEvent.objects.get(action="image.labelled")
    assert (event.request_id, event.origin, event.address) == (response["X-Request-Id"], "page", "127.0.0.1")


def test_pages_are_not_framed_and_types_not_guessed(experiment, as_scientist):
    response = as_scientist.get("/")
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"


# --- how a problem is told ------------------------------------------------------------------------------


def bad_label(client, experiment, **options):
    data = {"image": experiment.images.first().pk, "verdict": "ugly"}
    return client.post(f"/experiments/{experiment.pk}/labels/", data, **options)


SENTENCE = "Entry 1: &#x27;ugly&#x27; is no verdict; use good, bad or unsure."


def test_a_problem_has_a_page_of_its_own(experiment, as_scientist):
    response = bad_label(as_scientist, experiment)
    assert response.status_code == 400
    assert "That did not work" in text_of(response)
    assert SENTENCE in text_of(response)


def test_a_form_leads_back_to_its_page_with_the_problem(experiment, as_scientist):
    back = f"http://testserver/experiments/{experiment.pk}/review/?value=-0.55"
    response = bad_label(as_scientist, experiment, headers={"Referer": back})
    assert (response.status_code, response["Location"]) == (303, back)
    assert SENTENCE in text_of(as_scientist.get(back))


def test_a_form_does_not_lead_to_another_site(experiment, as_scientist):
    response = bad_label(as_scientist, experiment, headers={"Referer": "https://elsewhere.example/"})
    assert response.status_code == 400


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}, {"X-Requested-With": "fetch"}], ids=["htmx", "fetch"])
def test_a_script_gets_the_sentence_alone(experiment, as_scientist, headers):
    response = bad_label(as_scientist, experiment, headers=headers)
    assert response.status_code == 400
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert text_of(response) == "Entry 1: 'ugly' is no verdict; use good, bad or unsure."
