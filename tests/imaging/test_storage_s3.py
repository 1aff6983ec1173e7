"""Plates in a bucket, from a real S3 server on 127.0.0.1, and what is said when it refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import numpy as np
import pytest
import s3fs

from imaging.__main__ import main
from imaging.executor import run_in_chunks
from imaging.layouts import SourceError, list_source, read_layout
from imaging.reading import UnreadableImage, inspect, read_plane
from imaging.reading import s3 as storage
from tests.buckets import BUCKET
from tests.imaging.test_layouts_ome import zarr_plate
from tests.labeling.plates_on_disk import name_of, pixels

BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
LAYOUTS = "layouts"
REFUSED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@pytest.fixture
def anonymous(account, monkeypatch) -> None:
    """Somebody without any."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


class Moody(BaseHTTPRequestHandler):
    """A proxy in front of the server that first refuses some requests."""

    protocol_version = "HTTP/1.1"
    target = ""
    refusals: list[tuple[int, bytes]] = []
    seen: list[dict[str, str]] = []
    forever: tuple[int, bytes] | None = None

    def answer(self) -> None:
        cls = type(self)
        cls.seen.append(dict(self.headers))
        refusal = cls.forever or (cls.refusals.pop(0) if cls.refusals else None)
        if refusal is not None:
            status, body = refusal
            if not status:
                self.connection.close()  # as a storage that resets the connection
                self.close_connection = True
                return
            headers = [("Content-Type", "application/xml")]
        else:
            onward = HTTPConnection(cls.target.removeprefix("http://"))
            onward.request(self.command, self.path, headers=dict(self.headers))
            reply = onward.getresponse()
            status, body = reply.status, reply.read()
            dropped = {"transfer-encoding", "content-length", "connection", "server", "date"}
            headers = [(name, value) for name, value in reply.getheaders() if name.lower() not in dropped]
            length = reply.getheader("Content-Length")
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        is_head = self.command == "HEAD"
        self.send_header("Content-Length", (length or "0") if is_head and refusal is None else str(len(body)))
        self.end_headers()
        if not is_head:
            self.wfile.write(body)

    do_GET = do_HEAD = answer

    def log_message(self, *_arguments: object) -> None:
        """Nothing in the test's output."""


@pytest.fixture
def proxy(bucket_server, account, monkeypatch) -> Iterator[type[Moody]]:
    class Proxy(Moody):
        target, refusals, seen, forever = bucket_server, [], [], None

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{httpd.server_port}")
    yield Proxy
    httpd.shutdown()
    httpd.server_close()


def read_in_process(names: list[str]) -> list[tuple[str, int]]:
    """Pixels' hash and how many clients this process made for them."""
    return [(read_plane(f"s3://{BUCKET}/P1/{name}").sha256, len(s3fs.S3FileSystem._cache)) for name in names]


# Reading


def test_a_bucket_is_listed_and_read_like_a_folder(plate_in_bucket, account):
    listing = list_source(f"s3://{BUCKET}/P1")
    assert listing.images == [f"s3://{BUCKET}/P1/{path.name}" for path in sorted(plate_in_bucket.iterdir())]
    assert listing.source == list_source(f"s3://{BUCKET}/P1/").source == f"s3://{BUCKET}/P1"
    understood = read_layout(f"s3://{BUCKET}")
    assert (len(understood.planes), understood.channels) == (8, ["DNA", "ER"])
    uri, path = f"s3://{BUCKET}/P1/{name_of('B02', 1, 'DNA')}", plate_in_bucket / name_of("B02", 1, "DNA")
    assert inspect(uri) == inspect(str(path))
    np.testing.assert_array_equal(read_plane(uri).pixels, pixels(0))
    assert read_plane(uri).sha256 == read_plane(str(path)).sha256


def test_what_was_added_meanwhile_is_seen(plate_in_bucket, account):
    uri = f"s3://{BUCKET}/later"
    client = boto3.client("s3")
    for n in (1, 2):
        client.put_object(Bucket=BUCKET, Key=f"later/B02_P1_1_{n}_DNA_001.tif", Body=b"x")
        assert len(list_source(uri).images) == n
    for one in ("1", "2"):
        client.delete_object(Bucket=BUCKET, Key=f"later/B02_P1_1_{one}_DNA_001.tif")


def test_processes_read_side_by_side_with_one_client_each(plate_in_bucket, account):
    names = sorted(path.name for path in plate_in_bucket.iterdir())
    chunks = run_in_chunks(read_in_process, names, workers=2, chunk_size=2, when_crashed=lambda name: ("crashed", 0))
    found = [one for chunk in chunks for one in chunk]
    assert {sha256 for sha256, _ in found} == {read_plane(str(plate_in_bucket / name)).sha256 for name in names}
    assert {n_clients for _, n_clients in found} == {1}


def test_the_command_measures_a_bucket_as_its_local_copy(plate_in_bucket, account, tmp_path):
    assert main(["measure", f"s3://{BUCKET}/P1", str(tmp_path / "far"), "--workers", "1"]) == 0
    assert main(["measure", str(plate_in_bucket), str(tmp_path / "near"), "--workers", "1"]) == 0
    assert (tmp_path / "far").read_bytes() == (tmp_path / "near").read_bytes()


# With and without credentials


def test_credentials_of_the_environment_sign_requests(plate_in_bucket, proxy):
    list_source(f"s3://{BUCKET}/P1")
    assert proxy.seen
    assert all("Credential=AKIADUMMY/" in headers["Authorization"] for headers in proxy.seen)


def test_without_credentials_requests_are_anonymous(plate_in_bucket, anonymous, proxy):
    uri = f"s3://{BUCKET}/P1/{name_of('B02', 1, 'DNA')}"
    assert len(list_source(f"s3://{BUCKET}/P1").images) == 8
    np.testing.assert_array_equal(read_plane(uri).pixels, pixels(0))
    assert proxy.seen
    assert not any("Authorization" in headers for headers in proxy.seen)


def test_anonymous_can_be_asked_for(account, monkeypatch):
    assert not storage.is_anonymous()
    monkeypatch.setitem(storage.fsspec.config.conf, "s3", {"anon": "true"})
    assert storage.is_anonymous()


# Refusals


@pytest.mark.parametrize("refusal", [(503, BUSY), (0, b"")], ids=["slow down", "reset"])
def test_a_busy_storage_is_asked_again(plate_in_bucket, proxy, refusal):
    proxy.refusals += [refusal] * 2
    assert len(list_source(f"s3://{BUCKET}/P1").images) == 8
    proxy.refusals += [refusal] * 2
    np.testing.assert_array_equal(read_plane(f"s3://{BUCKET}/P1/{name_of('B02', 1, 'DNA')}").pixels, pixels(0))
    assert proxy.refusals == []


def test_a_missing_permission_is_named(plate_in_bucket, proxy):
    proxy.forever = 403, REFUSED
    sentence = "may not be read with this account's credentials; ask for the permissions s3:ListBucket and s3:GetObject"
    with pytest.raises(SourceError, match=f"s3://{BUCKET}/P1 {sentence} on the bucket {BUCKET}"):
        list_source(f"s3://{BUCKET}/P1")
    for read in (inspect, read_plane):
        with pytest.raises(UnreadableImage, match=sentence):
            read(f"s3://{BUCKET}/P1/a.tif")


def test_a_private_bucket_without_credentials_says_that_there_are_none(plate_in_bucket, anonymous, proxy):
    proxy.forever = 403, REFUSED
    with pytest.raises(SourceError, match="may not be read without credentials; set AWS_ACCESS_KEY_ID"):
        list_source(f"s3://{BUCKET}/P1")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("InvalidAccessKeyId", "does not accept this account's credentials"),
        ("SignatureDoesNotMatch", "does not accept this account's credentials"),
        ("ExpiredToken", "have expired; renew them"),
    ],
)
def test_wrong_credentials_are_told_from_a_missing_permission(plate_in_bucket, proxy, code, words):
    proxy.forever = 403, f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    with pytest.raises(SourceError, match=words):
        list_source(f"s3://{BUCKET}/P1")


def test_a_bucket_that_is_not_there_is_named(account, plate_in_bucket):
    with pytest.raises(SourceError, match="is in a bucket that is not there \\(plaets\\); check the address"):
        list_source("s3://plaets/P1")
    with pytest.raises(SourceError, match=f"There is nothing at s3://{BUCKET}/P9"):
        list_source(f"s3://{BUCKET}/P9")
    with pytest.raises(SourceError, match="is a file; give the folder"):
        list_source(f"s3://{BUCKET}/P1/{name_of('B02', 1, 'DNA')}")
    with pytest.raises(UnreadableImage, match="is not there"):
        read_plane(f"s3://{BUCKET}/P1/gone.tif")


def test_a_storage_that_does_not_answer_is_told(account, monkeypatch):
    monkeypatch.setattr(storage, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match="the storage does not answer"):
        list_source(f"s3://{BUCKET}/P1")


# Index files and Zarr


def upload(folder: Path, prefix: str) -> str:
    """The folder's files in another bucket; returns their address."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=LAYOUTS)
    for path in folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), LAYOUTS, f"{prefix}/{path.relative_to(folder).as_posix()}")
    return f"s3://{LAYOUTS}/{prefix}"


@pytest.mark.parametrize("layout", ["cv8000", "imagexpress-exported-9987", "operetta-phenix"])
def test_index_files_of_a_bucket_say_what_they_say_in_a_folder(shared, account, layout):
    folder = shared / "data" / "layouts" / layout
    far, near = read_layout(upload(folder, layout)), read_layout(str(folder))
    assert far.layout is near.layout

    def places(understood, root: str) -> list[tuple[object, ...]]:
        return [
            (one.uri.removeprefix(root), one.plate, one.well, one.site, one.channel, one.timepoint, one.z, one.page)
            for one in understood.planes
        ]

    assert places(far, f"s3://{LAYOUTS}/{layout}") == places(near, str(folder))
    assert [one.place for one in far.refused] == [one.place for one in near.refused]
    assert inspect(far.planes[0].uri) == inspect(near.planes[0].uri)


@pytest.mark.parametrize("version", [2, 3])
def test_an_ome_zarr_plate_of_a_bucket_is_read(tmp_path, account, version):
    folder = zarr_plate(tmp_path, version)
    far = read_layout(upload(folder, f"plate{version}.zarr")).planes
    near = read_layout(str(folder)).planes
    assert len(far) == len(near) == 24
    for there, here in list(zip(far, near, strict=True))[::7]:
        assert read_plane(there.uri, there.page).sha256 == read_plane(here.uri, here.page).sha256
