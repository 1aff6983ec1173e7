"""Draft, look through, sign, withdraw and hand over."""

from __future__ import annotations

import hashlib

import pytest

from labeling.models import AuditEvent, Image, QCSet, Signature
from labeling.services.labels import NewLabel, label_images
from labeling.services.qc_sets import draft_qc_set
from tests.conftest import PASSWORD
from tests.factories import make_experiment, make_scored_experiment, save_cutoff_at
from tests.labeling.conftest import MEANING
from tests.labeling.pages.conftest import HTMX, text_of, told


def index(client, experiment):
    return client.get(f"/experiments/{experiment.pk}/qc-sets/")


def detail(client, qc_set, query="", **options):
    return client.get(f"/qc-sets/{qc_set.pk}/{query}", **options)


def post(client, qc_set, what, **data):
    page = f"http://testserver/qc-sets/{qc_set.pk}/"
    return client.post(f"{page}{what}/", data, headers={"Referer": page}, follow=True)


# --- the list -------------------------------------------------------------------------------------------


def test_the_list_offers_the_next_step(scientist, as_scientist):
    experiment = make_experiment(scientist)
    assert "Nothing to decide yet" in text_of(index(as_scientist, experiment))
    scored = make_scored_experiment(scientist, name="Scored", plates=("9",))
    assert "No cutoff is saved yet" in text_of(index(as_scientist, scored))
    save_cutoff_at(scored, -0.5, by=scientist)
    assert "Make a draft" in text_of(index(as_scientist, scored))


def test_who_may_not_draft_is_not_offered_to(draft, as_data_scientist):
    assert "Make a draft" not in text_of(index(as_data_scientist, draft.experiment))


def test_the_list_shows_every_set_with_who_signed(signed, scientist, as_scientist):
    draft_qc_set(signed.experiment, by=scientist)
    response = index(as_scientist, signed.experiment)
    assert [qc_set.number for qc_set in response.context["qc_sets"]] == [2, 1]
    assert "Grace Plate" in text_of(response)
    assert "nobody" in text_of(response)


def test_the_list_costs_the_same_for_many_sets(draft, scientist, as_scientist, django_assert_num_queries):
    for _ in range(3):
        draft_qc_set(draft.experiment, by=scientist)
        with django_assert_num_queries(15):
            index(as_scientist, draft.experiment)


def test_a_draft_is_made_with_a_button(experiment, scientist, as_scientist):
    save_cutoff_at(experiment, -0.55, by=scientist)
    response = as_scientist.post(f"/experiments/{experiment.pk}/qc-sets/draft/")
    assert response["Location"] == f"/qc-sets/{QCSet.objects.get().pk}/"


def test_a_draft_without_a_cutoff_is_told_on_the_page(experiment, as_scientist):
    page = f"http://testserver/experiments/{experiment.pk}/qc-sets/"
    response = as_scientist.post(f"{page}draft/", headers={"Referer": page}, follow=True)
    assert told(response) == ["No cutoff is saved for these scores yet. Save one in Review first."]


# --- one set --------------------------------------------------------------------------------------------


def test_a_set_shows_each_part_with_its_reasons(experiment, scientist, as_scientist):
    save_cutoff_at(experiment, -0.55, by=scientist)
    images = list(experiment.images.order_by("id"))
    label_images([NewLabel(images[0].pk, "bad"), NewLabel(images[1].pk, "good")], by=scientist)
    Image.objects.filter(pk=images[2].pk).update(state="failed", problem="ER is all zero")
    qc_set = draft_qc_set(experiment, by=scientist)
    counts = {name: n for name, _, n in detail(as_scientist, qc_set).context["parts"]}
    assert (counts["out-label"], counts["in-label"], counts["out-error"]) == (1, 1, 1)
    assert sum(counts.values()) == 12
    for part, reason in {
        "out-label": "labelled bad by Grace Plate",
        "in-label": "labelled good by Grace Plate",
        "out-error": "ER is all zero",
        "in-score": "is not below the cutoff",
        "out-score": "is below the cutoff",
    }.items():
        response = detail(as_scientist, qc_set, f"?part={part}")
        assert len(response.context["decisions"]) == counts[part]
        assert counts[part] == 0 or reason in text_of(response)


def test_a_part_is_walked_page_after_page(scientist, as_scientist):
    experiment = make_scored_experiment(scientist, rows=8, columns=10, sites=2)
    save_cutoff_at(experiment, -2, by=scientist)
    qc_set, seen, after = draft_qc_set(experiment, by=scientist), [], 0
    while after is not None:
        response = detail(as_scientist, qc_set, f"?part=in-score&after={after}", headers=HTMX)
        seen += [decision.image_id for decision, _ in response.context["decisions"]]
        after = response.context["next"]
    assert seen == list(experiment.images.order_by("id").values_list("id", flat=True))


def test_htmx_gets_the_decisions_alone(draft, as_scientist):
    shown = text_of(detail(as_scientist, draft, "?part=in-score", headers=HTMX))
    assert shown.lstrip().startswith('<div class="decision">')
    assert "<html" not in shown


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?part=ugly", "There is no part called 'ugly' in a set."),
        ("?after=x", "This page of the set does not exist; open the set again."),
        ("?after=-1", "This page of the set does not exist"),
        ("?after=²", "This page of the set does not exist"),
        (f"?after={10**30}", "This page of the set does not exist"),
    ],
)
def test_a_bad_value_gives_a_sentence(draft, as_scientist, query, sentence):
    response = detail(as_scientist, draft, query, headers=HTMX)
    assert response.status_code == 400
    assert sentence in text_of(response)


def test_a_discarded_set_is_shown_empty(draft, scientist, as_scientist):
    draft_qc_set(draft.experiment, by=scientist)
    assert "No image is in this part." in text_of(detail(as_scientist, draft))


def test_a_set_costs_the_same_for_many_images(scientist, as_scientist, django_assert_num_queries):
    for columns in (3, 9):
        experiment = make_scored_experiment(scientist, name=str(columns), plates=(str(columns),), columns=columns)
        save_cutoff_at(experiment, -0.5, by=scientist)
        qc_set = draft_qc_set(experiment, by=scientist)
        with django_assert_num_queries(17):
            detail(as_scientist, qc_set)


# --- signing --------------------------------------------------------------------------------------------


def test_a_set_is_signed_with_a_plain_form(draft, scientist, as_scientist):
    response = post(as_scientist, draft, "sign", password=PASSWORD, meaning=MEANING)
    signature = Signature.objects.get()
    assert (signature.by, signature.meaning) == (scientist, MEANING)
    assert told(response) == ["Signed by Grace Plate. The set is frozen."]
    for text in ("Grace Plate", MEANING, signature.manifest_sha256, "Download CSV manifest"):
        assert text in text_of(response)


def test_a_meaning_in_ones_own_words_comes_first(draft, as_scientist):
    post(as_scientist, draft, "sign", password=PASSWORD, meaning=MEANING, own_meaning=" I looked at all of them. ")
    assert Signature.objects.get().meaning == "I looked at all of them."


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"password": "guess", "meaning": MEANING}, "The password is not right. Nothing was signed."),
        ({"meaning": MEANING}, "The password is not right. Nothing was signed."),
        ({"password": PASSWORD}, "Say what your signature means, for example:"),
    ],
)
def test_what_cannot_be_signed_is_told_on_the_page(draft, as_scientist, data, sentence):
    assert told(post(as_scientist, draft, "sign", **data))[0].startswith(sentence)
    draft.refresh_from_db()
    assert draft.state == "draft"
    assert PASSWORD not in str(list(AuditEvent.objects.values()))


def test_a_stale_draft_offers_a_new_one_and_no_signature(draft, scientist, as_scientist):
    label_images([NewLabel(draft.experiment.images.first().pk, "bad")], by=scientist)
    shown = text_of(detail(as_scientist, draft))
    assert "This draft is out of date: 1 label was given" in shown
    assert "Make a new draft" in shown
    assert 'name="password"' not in shown
    assert told(post(as_scientist, draft, "sign", password=PASSWORD, meaning=MEANING))[0].startswith(
        "This draft is out"
    )


def test_who_may_not_sign_is_not_offered_to(draft, as_admin, as_data_scientist):
    for client in (as_admin, as_data_scientist):
        assert 'name="password"' not in text_of(detail(client, draft))


def test_a_draft_is_discarded_with_a_button(draft, as_scientist):
    response = post(as_scientist, draft, "discard")
    assert response.redirect_chain == [(f"/experiments/{draft.experiment_id}/qc-sets/", 302)]
    draft.refresh_from_db()
    assert draft.state == "discarded"


# --- afterwards -----------------------------------------------------------------------------------------


def test_a_set_is_withdrawn_with_a_reason(signed, as_admin):
    response = post(as_admin, signed, "withdraw", reason="wrong plate map")
    assert told(response) == ["The set is withdrawn. It stays readable, with your reason."]
    assert "Withdrawn by Alan Trail" in text_of(response)
    assert "wrong plate map" in text_of(response)


def test_a_withdrawal_without_a_reason_is_told_on_the_page(signed, as_scientist):
    sentence = "Say why the set is withdrawn; people who trained on it will ask."
    assert told(post(as_scientist, signed, "withdraw", reason=" ")) == [sentence]
    signed.refresh_from_db()
    assert signed.state == "approved"


def test_a_superseded_set_leads_to_the_one_after_it(signed, scientist, as_scientist):
    second = draft_qc_set(signed.experiment, by=scientist)
    post(as_scientist, second, "sign", password=PASSWORD, meaning=MEANING)
    assert f'Superseded by <a href="/qc-sets/{second.pk}/">set 2</a>' in text_of(detail(as_scientist, signed))
    assert "supersedes set 1" in text_of(detail(as_scientist, second))


def test_the_manifest_handed_over_is_what_was_signed(signed, as_data_scientist, data_scientist):
    response = as_data_scientist.get(f"/qc-sets/{signed.pk}/manifest.csv")
    assert hashlib.sha256(response.getvalue()).hexdigest() == signed.manifest_sha256 == response["X-Manifest-SHA256"]
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="qc-set-{signed.pk}-approved.csv"'
    event = AuditEvent.objects.get(action="qc_set.exported")
    assert (event.actor, event.object_id) == (data_scientist, signed.pk)


def test_a_draft_is_not_handed_over(draft, as_data_scientist):
    response = as_data_scientist.get(f"/qc-sets/{draft.pk}/manifest.csv")
    assert response.status_code == 409
    assert "A draft is not handed over: sign it first." in text_of(response)
