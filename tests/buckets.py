"""A real S3 server on 127.0.0.1, with a plate in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from tests.labeling.plates_on_disk import write_plate

BUCKET = "plates"


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """The address of the server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def plate_in_bucket(bucket_server, tmp_path_factory) -> Path:
    """Four fields of two channels in this folder and, for everybody to read, in the bucket under P1/."""
    import boto3

    folder = write_plate(tmp_path_factory.mktemp("plate") / "P1")
    client = boto3.client(
        "s3", endpoint_url=bucket_server, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket=BUCKET, ACL="public-read")
    for path in folder.iterdir():
        client.upload_file(str(path), BUCKET, f"P1/{path.name}", ExtraArgs={"ACL": "public-read"})
    return folder


@pytest.fixture
def account(monkeypatch, tmp_path, bucket_server) -> Iterator[None]:
    """Somebody with credentials in the environment, and nothing of this computer's own."""
    import s3fs

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIADUMMY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket_server)
    s3fs.S3FileSystem.clear_instance_cache()
    # Measuring processes descend from one that started, with its environment, at the first plate of this test run.
    forkserver._forkserver._stop()
    yield
    forkserver._forkserver._stop()
    s3fs.S3FileSystem.clear_instance_cache()
