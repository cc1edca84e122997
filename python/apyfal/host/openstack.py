"""Hosts on OpenStack."""
from __future__ import annotations

from apyfal.host._csp import CSPHost

__all__ = ['OpenStackHost']


class OpenStackHost(CSPHost):
    """A host on OpenStack.

    This version makes no machines there: it uses one that runs, by `host_ip`.
    """
    NAME = 'OpenStack'
    DOC_URL = 'https://www.openstack.org'

    _BUILT = False
