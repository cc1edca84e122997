"""The client of an accelerator on this machine."""
from __future__ import annotations

from typing import Any

from apyfal import exceptions as _exc
from apyfal.client import AcceleratorClient

__all__ = ['SysCallClient']


class SysCallClient(AcceleratorClient):
    """Runs the jobs of an accelerator on this machine. See `apyfal.client.AcceleratorClient`."""
    NAME = 'SysCall'

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A host that the configuration names is not what was asked for.
        for section in ('host', *(name for name in self._config if name.startswith('host.'))):
            self._config._core.unset(section, 'host_ip')
            self._config._core.unset(section, 'host_type')

    def _choose(self, host_ip: str) -> None:
        raise _exc.ClientConfigurationException(
            f"a client of type 'SysCall' runs on this machine, not on host_ip '{host_ip}': use type 'REST'")
