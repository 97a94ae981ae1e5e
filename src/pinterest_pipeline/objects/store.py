"""Opens an object store by its URL."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore.store import AzureStore, GCSStore, S3Store
from obstore.store import ObjectStore as Obstore
from pydantic import SecretStr

from pinterest_pipeline.config import ObjectSettings
from pinterest_pipeline.errors import Forbidden
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.folder import FolderStore
from pinterest_pipeline.objects.remote import RemoteStore

_RETRIES = 1_000  # the time is what counts
_SILENT_SECONDS = 1.0
"""How long obstore tries by itself; it says nothing meanwhile."""


def open_store(settings: ObjectSettings, default: Path) -> ObjectStore:
    """The store of `settings.url`, or the folder `default` when that is empty. No request is made yet."""
    if not settings.url:
        return FolderStore(default)
    parts = urlsplit(settings.url)
    if parts.scheme == "file":
        return FolderStore(Path(unquote(parts.path)))
    options: dict[str, Any] = {
        "client_options": {
            "timeout": timedelta(seconds=settings.timeout_seconds),
            "allow_http": settings.endpoint.startswith("http://"),
        },
        "retry_config": {
            "max_retries": _RETRIES,
            "backoff": {"max_backoff": timedelta(seconds=5)},
            "retry_timeout": timedelta(seconds=min(settings.retry_seconds, _SILENT_SECONDS)),
        },
    }
    prefix = parts.path.strip("/") or None
    if parts.scheme == "gs":
        store: Obstore = GCSStore(parts.netloc, prefix=prefix, **options)
    elif parts.scheme == "az":
        container, _, below = (prefix or "").partition("/")
        store = AzureStore(container, prefix=below or None, account_name=parts.netloc, **options)
    else:
        store = S3Store(parts.netloc, prefix=prefix, **options, **_s3_options(settings))
    return RemoteStore(store, settings.url, settings.retry_seconds, settings.endpoint)


def _s3_options(settings: ObjectSettings) -> dict[str, Any]:
    """What S3 alone takes; obstore reads what is left out from AWS's own environment variables."""
    options: dict[str, Any] = {}
    if settings.endpoint:
        options["aws_endpoint_url_s3"] = settings.endpoint
    if settings.region:
        options["region"] = settings.region
    if settings.access_key_id:
        assert settings.secret_access_key is not None
        provider: Any = _Keys(settings.access_key_id, settings.secret_access_key)
    else:
        provider = _aws_chain()
    if provider is not None:
        options["credential_provider"] = provider
    return options


class _Keys:
    """Gives obstore the keys of the settings; a session token of the environment belongs to other keys."""

    def __init__(self, access_key_id: str, secret_access_key: SecretStr) -> None:
        self._access_key_id = access_key_id
        self._secret_access_key = secret_access_key

    def __call__(self) -> dict[str, Any]:
        return {
            "access_key_id": self._access_key_id,
            "secret_access_key": self._secret_access_key.get_secret_value(),
            "token": None,
            "expires_at": None,
        }


def _aws_chain() -> Any:
    """AWS's whole chain where boto3 is installed; else None: obstore asks environment, container, machine."""
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ModuleNotFoundError:
        return None
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped] # it has no types

    try:
        return Boto3CredentialProvider()
    except (ValueError, BotoCoreError) as error:
        raise Forbidden(
            f"no AWS credentials were found: {error}",
            "set PINPIPE_OBJECTS__ACCESS_KEY_ID and PINPIPE_OBJECTS__SECRET_ACCESS_KEY,"
            " AWS_PROFILE, or run 'aws sso login'",
        ) from None
