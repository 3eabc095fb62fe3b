"""The store that the settings name."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from weir_core.config import Settings
from weir_core.stores.contract import ObjectStore
from weir_core.stores.folder import FolderStore
from weir_core.stores.s3 import S3Store
from weir_core.stores.s3_bucket import Access


def open_store(settings: Settings) -> ObjectStore:
    """The bucket of `WEIR_STORE`, else the data folder; stops where what S3 needs is not installed."""
    if not settings.store:
        return FolderStore(settings.data_dir)
    if find_spec("botocore") is None:
        raise SystemExit("WEIR_STORE names a bucket, and that needs: pip install 'weir-server[s3]'")
    parts = urlsplit(settings.store)
    access = Access(
        endpoint=settings.store_endpoint,
        region=settings.store_region,
        key_id=settings.store_key_id.get_secret_value(),
        secret=settings.store_secret.get_secret_value(),
    )
    return S3Store(parts.netloc, parts.path.strip("/"), access)
