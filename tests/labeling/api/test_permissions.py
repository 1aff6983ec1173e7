"""Every call meets the cast; what is expected comes from the one table of permissions."""

import pytest
from django.urls import get_resolver

from labeling.models import AuditEvent, Label
from labeling.roles import PERMISSIONS, Action, Role
from tests.factories import add_blended_scores

# Each call with what it needs. `{e}`, `{q}`, `{j}` and `{i}` are an experiment, its draft QC set, a job and an image.
CALLS = {
    ("get", "schema/"): Action.LOOK,
    ("get", "experiments/"): Action.LOOK,
    ("post", "experiments/"): Action.INGEST,
    ("get", "experiments/{e}/"): Action.LOOK,
    ("post", "experiments/{e}/ingest/"): Action.INGEST,
    ("post", "experiments/{e}/import-metrics/"): Action.INGEST,
    ("post", "experiments/{e}/measure/"): Action.INGEST,
    ("post", "experiments/{e}/platemap/"): Action.INGEST,
    ("post", "experiments/{e}/score/"): Action.SCORE,
    ("get", "experiments/{e}/images/"): Action.LOOK,
    ("get", "experiments/{e}/queue/"): Action.LOOK,
    ("post", "experiments/{e}/retrain/"): Action.RETRAIN,
    ("post", "experiments/{e}/apply-model/"): Action.RETRAIN,
    ("get", "experiments/{e}/models/"): Action.LOOK,
    ("get", "models/{m}/"): Action.LOOK,
    ("post", "models/{m}/promote/"): Action.PROMOTE,
    ("post", "models/{m}/retire/"): Action.PROMOTE,
    ("get", "experiments/{e}/metrics/"): Action.EXPORT,
    ("get", "experiments/{e}/scores/"): Action.EXPORT,
    ("get", "experiments/{e}/labels/"): Action.LOOK,
    ("get", "experiments/{e}/agreement/"): Action.LOOK,
    ("get", "experiments/{e}/cutoff-preview/"): Action.LOOK,
    ("get", "experiments/{e}/cutoffs/"): Action.LOOK,
    ("post", "experiments/{e}/cutoffs/"): Action.SET_CUTOFF,
    ("get", "experiments/{e}/qc-sets/"): Action.LOOK,
    ("post", "experiments/{e}/qc-sets/"): Action.DRAFT,
    ("get", "jobs/{j}/"): Action.LOOK,
    ("get", "images/{i}/similar/"): Action.LOOK,
    ("post", "labels/"): Action.LABEL,
    ("post", "labels/undo/"): Action.LABEL,
    ("get", "qc-sets/{q}/"): Action.LOOK,
    ("post", "qc-sets/{q}/sign/"): Action.SIGN,
    ("post", "qc-sets/{q}/withdraw/"): Action.WITHDRAW,
    ("post", "qc-sets/{q}/discard/"): Action.DRAFT,
    ("get", "qc-sets/{q}/export/"): Action.EXPORT,
    ("get", "audit/"): Action.READ_AUDIT,
}
ROLES = {
    "as_scientist": {Role.SCIENTIST},
    "as_data_scientist": {Role.DATA_SCIENTIST},
    "as_admin": {Role.ADMIN},
    "as_outsider": set(),
}


@pytest.fixture
def call(draft, scientist):
    """Make one of the calls; bodies are empty, which only those who may call it get to hear."""
    from labeling.models import Job

    job = Job.objects.create(experiment=draft.experiment, kind=Job.Kind.MEASURE, requested_by=scientist)
    model = add_blended_scores(draft.experiment, by=scientist).model_version

    def make(client, method, address):
        image = draft.experiment.images.first()
        address = address.format(e=draft.experiment_id, q=draft.pk, j=job.pk, m=model.pk, i=image.pk)
        return getattr(client, method)(f"/api/v1/{address}", format="json")

    return make


@pytest.mark.parametrize("person", ROLES)
@pytest.mark.parametrize(("method", "address"), CALLS)
def test_only_roles_in_the_table_get_through(request, call, person, method, address):
    response = call(request.getfixturevalue(person), method, address)
    needed = CALLS[method, address]
    if ROLES[person] & PERMISSIONS[needed]:
        assert response.status_code not in (401, 403), response.data
    else:
        assert response.status_code == 403
        assert response.json()["detail"] == f"You may not {needed.value}. Ask your admin for the role you need."


@pytest.mark.parametrize(("method", "address"), CALLS)
def test_nobody_gets_through_without_a_log_in(as_nobody, call, method, address):
    response = call(as_nobody, method, address)
    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["title"] == "Unauthorized"
    assert response["WWW-Authenticate"] == "Token"


def test_every_call_of_the_api_is_in_this_table():
    calls = {address.format(e=0, q=0, j=0, m=0, i=0) for _, address in CALLS}
    routes = {
        str(pattern.pattern)
        for included in get_resolver().url_patterns
        if str(included.pattern) == "api/v1/"
        for pattern in included.url_patterns
    }
    for name in ("experiment_id", "qc_set_id", "job_id", "model_id", "image_id"):
        routes = {route.replace(f"<int:{name}>", "0") for route in routes}
    assert routes - {"auth/token/"} == calls


def test_a_refused_call_changes_nothing(as_data_scientist, experiment):
    image = experiment.images.first()
    n_events = AuditEvent.objects.count()
    response = as_data_scientist.post("/api/v1/labels/", {"image": image.pk, "verdict": "bad"}, format="json")
    assert response.status_code == 403
    assert not Label.objects.exists()
    assert AuditEvent.objects.count() == n_events


def test_a_role_is_refused_before_it_learns_what_exists(as_outsider):
    assert as_outsider.get("/api/v1/experiments/99/").status_code == 403


def test_a_deactivated_person_gets_nothing(as_scientist, scientist, experiment):
    scientist.is_active = False
    assert as_scientist.get("/api/v1/experiments/").status_code == 403
