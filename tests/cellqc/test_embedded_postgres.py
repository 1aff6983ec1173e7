"""The embedded PostgreSQL, tried with the real server in a folder of its own; also as root.

The processes that use it are processes here too: what is tested is what happens when they end.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cellqc import embedded_postgres
from cellqc.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, is_locked

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 20.0
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has the problem")

# A process that uses the database: it runs what it reads, line by line, and answers with JSON.
USER = """
import json, os, sys
from pathlib import Path
import psycopg
from cellqc.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

home, base = map(Path, sys.argv[1:])
server = EmbeddedPostgres(home, durable=False, linger_s=0.1, root_base=base)

def sql(query):
    settings = server.connection_settings()
    with psycopg.connect(
        host=settings["HOST"], port=settings["PORT"], user=settings["USER"], dbname=settings["NAME"]
    ) as connection:
        cursor = connection.execute(query)
        return cursor.fetchone()[0] if cursor.description else None

for line in sys.stdin:
    try:
        answer = eval(line)
    except EmbeddedPostgresError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


class User:
    """One process that uses the server of `server`."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(server.home), str(server.root_base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )

    def ask(self, expression: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the process ended with {self.process.wait()}"
        return json.loads(line)

    def start(self) -> "User":
        assert self.ask("server.ensure_running()") is None
        return self

    def sql(self, query: str) -> Any:
        return self.ask(f"sql({query!r})")

    def leave(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.leave()


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def has_stopped(server: EmbeddedPostgres) -> bool:
    locks = [server.place / name for name in ("keeper.lock", "server.lock")]
    return not any(path.exists() and is_locked(path) for path in locks)


def server_pid(server: EmbeddedPostgres) -> int | None:
    return server._server_pid()


def keeper_pid(server: EmbeddedPostgres) -> int:
    return int((server.place / "keeper.lock").read_text())


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not pytest's tmp_path: root's server runs as another account, which could not pass that folder."""
    path = Path(tempfile.mkdtemp(prefix="cellqc-test-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def embedded(project: Path, base: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(project / "var" / "postgres", durable=False, linger_s=0.1, root_base=base)


@pytest.fixture(scope="module")
def cluster(folder: Path) -> EmbeddedPostgres:
    """One database for the module (making one takes a second or two), below a closed project folder."""
    (folder / "project").mkdir(mode=0o700)
    return embedded(folder / "project", folder / "lib")


@pytest.fixture
def server(cluster: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    yield cluster
    eventually(lambda: has_stopped(cluster))


@pytest.fixture
def a_user(server: EmbeddedPostgres) -> Iterator[Callable[[], User]]:
    users: list[User] = []

    def make() -> User:
        users.append(User(server))
        return users[-1]

    yield make
    for user in users:
        user.kill()


def test_settings_start_and_write_nothing(folder: Path) -> None:
    home = folder / "untouched" / "var" / "postgres"
    settings = embedded_postgres.connection_settings(home)
    assert settings["NAME"] == settings["USER"] == "cellqc"
    assert settings["HOST"].startswith("/")
    assert not home.parent.parent.exists()


def test_it_answers_in_utf8_and_utc(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    user = a_user().start()
    assert user.sql("SELECT upper('plätze')") == "PLÄTZE"
    assert user.sql("SHOW timezone") == "UTC"
    assert user.sql("SHOW server_encoding") == "UTF8"
    assert user.sql("SHOW listen_addresses") == ""
    assert user.sql("SHOW fsync") == "off"  # durable=False


def test_durable_is_what_you_get_unasked() -> None:
    assert EmbeddedPostgres(Path("home")).durable


def test_second_start_finds_its_data(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    first = a_user().start()
    first.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    first.leave()
    eventually(lambda: has_stopped(server))
    assert not (server.data / "postmaster.pid").exists()  # it was shut down, not killed
    assert a_user().start().sql("SELECT answer FROM kept") == 42


def test_processes_share_one_server_until_the_last_ends(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    users = [a_user(), a_user(), a_user()]
    for user in users:  # all three start it at the same time
        assert user.process.stdin is not None
        user.process.stdin.write("server.ensure_running()\n")
        user.process.stdin.flush()
    for user in users:
        assert user.process.stdout is not None
        assert user.process.stdout.readline() == "null\n"
    begin = {user.sql("SELECT pg_postmaster_start_time()::text") for user in users}
    assert len(begin) == 1
    users[0].leave()
    users[1].leave()
    time.sleep(0.7)  # long past the linger: were it to stop too early, it would have done so
    assert {users[2].sql("SELECT pg_postmaster_start_time()::text")} == begin
    users[2].leave()
    eventually(lambda: has_stopped(server))


def test_forked_child_keeps_the_server(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    user = a_user().start()
    child = user.ask("os.fork() or __import__('time').sleep(600)")
    try:
        user.leave()
        time.sleep(0.7)
        assert server.is_ready()
    finally:
        os.kill(child, signal.SIGKILL)
    eventually(lambda: has_stopped(server))


def test_killed_app_stops_the_server_and_loses_nothing(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    user = a_user().start()
    user.sql("CREATE TABLE survived AS SELECT 7 AS answer")
    user.kill()
    eventually(lambda: has_stopped(server))
    assert a_user().start().sql("SELECT answer FROM survived") == 7


def test_killed_server_comes_back(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    user = a_user().start()
    user.sql("CREATE TABLE recovered AS SELECT 9 AS answer")
    user.sql("CHECKPOINT")  # the server is not durable here
    killed = server_pid(server)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: not server.is_ready() or server_pid(server) != killed)
    user.start()
    assert server_pid(server) != killed
    assert user.sql("SELECT answer FROM recovered") == 9


def test_server_killed_late_is_started_by_the_keeper(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    user = a_user().start()
    keeper, killed = keeper_pid(server), server_pid(server)
    assert killed is not None
    time.sleep(embedded_postgres.RESTART_AFTER_S)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: server_pid(server) not in (killed, None) and server.is_ready())  # nobody asked for it
    assert keeper_pid(server) == keeper
    assert user.sql("SELECT 1") == 1


def test_server_outlives_its_killed_keeper_and_is_adopted(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    first = a_user().start()
    pid, killed = server_pid(server), keeper_pid(server)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: not is_locked(server.place / "keeper.lock"))
    assert first.sql("SELECT 1") == 1
    a_user().start()
    assert is_locked(server.place / "keeper.lock")
    assert server_pid(server) == pid
    # The fixture then waits for the end: the second keeper must stop a server that is not its child.


def test_ctrl_c_reaches_neither_keeper_nor_server(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    user = a_user().start()
    for pid in (keeper_pid(server), server_pid(server)):
        assert pid is not None
        assert os.getsid(pid) != os.getsid(user.process.pid)
        assert os.getpgid(pid) != os.getpgid(user.process.pid)


def test_told_to_end_the_keeper_lets_users_finish(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    user = a_user().start()
    os.kill(keeper_pid(server), signal.SIGTERM)
    time.sleep(0.6)
    assert user.sql("SELECT 1") == 1
    user.leave()
    eventually(lambda: has_stopped(server))


def test_stale_pid_of_another_process_does_not_block_the_start(
    server: EmbeddedPostgres, a_user: Callable[[], User]
) -> None:
    a_user().start().leave()
    eventually(lambda: has_stopped(server))
    account = embedded_postgres.server_account()
    stranger = subprocess.Popen(["sleep", "600"], **account.popen_arguments())
    try:
        pid_file = server.data / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{server.data}\n1700000000\n5432\n\n\n  0 0\nready   \n")
        os.chown(pid_file, account.uid, account.gid)
        assert a_user().start().sql("SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_failure_shows_the_log_and_what_to_do(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    a_user().start().leave()
    eventually(lambda: has_stopped(server))
    settings = server.data / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("shared_buffers = 'nonsense'\n")
    try:
        error = a_user().ask("server.ensure_running()")["error"]
    finally:
        settings.write_text(before)
    assert 'invalid value for parameter "shared_buffers": "nonsense"' in error
    assert str(server.log) in error
    assert "DATABASE_URL" in error
    assert a_user().start().sql("SELECT 1") == 1


def test_data_of_another_version_is_refused_with_advice(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    a_user().start().leave()
    eventually(lambda: has_stopped(server))
    version = server.data / "PG_VERSION"
    before = version.read_text()
    version.write_text("9\n")
    try:
        error = a_user().ask("server.ensure_running()")["error"]
    finally:
        version.write_text(before)
    assert "was made with PostgreSQL 9" in error
    assert "pg_dump" in error


def test_no_folder_above_is_loosened(server: EmbeddedPostgres, a_user: Callable[[], User]) -> None:
    above = [server.home.parents[1], *server.home.parents[2:], *server.root_base.parents]
    before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in above]
    a_user().start()
    assert [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in above] == before
    account = embedded_postgres.server_account()
    assert account.uid != 0
    for closed in (server.data, server.socket_folder):
        assert embedded_postgres.is_private(closed, account.uid)
    assert server.home.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert server.data.resolve() == (server.home / "data").resolve()
        assert not any(path.stat().st_uid for path in server.place.glob("programs-*/**/*"))


@pytest.fixture
def elsewhere(folder: Path) -> Iterator[Callable[[str], EmbeddedPostgres]]:
    """Servers that a test makes for itself in a folder of that name."""
    made: list[EmbeddedPostgres] = []

    def make(name: str) -> EmbeddedPostgres:
        made.append(embedded(folder / name / "project", folder / name / "lib"))
        return made[-1]

    yield make
    for server in made:
        eventually(lambda server=server: has_stopped(server))
        if server.socket_folder.parent == Path("/tmp"):
            shutil.rmtree(server.socket_folder, ignore_errors=True)


def test_long_path_and_interrupted_first_start_do_no_harm(
    elsewhere: Callable[[str], EmbeddedPostgres],
) -> None:
    server = elsewhere("a, long name " + 80 * "x")
    server.home.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        server.home.parents[2].chmod(0o755)  # root's programs lie below it in this test
    server._prepare_folders()
    (server.place / "data.new" / "base").mkdir(parents=True)
    user = User(server)
    try:
        assert user.start().sql("SELECT 1") == 1
    finally:
        user.kill()
    assert embedded_postgres.is_private(server.socket_folder, embedded_postgres.server_account().uid)


def test_prepared_socket_folder_is_refused(elsewhere: Callable[[str], EmbeddedPostgres]) -> None:
    server = elsewhere(90 * "y")
    assert server.socket_folder.parent == Path("/tmp")
    server.socket_folder.mkdir()
    server.socket_folder.chmod(0o777)
    user = User(server)
    try:
        assert str(server.socket_folder) in user.ask("server.ensure_running()")["error"]
    finally:
        user.kill()
    assert not list(server.socket_folder.iterdir())


def test_database_in_use_on_another_machine_is_refused(elsewhere: Callable[[str], EmbeddedPostgres]) -> None:
    server = elsewhere("shared")
    server._prepare_folders()
    (server.place / "server.lock").write_text("login-node-2")
    there = embedded_postgres.open_lock(server.place / "server.lock")
    assert embedded_postgres.lock(there, embedded_postgres.fcntl.LOCK_EX)
    user = User(server)
    try:
        assert "(login-node-2)" in user.ask("server.ensure_running()")["error"]
    finally:
        user.kill()
        os.close(there)


def test_keeper_starts_nothing_for_nobody(elsewhere: Callable[[str], EmbeddedPostgres]) -> None:
    server = elsewhere("nobody")
    server._prepare_folders()
    assert server._spawn_keeper().wait(DEADLINE_S) == 0
    assert not server.data.exists()


def test_server_of_a_removed_folder_ends(elsewhere: Callable[[str], EmbeddedPostgres]) -> None:
    server = elsewhere("removed")
    user = User(server).start()
    pid = server_pid(server)
    server.place.rename(server.place.with_name("removed"))
    try:
        eventually(lambda: not Path(f"/proc/{pid}").exists())
    finally:
        user.kill()


@as_root
def test_root_does_not_touch_the_database_of_a_user(elsewhere: Callable[[str], EmbeddedPostgres]) -> None:
    server = elsewhere("theirs")
    server.home.mkdir(parents=True)
    os.chown(server.home, 65534, 65534)
    with pytest.raises(EmbeddedPostgresError, match="Run cellqc as nobody"):
        server.ensure_running()
    assert server.home.stat().st_uid == 65534
    assert not server.root_base.exists()


@as_root
def test_moved_project_is_not_given_an_empty_database(elsewhere: Callable[[str], EmbeddedPostgres]) -> None:
    server = elsewhere("moved")
    server.home.mkdir(parents=True)
    (server.home / "data").symlink_to("/var/lib/cellqc/before-0123456789/data")
    with pytest.raises(EmbeddedPostgresError, match=r"moved or copied.*mv -T /var/lib/cellqc/before-0123456789"):
        server.ensure_running()


@as_root
def test_root_without_useradd_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(embedded_postgres, "SYSTEM_ACCOUNT", "cellqc-no-such-account")
    with pytest.raises(EmbeddedPostgresError, match="Make an account named cellqc-no-such-account"):
        embedded_postgres.make_system_account()


DJANGO = """
import sys
from pathlib import Path
import django
from django.conf import settings
from cellqc.embedded_postgres import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]), durable=False, linger_s=0.1, root_base=Path(sys.argv[2]))
settings.configure(
    DATABASES={"default": {"ENGINE": "cellqc.embedded_backend", **server.connection_settings()}},
    INSTALLED_APPS=["django.contrib.contenttypes", "pgtrigger", "procrastinate.contrib.django"],
)
django.setup()

import psycopg
from django.db import connection
from procrastinate.contrib.django.utils import connector_params

# The worker's way: parameters from Django, connections of its own, none of Django's before.
with psycopg.connect(**connector_params()) as own:
    assert own.execute("SELECT current_database()").fetchone() == ("cellqc",)
assert connection.vendor == "postgresql"
name = connection.creation.create_test_db(verbosity=0)  # migrates the apps above too
with connection.cursor() as cursor:
    cursor.execute("SELECT current_database(), count(*) FROM procrastinate_jobs")
    print(*cursor.fetchone())
connection.creation.destroy_test_db("cellqc", verbosity=0)
"""


def test_django_and_procrastinate_start_it_by_connecting(server: EmbeddedPostgres) -> None:
    result = subprocess.run(
        [sys.executable, "-c", DJANGO, str(server.home), str(server.root_base)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert result.stdout.split() == ["test_cellqc", "0"], result.stderr
