"""Every address meets the cast: who may enter, who is told why not, and who is asked to log in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from labeling.models import AuditEvent, Cutoff, Experiment, Job, Label, QCSet
from labeling.roles import Action, allowed
from tests.labeling.pages.conftest import CAST, client_of, text_of

# Name of the address: (method, what it is about, the permission it asks for).
ADDRESSES = {
    "experiments": ("get", None, Action.LOOK),
    "new_experiment": ("get", None, Action.INGEST),
    "new_from_table": ("get", None, Action.INGEST),
    "overview": ("get", "experiment", Action.LOOK),
    "progress": ("get", "experiment", Action.LOOK),
    "files": ("get", "experiment", Action.LOOK),
    "ingest": ("post", "experiment", Action.INGEST),
    "import_metrics": ("post", "experiment", Action.INGEST),
    "measure": ("post", "experiment", Action.INGEST),
    "platemap": ("post", "experiment", Action.INGEST),
    "display": ("post", "experiment", Action.SET_CUTOFF),
    "review": ("get", "experiment", Action.LOOK),
    "gallery": ("get", "experiment", Action.LOOK),
    "matching_images": ("get", "experiment", Action.LABEL),
    "plates": ("get", "experiment", Action.LOOK),
    "save_cutoff": ("post", "experiment", Action.SET_CUTOFF),
    "score_vector": ("get", "run", Action.LOOK),
    "metric_vector": ("get", "run", Action.LOOK),
    "label": ("post", "experiment", Action.LABEL),
    "undo_label": ("post", "experiment", Action.LABEL),
    "agreement": ("get", "experiment", Action.LOOK),
    "label_many": ("post", "experiment", Action.LABEL),
    "undo_many": ("post", "experiment", Action.LABEL),
    "tiles": ("get", "experiment", Action.LOOK),
    "images_of_well": ("get", "well", Action.LABEL),
    "qc_sets": ("get", "experiment", Action.LOOK),
    "draft_qc_set": ("post", "experiment", Action.DRAFT),
    "qc_set": ("get", "qc_set", Action.LOOK),
    "sign_qc_set": ("post", "qc_set", Action.SIGN),
    "withdraw_qc_set": ("post", "qc_set", Action.WITHDRAW),
    "discard_qc_set": ("post", "qc_set", Action.DRAFT),
    "qc_set_manifest": ("get", "qc_set", Action.EXPORT),
    "image": ("get", "image", Action.LOOK),
    "similar": ("get", "image", Action.LOOK),
    "thumbnail": ("get", "picture", Action.LOOK),
    "own_thumbnail": ("get", "picture", Action.LOOK),
    "full_image": ("get", "picture", Action.LOOK),
    "viewer": ("get", "image", Action.LOOK),
    "pixels": ("get", "plane", Action.LOOK),
    "audit": ("get", None, Action.READ_AUDIT),
    "audit_csv": ("get", None, Action.READ_AUDIT),
}
# Whoever has a log-in may read how it works, change their password and leave.
OF_EVERYBODY = {"help", "metrics_help", "password_change", "logout", "login"}


@pytest.fixture
def world(experiment, signed):
    image = experiment.images.first()
    return SimpleNamespace(
        experiment=[experiment.pk],
        run=[signed.run_id],
        qc_set=[signed.pk],
        image=[image.pk],
        well=[experiment.pk, image.well_id],
        plane=[image.pk, 0],
        picture=[image.pk, 1, "composite"],
    )


def send(client: Client, world, name: str):
    method, about, _ = ADDRESSES[name]
    address = reverse(name, args=getattr(world, about) if about else [])
    return getattr(client, method)(address)


def test_every_address_stands_in_the_matrix():
    import labeling.urls

    names = {pattern.name for pattern in labeling.urls.urlpatterns}
    assert names == set(ADDRESSES) | OF_EVERYBODY
    assert get_resolver().reverse_dict


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("who", CAST)
def test_the_cast_enters_where_their_role_lets_them(world, request, who, name):
    person = request.getfixturevalue(who)
    response = send(client_of(person), world, name)
    action = ADDRESSES[name][2]
    if allowed(person.roles, action):
        assert response.status_code != 403 or "You may not" not in text_of(response)
    else:
        assert response.status_code == 403
        assert f"You may not {action.value}. Ask your admin for the role you need." in text_of(response)


@pytest.mark.parametrize("name", ADDRESSES)
def test_who_is_not_logged_in_is_asked_to(world, name):
    response = send(Client(), world, name)
    assert response.status_code == 302
    assert response["Location"].startswith("/login/?next=/")


@pytest.mark.parametrize("name", [name for name, (method, _, _) in ADDRESSES.items() if method == "post"])
def test_who_may_not_changes_nothing(world, as_outsider, name):
    before = [model.objects.count() for model in (AuditEvent, Cutoff, Experiment, Job, Label)]
    send(as_outsider, world, name)
    assert [model.objects.count() for model in (AuditEvent, Cutoff, Experiment, Job, Label)] == before
    assert QCSet.objects.get().state == "approved"


@pytest.mark.parametrize(
    "name",  # to take images in, one is first shown a form at the same address
    [name for name, (method, _, _) in ADDRESSES.items() if method == "post" and name != "ingest"],
)
def test_changes_are_asked_for_with_post(world, as_scientist, name):
    assert as_scientist.get(reverse(name, args=getattr(world, ADDRESSES[name][1]))).status_code == 405


@pytest.mark.parametrize("name", [name for name, (method, _, _) in ADDRESSES.items() if method == "post"])
def test_a_form_of_another_site_is_refused(world, scientist, name):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(scientist)
    response = strict.post(reverse(name, args=getattr(world, ADDRESSES[name][1])))
    assert response.status_code == 403
    assert "You may not do this" in text_of(response)


@pytest.mark.parametrize("name", [name for name, (_, about, _) in ADDRESSES.items() if about])
def test_what_is_not_there_is_404(world, as_scientist, name):
    method, about, _ = ADDRESSES[name]
    unknown = [987654321, *getattr(world, about)[1:]]
    given = {"image": "1"} if "label" in name else {}
    response = getattr(as_scientist, method)(reverse(name, args=unknown), given)
    assert response.status_code == 404
    assert "There is nothing here" in text_of(response)


def test_a_deactivated_person_is_out_at_once(world, scientist):
    client = client_of(scientist)
    scientist.is_active = False
    scientist.save()
    assert send(client, world, "overview").status_code == 302


@pytest.mark.parametrize("who", CAST)
def test_everybody_may_read_how_it_works(request, who):
    response = client_of(request.getfixturevalue(who)).get("/help/")
    assert response.status_code == 200
    assert "How it works" in text_of(response)


def test_the_bar_offers_the_audit_to_admins_only(experiment, as_admin, as_scientist):
    assert 'href="/audit/"' in text_of(as_admin.get("/"))
    assert 'href="/audit/"' not in text_of(as_scientist.get("/"))
