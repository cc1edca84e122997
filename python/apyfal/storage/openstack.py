"""Object stores of Swift."""
from __future__ import annotations

from apyfal.storage import _Storage

__all__ = ['SwiftStorage']


class SwiftStorage(_Storage):
    """A store of Swift; see `apyfal.storage.mount`."""
    NAME = 'OpenStack'
    STORAGE_NAME = 'swift'
    DOC_URL = 'https://docs.openstack.org/swift'
