"""What every test may use: real plates where they are, and a small cast of people."""

import os
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from hypothesis import settings as hypothesis_settings

from cellqc.environment import flag
from tests.buckets import account, bucket_server, plate_in_bucket  # noqa: F401 -- fixtures

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("CELLQC_SHARED", ROOT.parent / "shared")).resolve()
# The same examples every time: a test that fails today fails tomorrow.
hypothesis_settings.register_profile("same examples", derandomize=True, deadline=None)
hypothesis_settings.load_profile("same examples")
# Exporting the network takes torch and some seconds: tests that want it turn it on. The environment is for processes
# that tests start: here the settings were read before this file.
os.environ.setdefault("CELLQC_EMBEDDINGS", "0")
django_settings.EMBEDDINGS = flag("CELLQC_EMBEDDINGS")
PASSWORD = "plates and wells 384"
JSONB = 3802  # PostgreSQL's number of the type


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real plates and CellProfiler values; tests that ask for it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"real plates are not at {SHARED}; set CELLQC_SHARED to the folder that holds data/")
    return SHARED


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request):
    """Two test runs at once can share a server when each names its own database; each process of a run has its own."""
    from django.conf import settings

    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = os.environ.get("CELLQC_TEST_DATABASE", "test_cellqc")
    request.getfixturevalue("django_db_modify_db_settings_parallel_suffix")


@pytest.fixture(scope="session", autouse=True)
def _flush_past_triggers():
    """Tests with real transactions end by emptying every table, which our append-only tables refuse.

    That emptying, and nothing else, goes past the triggers (it takes a superuser of the database, as the embedded
    one is), and the roles a migration made are put back. A page that was closed may still have a request in the
    server: the two can wait for each other, and the request is the one to give up, not the emptying.
    """
    from django.contrib.auth.models import Group
    from django.db import connection
    from django.test import TransactionTestCase

    from labeling.roles import Role

    flush = TransactionTestCase._fixture_teardown

    def flush_past_triggers(case: TransactionTestCase) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("SET deadlock_timeout = '5min'")  # whoever waits this long looks who has to give up
        try:
            flush(case)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = origin")
                cursor.execute("RESET deadlock_timeout")
        for role in Role:
            Group.objects.get_or_create(name=role.value)

    TransactionTestCase._fixture_teardown = flush_past_triggers
    yield
    TransactionTestCase._fixture_teardown = flush


@pytest.fixture(autouse=True)
def _of_its_own(settings, tmp_path):
    """Each test has a place for its thumbnails, static files without collecting them, and quick passwords."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def _person(username: str, first_name: str, last_name: str, role: str | None):
    from django.contrib.auth.models import Group

    from labeling.models import User

    user = User.objects.create_user(
        username, f"{username}@lab.example", PASSWORD, first_name=first_name, last_name=last_name
    )
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


@pytest.fixture
def scientist(db):
    return _person("grace", "Grace", "Plate", "scientist")


@pytest.fixture
def second_scientist(db):
    return _person("rosa", "Rosa", "Well", "scientist")


@pytest.fixture
def data_scientist(db):
    return _person("donna", "Donna", "Tensor", "data scientist")


@pytest.fixture
def admin(db):
    return _person("alan", "Alan", "Trail", "admin")


@pytest.fixture
def outsider(db):
    """Somebody with a log-in and no role."""
    return _person("otto", "Otto", "Side", None)


@pytest.fixture
def experiment(scientist):
    """Twelve scored images of one plate: 6 wells, 2 sites, no cutoff saved."""
    from tests.factories import make_scored_experiment

    return make_scored_experiment(scientist)


@pytest.fixture
def worker(db, monkeypatch):
    """The real worker, kept inside the test's thread and transaction: call it to do all that is queued."""
    import json

    import procrastinate.utils
    from asgiref.sync import async_to_sync, sync_to_async
    from django.db import connections
    from procrastinate.contrib.django import app
    from procrastinate.contrib.django.django_connector import DjangoConnector
    from procrastinate.contrib.django.models import ProcrastinateJob

    class TestConnector(DjangoConnector):
        def _dictfetch(self, cursor):
            """Django's connections leave JSON as text; the worker's own decode it."""
            texts = {column.name for column in cursor.description if column.type_code == JSONB}
            for row in super()._dictfetch(cursor):
                yield row | {name: json.loads(row[name]) for name in texts if row[name] is not None}

    async def in_this_thread(function, *arguments, **options):
        return await sync_to_async(function, thread_sensitive=True)(*arguments, **options)

    monkeypatch.setattr(procrastinate.utils, "sync_to_async", in_this_thread)
    # Before and after each job connections are closed; this one is the test's transaction.
    monkeypatch.setattr(connections["default"], "close_if_unusable_or_obsolete", lambda: None)

    def work() -> None:
        with app.replace_connector(TestConnector()) as worker_app:
            while ProcrastinateJob.objects.filter(status="todo").exists():
                async_to_sync(worker_app.run_worker_async)(
                    wait=False, listen_notify=False, install_signal_handlers=False
                )

    return work
