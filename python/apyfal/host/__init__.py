"""Hosts: machines on which accelerators run."""
from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Self
from warnings import warn

from apyfal import _apyfal
from apyfal import configuration as _cfg
from apyfal import exceptions as _exc
from apyfal._arguments import check, text
from apyfal._literals import carried, plain

__all__ = ['Host']

#: What default names of what is shared begin with, where nobody changes that of the class.
PARAMETER_PREFIX = 'Accelize'


class Host:
    """A machine on which accelerators run. Which class is made follows `host_type`.

    Args:
        host_type: The type of host; without it a machine that runs already.
        config: A configuration, or what `apyfal.configuration.Configuration` takes.
        host_ip: The address, URL or name of a host that runs already: it is neither made nor ended.
        stop_mode: What becomes of it at the end: ``'term'`` (0), ``'stop'`` (1) or ``'keep'`` (2).
        host_name_prefix: What its name begins with.

    Raises:
        apyfal.exceptions.HostConfigurationException: There is no such type of host.
    """
    #: What `host_type` names this class by.
    NAME: str | None = None
    #: Where its provider is documented.
    DOC_URL = ''
    #: The stop modes, by number.
    STOP_MODES = {0: 'term', 1: 'stop', 2: 'keep'}
    #: The ports that the caller's address may reach, of a host on a machine of a provider.
    ALLOW_PORTS = {22, 80, 443}
    #: How long a change of a host may take, in seconds.
    TIMEOUT = 420.0

    _PARAMETER_PREFIX = PARAMETER_PREFIX
    # What `info` tells, where it is there.
    _INFO_NAMES = {'host_type', 'stop_mode', 'url', 'host_name'}
    _BUILT = True

    # What was read to choose the class, which a file object gives but once.
    _read: _cfg.Configuration | None = None

    def __new__(cls, host_type: Any = None, config: Any = None, host_ip: Any = None,
                *args: Any, **kwargs: Any) -> Host:
        if cls is not Host:
            return object.__new__(cls)
        check(host_type=host_type)
        read = _cfg.create_configuration(config)
        if host_type is None and not host_ip:
            host_type = read['host']['host_type']
        is_known = host_type and host_type.lower() != 'localhost'
        host = object.__new__(_class_of(host_type) if is_known else cls)
        host._read = read
        return host

    def __init__(self, host_type: str | None = None, config: Any = None,
                 host_ip: str | None = None, stop_mode: str | int | None = None,
                 host_name_prefix: str | None = None, **unknown: Any) -> None:
        check(host_type=host_type, host_ip=host_ip)
        warn_of_unknown(unknown)
        read, self._read = self._read, None
        # A copy: what is said here is said of this host alone.
        self._config = (_cfg.create_configuration(config) if read is None else read).copy()
        self._host_type = host_type or self.NAME
        self._say(host_name_prefix=host_name_prefix)
        section = self._section()
        self._host_ip = host_ip or section['host_ip']
        self._host_name_prefix = section['host_name_prefix'] or ''
        self._host_name: str | None = None
        self._accelerator: str | None = None
        self._config_env: dict[str, Any] = {}
        self._stop_mode = 'keep' if self._host_ip else 'term'
        self.stop_mode = stop_mode if stop_mode is not None else section['stop_mode']
        if not self._host_ip and not self._BUILT:
            raise self._unbuilt()

    def _section(self) -> _cfg.Section:
        return self._config[f'host.{self.NAME}' if self.NAME else 'host']

    def _say(self, **given: Any) -> None:
        """Puts what was given over what the configuration says."""
        check(**given)
        section = self._section()
        for key, value in given.items():
            value = carried(os.fsdecode(value) if isinstance(value, bytes) else value, key)
            section[key] = text(value, key) if isinstance(value, str) else value

    @property
    def _is_made(self) -> bool:
        """Whether it is made, and given back, by this object."""
        return False

    def _unbuilt(self) -> _exc.HostConfigurationException:
        if self.NAME is None:
            return _exc.HostConfigurationException("no host is named: Host(host_ip='192.0.2.1')")
        return _exc.HostConfigurationException(
            f"this version makes no hosts on {self.NAME}: "
            "name a machine that runs 'apyfal serve' by host_ip")

    @property
    def host_type(self) -> str | None:
        """The type of host."""
        return self._host_type

    @property
    def host_ip(self) -> str | None:
        """The address of the host."""
        return self._host_ip

    @property
    def public_ip(self) -> str | None:
        """The address of the host, by which others reach it."""
        return self._host_ip

    @property
    def url(self) -> str | None:
        """The URL of the host."""
        if not self._host_ip:
            return None
        return self._host_ip if '://' in self._host_ip else f'http://{self._host_ip}'

    @property
    def host_name(self) -> str | None:
        """The name of the host."""
        return self._host_name

    @property
    def stop_mode(self) -> str | int | None:
        """What becomes of the host at the end: ``'term'``, ``'stop'`` or ``'keep'``. Setting None does nothing.

        Raises:
            apyfal.exceptions.HostConfigurationException: It is set to something else.
        """
        return self._stop_mode

    @stop_mode.setter
    def stop_mode(self, stop_mode: str | int | None) -> None:
        if stop_mode is not None:
            self._stop_mode = self._meant(stop_mode)

    @classmethod
    def _meant(cls, stop_mode: str | int) -> str:
        """A stop mode as a word."""
        check(stop_mode=stop_mode)
        said = str(plain(stop_mode))
        return _apyfal.stop_mode(str(cls.STOP_MODES.get(int(said), said)) if said.isdecimal() else said)

    def start(self, accelerator: str | None = None,
              accel_parameters: dict[str, Any] | None = None,
              stop_mode: str | int | None = None, image_id: str | None = None,
              instance_type: str | None = None) -> None:
        """Makes the host, or starts it again, unless it runs.

        Args:
            accelerator: The accelerator that it is for.
            accel_parameters: What the accelerator needs, in place of what the catalog says: by region, or for all,
                `image` and `instancetype`; its name, `accelerator`; and `env`.
            stop_mode: What becomes of the host at the end.
            image_id: The image of the machine, in place of what the catalog says.
            instance_type: The type of the machine, likewise.

        Raises:
            apyfal.exceptions.HostException: It cannot be made.
        """
        check(accelerator=accelerator, accel_parameters=accel_parameters)
        self.stop_mode = stop_mode
        needs = accel_parameters or {}
        self._accelerator = accelerator or needs.get('accelerator')
        self._config_env = dict(needs.get('env') or {})
        self._be_there(needs, image_id, instance_type)

    def _be_there(self, needs: dict[str, Any], image_id: str | None,
                  instance_type: str | None) -> None:
        """Makes the host, unless it runs. What is said of it goes before what its accelerator needs."""
        is_here = (self._host_type or '').lower() == 'localhost'
        if not (self._host_ip or is_here):
            raise self._unbuilt()

    def stop(self, stop_mode: str | int | None = None) -> None:
        """Ends the host as the stop mode says. One that was named by its address is left alone.

        Args:
            stop_mode: What becomes of it, in place of what was said before.
        """
        self.stop_mode = stop_mode

    @property
    def info(self) -> dict[str, Any]:
        """What is known of the host."""
        return {name: value for name in sorted(self._INFO_NAMES)
                if (value := getattr(self, name, None)) is not None}

    def get_configuration_env(self, **config_env: Any) -> dict[str, Any]:
        """The environment that the accelerator is told at its start.

        Args:
            config_env: Values that win.
        """
        return {**self._config_env, **config_env}

    def iter_hosts(self, host_name_prefix: bool | str = True) -> Iterator[dict[str, Any]]:
        """What is known of each host of this type that runs.

        Args:
            host_name_prefix: What their names begin with: True for that of the configuration, False for any.
        """
        return iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        kind = type(self)
        known = {'type': self._host_type, 'name': self._host_name, 'url': self.url}
        shown = ''.join(f" {key}='{_cfg._shown(value)}'" for key, value in known.items() if value)
        return f'<{kind.__module__}.{kind.__qualname__}{shown}>'


#: The types of host, each of which has a module of its own.
_TYPES = ('aws', 'openstack', 'alibaba', 'sim')
#: What others took than those of this version.
ONCE_KNOWN = {
    'acs_client_kwargs', 'acs_create_instance_kwargs', 'auth_url', 'interface', 'neutron_client_kwargs',
    'nova_client_create_server_kwargs', 'nova_client_kwargs', 'project_id'}


def warn_of_unknown(given: Mapping[str, Any]) -> None:
    """Warns of arguments that no type of host takes. Those of another type are ignored."""
    names = {name for name, value in given.items() if value is not None}
    if not names:
        return
    # Not at the import of this package, which it would make longer by a tenth.
    import inspect
    known = set(ONCE_KNOWN)
    for name in _TYPES:
        for kind in _class_of(name).__mro__[:-1]:
            parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
            known.update(each.name for each in parameters if each.kind is not each.VAR_KEYWORD)
    known.discard('self')
    for name in sorted(names - known):
        meant = get_close_matches(name, known, 1)
        hint = f": is '{meant[0]}' meant?" if meant else ''
        warn(f"no host takes '{name}', which is ignored{hint}", stacklevel=3)


def _class_of(host_type: str) -> type[Host]:
    for name in _TYPES:
        if host_type.lower() == name:
            module = importlib.import_module(f'apyfal.host.{name}')
            return next(found for found in vars(module).values()
                        if isinstance(found, type) and issubclass(found, Host)
                        and (found.NAME or '').lower() == name)
    raise _exc.HostConfigurationException(
        f"host_type cannot be '{host_type}': there are 'AWS', 'OpenStack', 'Alibaba', "
        "'localhost', and 'sim' to try it out")
