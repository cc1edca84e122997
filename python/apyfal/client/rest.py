"""The client of an accelerator on a host."""
from __future__ import annotations

from typing import Any

from apyfal import exceptions as _exc
from apyfal._arguments import text
from apyfal.client import AcceleratorClient

__all__ = ['RESTClient']


class RESTClient(AcceleratorClient):
    """Runs the jobs of an accelerator on a host. See `apyfal.client.AcceleratorClient`."""
    NAME = 'REST'
    REMOTE = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.name:
            raise _exc.ClientConfigurationException(
                "no accelerator is named: RESTClient('gzip', host_ip='192.0.2.1')")
        self._url = _url(self._config['host']['host_ip'])

    @property
    def url(self) -> str | None:
        """The URL of the host. Setting it makes the client use another host from its next start on."""
        try:
            hosts = self._core.hosts if self._core is not None else None
        except _exc.AcceleratorException:
            # It is that of the process that this one was forked from.
            return self._url
        if hosts:
            return hosts[0]
        made = None if self._host is None else self._host()
        return self._url if made is None else made.url

    @url.setter
    def url(self, url: str) -> None:
        if not url:
            raise _exc.ClientConfigurationException('Host URL is not valid.')
        self._choose(text(url, 'url'))
        self._url = _url(url)
        self._core = None

    @property
    def ssl_cert_crt(self) -> Any:
        """The certificate that the host is known by: a path; False for plain HTTP."""
        return self._config['host'].get_literal('ssl_cert_crt')

    def _accelerator(self) -> Any:
        if self._core is None and not self._config['host']['host_ip'] \
                and self._config._core.chosen()[0] is None:
            raise _exc.ClientConfigurationException(
                "no host is named: RESTClient(accelerator, host_ip='192.0.2.1')")
        return super()._accelerator()


def _url(host_ip: str | None) -> str | None:
    if not host_ip:
        return None
    return host_ip if '://' in host_ip else f'http://{host_ip}'
