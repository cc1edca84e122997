"""Object stores of OSS."""
from __future__ import annotations

from apyfal.storage import _Storage

__all__ = ['OSSStorage']


class OSSStorage(_Storage):
    """A store of OSS; see `apyfal.storage.mount`."""
    NAME = 'Alibaba'
    STORAGE_NAME = 'oss'
    DOC_URL = 'https://www.alibabacloud.com/product/oss'
