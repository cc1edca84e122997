"""Hosts that are processes of this machine, to try out what hosts in clouds do."""
from __future__ import annotations

from apyfal.host._made import MadeHost

__all__ = ['SimHost']


class SimHost(MadeHost):
    """A host that is a process of this machine, with an address of its own.

    It costs nothing, and is told, contacted and given back as a machine in a cloud is.
    """
    NAME = 'sim'
