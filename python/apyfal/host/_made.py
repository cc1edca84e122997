"""Hosts that are made."""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from warnings import warn

from apyfal import _apyfal, _ending
from apyfal import configuration as _cfg
from apyfal import exceptions as _exc
from apyfal._arguments import text
from apyfal._literals import carried
from apyfal._logging import get_logger
from apyfal._program import program
from apyfal.client import AcceleratorClient
from apyfal.host import ONCE_KNOWN, Host

__all__ = ['MadeHost']

_STEPS = {
    'requested': 'Waiting instance provisioning...',
    'running': 'Waiting instance boot...',
    'ready': 'Host ready',
}
# What there may be in the requirements of an accelerator.
_NEEDS = {'accelerator', 'env', 'fpgaimage', 'image', 'instancetype'}
# Where hosts listen if nobody says otherwise: those in clouds, and others.
_PORTS = (443, 8000)


class MadeHost(Host):
    """A host that is made when it is started, and given back when it is stopped.

    The library does both, as the configuration says, to which what is given here is added.

    Args:
        instance_id: A machine that is there: it is used, and kept at the end unless a stop mode is said. One that this
            installation has not made is to be a host, made known by `apyfal host add`.
        instance_type: The type of machine; without it what the catalog says.
        image_id: The image of its disk; likewise.
        idle_timeout: How long it lives without jobs and clients: ``'30m'``, ``'none'``.
        max_lifetime: How long it lives in all.
        kwargs: As of `apyfal.host.Host`.
    """
    _INFO_NAMES = Host._INFO_NAMES | {
        'public_ip', 'private_ip', 'host_ip', 'region', 'instance_type', 'instance_type_name',
        'instance_id', 'key_pair', 'security_group', 'region_parameters'}

    def __init__(self, host_type: str | None = None, config: Any = None,
                 host_ip: str | None = None, stop_mode: str | int | None = None,
                 host_name_prefix: str | None = None, instance_id: str | None = None,
                 instance_type: str | None = None, image_id: str | None = None,
                 idle_timeout: str | None = None, max_lifetime: str | None = None,
                 **unknown: Any) -> None:
        for name, value in unknown.items() if self._BUILT else ():
            if value is not None and name not in ONCE_KNOWN:
                raise TypeError(f"hosts of type '{self.NAME}' take no '{name}'")
        self._client: AcceleratorClient | None = None
        self._ending: _ending.Ending | None = None
        # What is remembered of the machine.
        self._known: dict[str, Any] = {}
        self._next_step: str | None = None
        # What its accelerator needs of a machine.
        self._needs: dict[str, Any] = {}
        super().__init__(host_type, config, host_ip, stop_mode, host_name_prefix, **unknown)
        if self.NAME is not None:
            self._config['host']['host_type'] = self.NAME
        self._say(instance_id=instance_id, instance_type=instance_type, image_id=image_id,
                  idle_timeout=idle_timeout, max_lifetime=max_lifetime)
        section = self._section()
        if self._is_made and section['instance_id'] and stop_mode is None \
                and section['stop_mode'] is None:
            # It was there before.
            self.stop_mode = 'keep'

    @property
    def _is_made(self) -> bool:
        return self._BUILT and not self._host_ip

    def _text(self, key: str) -> str | None:
        """What is remembered, else what the configuration says, else what its accelerator needs."""
        value = self._known.get(key) or self._section()[key] or self._needs.get(key)
        return None if value is None else str(value)

    @property
    def url(self) -> str | None:
        """The URL of the host; None before it is made."""
        return self._text('url') if self._is_made else super().url

    @property
    def host_ip(self) -> str | None:
        """The address of the host, by which other programs of this user find it too."""
        url = self.url
        if not self._is_made or not url:
            return super().host_ip
        parts = urlsplit(url)
        return parts.hostname if (parts.port or 443) in _PORTS else parts.netloc

    @property
    def public_ip(self) -> str | None:
        """The address of the host, by which others reach it."""
        url = self.url
        return urlsplit(url).hostname if self._is_made and url else super().public_ip

    @property
    def host_name(self) -> str | None:
        """The name of the host."""
        return self._text('host_name')

    @property
    def instance_id(self) -> str | None:
        """The machine's id; None before it is made."""
        return self._text('instance_id')

    @property
    def instance_type(self) -> str | None:
        """The type of machine, where one was asked for by name."""
        return self._text('instance_type')

    @property
    def image_id(self) -> str | None:
        """The image of its disk, where one was asked for by name, or its provider tells."""
        return self._text('image_id')

    @property
    def private_ip(self) -> str | None:
        """The machine's address in its network, where its provider tells."""
        return self._known.get('private_ip')

    @property
    def stop_mode(self) -> str | int | None:
        """What becomes of the host at the end: ``'term'``, ``'stop'`` or ``'keep'``. Setting None does nothing."""
        return self._stop_mode

    @stop_mode.setter
    def stop_mode(self, stop_mode: str | int | None) -> None:
        # Properties are not inherited by their halves.
        Host.stop_mode.fset(self, stop_mode)  # type: ignore[attr-defined]
        core = None if self._client is None else self._client._core
        if core is not None and self._is_made:
            core.stop_mode = str(self._stop_mode)

    def _be_there(self, needs: dict[str, Any], image_id: str | None,
                  instance_type: str | None) -> None:
        if not self._is_made:
            super()._be_there(needs, image_id, instance_type)
            return
        if not self._accelerator:
            raise _exc.ClientConfigurationException(
                f"no accelerator is named: {type(self).__name__}().start(accelerator='gzip')")
        self._say(image_id=image_id, instance_type=instance_type)
        self._need(needs)
        if self._client is None:
            from apyfal.client.rest import RESTClient
            self._attach(RESTClient(self._accelerator, config=self._config))
            # One that nobody stops ends with this object.
            self._ending = _ending.Ending(self, self._client, None)
        assert self._client is not None
        self._client._renew(self._accelerator)
        if self._ending is not None:
            self._ending.arm()
        self._begin()
        self._client._accelerator().make_host()
        self._tell()

    def _need(self, needs: dict[str, Any]) -> None:
        """What an accelerator needs, over what the catalog says."""
        there = {**needs, **self._there(needs)}
        self._needs = {
            key: carried(there[known], known)
            for known, key in (('image', 'image_id'), ('instancetype', 'instance_type'))
            if there.get(known)}
        for key, value in there.items():
            if key not in _NEEDS and not isinstance(value, dict):
                warn(f"'{key}' of 'accel_parameters' is ignored: a host takes 'image' and 'instancetype' of them",
                     stacklevel=5)
        if str(there.get('fpgaimage')) != 'None':
            raise _exc.HostConfigurationException(
                "'fpgaimage' of 'accel_parameters' cannot be carried over: "
                'the catalog says which image an accelerator has')

    def _there(self, needs: dict[str, Any]) -> dict[str, Any]:
        """What an accelerator needs where this host is to be."""
        return needs.get(self._section()['region'] or '') or {}

    def _attach(self, client: AcceleratorClient) -> None:
        """Has a client's accelerator make this host: of one configuration, which also has what that was told."""
        self._client = client
        for key in ('client_id', 'secret_id'):
            self._config['accelize'][key] = client._config['accelize'][key]
        client._config = self._config
        # Neither keeps the other: the accelerator is ended by whoever drops it.
        client._host = weakref.ref(self)

    def _made_by(self, core: _apyfal.Accelerator) -> None:
        """The client has the accelerator by now."""
        core.stop_mode = str(self._stop_mode)

    def _wanted(self) -> _cfg.Configuration:
        """The configuration that it is made of: what was said, beside what its accelerator needs and its class says."""
        config = self._config.copy()
        section = config[f'host.{self.NAME}']
        for key, value in self._needs.items():
            if not section[key]:
                section[key] = value
        section.update(self._of_class())
        return config

    def _of_class(self) -> dict[str, Any]:
        """What was changed of the class, or of the object."""
        return {}

    def _begin(self, next_step: str | None = None) -> None:
        """Says that it is going to be made, unless it is there; and what comes then."""
        assert self._client is not None
        self._client._renew()
        core = self._client._accelerator()
        if core.host is None:
            get_logger().info('Configuring host on %s instance...', self.NAME)
            self._next_step = next_step
        elif next_step:
            get_logger().info(next_step)

    def _watcher(self) -> Callable[[str, dict[str, Any]], None]:
        """What is told how far it is. It does not keep the host."""
        found = weakref.ref(self)

        def tell(phase: str, known: dict[str, Any]) -> None:
            host = found()
            if host is not None:
                host._told(phase, known)
        return tell

    def _told(self, phase: str, known: dict[str, Any]) -> None:
        self._known = {key: value for key, value in known.items() if value is not None}
        if phase in _STEPS:
            get_logger().info(_STEPS[phase])
        if phase == 'ready' and self._next_step:
            get_logger().info(self._next_step)
            self._next_step = None

    def _tell(self) -> None:
        """Tells what the library has to say of it."""
        core = None if self._client is None else self._client._core
        for note in core.host_notes() if core is not None else ():
            get_logger().info(note)

    def stop(self, stop_mode: str | int | None = None) -> None:
        """Ends the host as the stop mode says. One that was named by its address is left alone.

        Args:
            stop_mode: What becomes of it, in place of what was said before.
        """
        super().stop(stop_mode)
        if not self._is_made:
            return
        self._find()
        try:
            if self._client is not None:
                self._client.stop()
                self._tell()
        except KeyboardInterrupt:
            self._left()
            self._disarm()
            raise
        self._disarm()

    def _disarm(self) -> None:
        if self._ending is not None:
            self._ending.disarm()

    def _find(self) -> None:
        """Has a machine that was named be known, though nobody started it here, where it is to end."""
        if self._section()['instance_id'] and self.stop_mode != 'keep' and self._client is not None:
            self._client._accelerator()

    def _left(self) -> None:
        """Says that its end was interrupted, and leaves it to its lease: nobody waits for it at exit."""
        if self._client is not None and self._client._core is not None:
            self._client._core.stop_mode = 'keep'
        get_logger().warning(
            "The end of host '%s' was interrupted: it ends with its lease at the latest, "
            "by 'apyfal stop --all' now", self.host_name or self.instance_id or self.NAME)

    def iter_hosts(self, host_name_prefix: bool | str = True) -> Iterator[dict[str, Any]]:
        """What is known of each host of this type that runs.

        Args:
            host_name_prefix: What their names begin with: True for that of the configuration, False for any.
        """
        hosts, errors = running(self._config, host_name_prefix)
        yield from (known for known in hosts if known['host_type'] == self.NAME)
        for error in errors:
            raise error


def running(config: _cfg.Configuration, host_name_prefix: bool | str,
            ) -> tuple[list[dict[str, Any]], list[BaseException]]:
    """What is known of the hosts that this installation has made and that run, and why a provider tells of none.

    Args:
        config: The configuration, by which providers are asked.
        host_name_prefix: What their names begin with: True for that of the configuration, False for any.
    """
    if host_name_prefix is not None and not isinstance(host_name_prefix, bool):
        text(host_name_prefix, 'host_name_prefix')
    hosts, errors = _apyfal.made_hosts(config._core, program())
    prefix = config['host']['host_name_prefix'] if host_name_prefix is True else host_name_prefix
    begin = f'{prefix}_accelize_' if prefix else 'accelize_'
    for known in hosts:
        known['public_ip'] = urlsplit(known['url'] or '').hostname
    return [known for known in hosts
            # Nobody can prove himself to machines that nothing here remembers.
            if known['state'] == 'running' and 'stop_mode' in known
            and (host_name_prefix is False or known['host_name'].startswith(begin))], errors
