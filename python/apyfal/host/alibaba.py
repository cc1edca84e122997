"""Hosts on Alibaba."""
from __future__ import annotations

from apyfal.host._csp import CSPHost

__all__ = ['AlibabaCSP']


class AlibabaCSP(CSPHost):
    """A host on Alibaba.

    This version makes no machines there: it uses one that runs, by `host_ip`.
    """
    NAME = 'Alibaba'
    DOC_URL = 'https://www.alibabacloud.com'

    _BUILT = False
