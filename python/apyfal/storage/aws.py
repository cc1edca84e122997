"""Object stores of S3."""
from __future__ import annotations

from apyfal.storage import _Storage

__all__ = ['S3Storage']


class S3Storage(_Storage):
    """A store of S3; see `apyfal.storage.mount`."""
    NAME = 'AWS'
    STORAGE_NAME = 's3'
    DOC_URL = 'https://aws.amazon.com/s3/'
