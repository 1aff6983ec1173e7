"""Plates in S3 (or minio): how its client is set up, and what its refusals mean.

Credentials, region and endpoint come from where all AWS programs take them: AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role; AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3. Where there are no credentials at
all, requests are anonymous, as public buckets allow; FSSPEC_S3_ANON=true makes them so in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import fsspec

from imaging.reading.problems import UnreadableImage

PROTOCOLS = ("s3://", "s3a://")
# Of each request, with waits that double between them; s3fs does all of it again when asked to slow down.
ATTEMPTS = 5
NO_BUCKET = {"NoSuchBucket", "InvalidBucketName"}
NOT_ALLOWED = {"AccessDenied", "403", "AllAccessDisabled", "Forbidden"}
NOT_ACCEPTED = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity", "NotSignedUp"),
    *("AuthorizationHeaderMalformed", "InvalidClientTokenId", "RequestTimeTooSkewed"),
}
EXPIRED = {"ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException", "RequestExpired"}
BUSY = {"SlowDown", "503", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded", "429"}


def is_s3(uri: str) -> bool:
    """Whether an address is S3's."""
    return uri.startswith(PROTOCOLS)


def options_of(uri: str) -> dict[str, Any]:
    """What the file system of an address is made with; nothing for those that are not S3."""
    if not is_s3(uri):
        return {}
    options: dict[str, Any] = {
        "config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": ATTEMPTS}},
        "use_listings_cache": False,  # a worker lives for weeks, and plates are copied meanwhile
    }
    if is_anonymous():
        options["anon"] = True
    return options


def is_anonymous() -> bool:
    """Whether requests are made without credentials."""
    chosen = fsspec.config.conf.get("s3", {})
    if "anon" in chosen:
        return str(chosen["anon"]).lower() in ("1", "true", "yes", "on")
    if "key" in chosen or "profile" in chosen:
        return False
    return not has_credentials(tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))))


@lru_cache(maxsize=8)
def has_credentials(_environment: tuple[tuple[str, str], ...]) -> bool:
    """Whether this account has any; asked once, because a computer outside AWS is a second finding out."""
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        return botocore.session.Session().get_credentials() is not None
    except BotoCoreError:  # a profile that is not there; the request itself will say so
        return True


@contextmanager
def refusals_told(uri: str) -> Iterator[None]:
    """Turn what S3 refuses into UnreadableImage; other errors pass."""
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:
        words = refusal(uri, error)
        if words is None:
            raise
        raise UnreadableImage(words, uri) from error


def refusal(uri: str, error: BaseException) -> str | None:
    """What S3's error means, as the words after a file's or source's name; None when it is another kind of error."""
    if not is_s3(uri):
        return None
    bucket = uri.split("://", 1)[1].split("/", 1)[0]
    code, kind = code_of(error), kinds_of(error)
    if code in NO_BUCKET:
        return f"is in a bucket that is not there ({bucket}); check the address"
    if code in EXPIRED:
        return "could not be read: this account's credentials for the storage have expired; renew them"
    if code in NOT_ACCEPTED:
        return (
            f"could not be read: the storage does not accept this account's credentials ({code}); check "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile"
        )
    if code in NOT_ALLOWED and is_anonymous():
        return (
            "may not be read without credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            "for the account cellqc runs as"
        )
    if code in NOT_ALLOWED:
        return (
            "may not be read with this account's credentials; ask for the permissions s3:ListBucket and s3:GetObject "
            f"on the bucket {bucket}"
        )
    if code in BUSY:
        return "could not be read: the storage kept asking to slow down; try again later"
    if kind & {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError"}:
        return "could not be read: this account's credentials for the storage are incomplete or cannot be had"
    if kind & {"HTTPClientError", "ConnectionError", "EndpointConnectionError", "FSTimeoutError"}:
        return "could not be read: the storage does not answer; try again, and check AWS_ENDPOINT_URL if it is set"
    return None


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def code_of(error: BaseException) -> str:
    """S3's own code of an error, empty when it is not from S3."""
    for one in chain_of(error):
        response = getattr(one, "response", None)
        if isinstance(response, dict) and "Error" in response:
            return str(response["Error"].get("Code", ""))
    return ""


def kinds_of(error: BaseException) -> set[str]:
    """The names of all classes of the error and its causes."""
    return {kind.__name__ for one in chain_of(error) for kind in type(one).__mro__}
