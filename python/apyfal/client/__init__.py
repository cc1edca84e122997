"""Clients: what runs the jobs of an accelerator, on this machine or on a host."""
from __future__ import annotations

import os
import sys
import threading
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from warnings import warn, warn_explicit

from apyfal import _apyfal
from apyfal import configuration as _cfg
from apyfal import exceptions as _exc
from apyfal._arguments import check
from apyfal._future import submitted
from apyfal._map import Outcome, Wanted
from apyfal._program import program
from apyfal._progress import Progress, shown

if TYPE_CHECKING:
    from apyfal.host._made import MadeHost

__all__ = ['AcceleratorClient']

#: A line of a program: its file, its number, and the names that it sees.
_Place: TypeAlias = tuple[str, int, dict[str, Any]]


class AcceleratorClient:
    """Runs the jobs of an accelerator. Which class is made follows `client_type` and `host_ip`.

    Args:
        accelerator: The accelerator's name.
        client_type: ``'REST'`` for a host, ``'SysCall'`` for this machine. Without it a host is used where one is
            named.
        accelize_client_id: The account at the catalog's server.
        accelize_secret_id: Its secret.
        config: A configuration, or what `apyfal.configuration.Configuration` takes.
        host_ip: The address, URL or name of the host.
        ssl_cert_crt: The host's certificate: a path; False for plain HTTP.
    """
    #: What `client_type` names this class by.
    NAME: str | None = None
    #: Whether it works on a host.
    REMOTE = False

    # What was read to choose the class, which a file object gives but once.
    _read: _cfg.Configuration | None = None

    def __new__(cls, accelerator: Any = None, client_type: Any = None, accelize_client_id: Any = None,
                accelize_secret_id: Any = None, config: Any = None, host_ip: Any = None,
                *args: Any, **kwargs: Any) -> AcceleratorClient:
        if cls is not AcceleratorClient:
            return object.__new__(cls)
        from apyfal.client.rest import RESTClient
        from apyfal.client.syscall import SysCallClient
        read = _cfg.create_configuration(config)
        if not client_type:
            client_type = 'REST' if host_ip or _uses_host(read) else 'SysCall'
        for known in (RESTClient, SysCallClient):
            if known.NAME.lower() == str(client_type).lower():
                client = object.__new__(known)
                client._read = read
                return client
        raise _exc.ClientConfigurationException(
            f"client_type cannot be '{client_type}': there are 'REST' and 'SysCall'")

    def __init__(self, accelerator: str | None = None, client_type: str | None = None,
                 accelize_client_id: str | None = None, accelize_secret_id: str | None = None,
                 config: Any = None, host_ip: str | None = None, ssl_cert_crt: Any = None,
                 **unknown: Any) -> None:
        check(accelerator=accelerator, accelize_client_id=accelize_client_id,
              accelize_secret_id=accelize_secret_id, host_ip=host_ip, ssl_cert_crt=ssl_cert_crt)
        for name in sorted(unknown):
            warn(f"no client takes '{name}', which is ignored", stacklevel=3)
        self._name = accelerator
        self._client_type = client_type or self.NAME
        self._stopped = False
        self._core: _apyfal.Accelerator | None = None
        self._storage: _apyfal.Storage | None = None
        self._making = threading.Lock()
        # The name and configuration that it is the accelerator of, where its host is made.
        self._made_of: tuple[str, Any] | None = None
        # Jobs in the background that have not ended.
        self._tasks: set[Future[Any]] = set()
        # The host that is made for it, where there is one: it is told how far that is.
        self._host: weakref.ref[MadeHost] | None = None
        read, self._read = self._read, None
        self._config = (_cfg.create_configuration(config) if read is None else read).copy()
        section = self._config['accelize']
        section['client_id'] = accelize_client_id
        section['secret_id'] = accelize_secret_id
        self._url: str | None = None
        if host_ip:
            self._choose(host_ip)
        if ssl_cert_crt is not None:
            self._config['host']['ssl_cert_crt'] = (
                ssl_cert_crt if isinstance(ssl_cert_crt, bool) else os.fsdecode(ssl_cert_crt))

    def _choose(self, host_ip: str) -> None:
        """Has it use a host."""
        self._config._core.choose_host(host_ip)

    @property
    def name(self) -> str | None:
        """The accelerator's name."""
        return self._name

    @property
    def url(self) -> str | None:
        """The URL of the host; None on this machine."""
        return self._url

    def _accelerator(self) -> _apyfal.Accelerator:
        """The accelerator where the configuration says. Nobody is contacted before its first call."""
        # Of several threads one makes it.
        with self._making:
            core = self._core
            if core is None:
                if not self._name:
                    raise _exc.ClientConfigurationException(
                        "no accelerator is named: Accelerator(accelerator='gzip')")
                from apyfal import storage
                # It stays, so that what is mounted later reaches it.
                self._storage = storage.core(self._config)
                host = None if self._host is None else self._host()
                config = self._config
                if host is not None:
                    check(TIMEOUT=host.TIMEOUT)
                    config = host._wanted()
                    self._made_of = self._name, config._said()
                core = _apyfal.Accelerator(
                    self._name, config._core, self._storage,
                    None if host is None else host._watcher(),
                    None if host is None else float(host.TIMEOUT), program())
                if host is not None:
                    host._made_by(core)
                self._core = core
                for warning in core.warnings:
                    warn(warning, stacklevel=4)
        return core

    def _renew(self, name: str | None = None) -> None:
        """Has a host that is yet to be made be made of what is said by now, and for this accelerator."""
        with self._making:
            core, host = self._core, None if self._host is None else self._host()
            if host is None or (core is not None and core.host is not None):
                return
            self._name = name or self._name
            if core is not None and self._made_of != (self._name, host._wanted()._said()):
                self._core = None

    def _quick(self) -> int:
        """Files of no more bytes are worth a thread only where they are several."""
        return self._accelerator().quick

    def _width(self) -> int:
        """Among how many jobs under way another one is of use."""
        return self._accelerator().width

    def start(self, src: Any = None, info_dict: dict[str, Any] | None = None,
              host_env: dict[str, Any] | None = None, reload: bool | None = None,
              reset: bool | None = None, **parameters: Any) -> dict[str, Any]:
        """Makes the accelerator ready for jobs. Called again, it configures anew.

        Args:
            src: What the accelerator is started with: a path, URL, file object or buffer.
            info_dict: Gets what else the accelerator tells.
            host_env: Single values of the environment that the host is told.
            reload: Load the image of a device anew, where it is there already.
            reset: Reset the accelerator's logic.
            parameters: Parameters of the accelerator. `parameters` is a full set of them: a dictionary, JSON text,
                or the path or URL of a JSON file.

        Returns:
            The accelerator's own result.
        """
        check(info_dict=info_dict, host_env=host_env, reload=reload, reset=reset)
        full = _full(parameters)
        response = self._accelerator().start(
            (src, None, full, parameters), host_env, reload, reset)
        self._stopped = False
        return _result(response, info_dict)

    def process(self, src: Any = None, dst: Any = None,
                info_dict: dict[str, Any] | None = None,
                progress: Progress | bool | None = None,
                **parameters: Any) -> dict[str, Any]:
        """Runs one job. See `apyfal.Accelerator.process`."""
        check(info_dict=info_dict, progress=progress)
        full = _full(parameters)
        core = self._accelerator()
        with shown(progress) as tell:
            response = core.process((src, dst, full, parameters), tell)
        return _result(response, info_dict)

    def process_submit(self, src: Any = None, dst: Any = None,
                       info_dict: dict[str, Any] | None = None,
                       **parameters: Any) -> Future[dict[str, Any]]:
        """Runs one job in the background. See `apyfal.Accelerator.process_submit`."""
        check(info_dict=info_dict)
        full = _full(parameters)
        core, caller = self._accelerator(), _caller()
        return submitted(
            lambda done: core.submit((src, dst, full, parameters), done),
            lambda response: _result(response, info_dict, caller), self._tasks)

    def _submit_all(self, jobs: list[Wanted],
                    parameters: dict[str, Any]) -> Future[list[Outcome]]:
        """Runs jobs of short files in the background, one after the other."""
        parameters = dict(parameters)
        full = _full(parameters)
        core, caller = self._accelerator(), _caller()

        def outcome(response: Any, error: BaseException | None, info: dict[str, Any] | None) -> Outcome:
            try:
                return ({}, error) if error is not None else (_result(response, info, caller), None)
            except BaseException as wrong:
                return {}, wrong
        return submitted(
            lambda done: core.submit_all([(src, dst) for src, dst, _ in jobs], full, parameters, done),
            lambda told: [outcome(response, error, info)
                          for (response, error), (_, _, info) in zip(told, jobs)], self._tasks)

    def stop(self, info_dict: dict[str, Any] | None = None,
             full_stop: bool = True) -> dict[str, Any] | None:
        """Ends the accelerator's session, after its running jobs; and a host that was made for it. Ctrl-C cancels them.

        Args:
            info_dict: Gets what the accelerator tells.
            full_stop: Without it only this client ends.
        """
        check(info_dict=info_dict, full_stop=full_stop)
        try:
            self._stopped = True
            core = self._core
            if core is None or not full_stop:
                return None
            return _result(core.stop(), info_dict)
        except KeyboardInterrupt:
            # What ends it later, such as the end of the program, does not wait for them either.
            self._interrupt()
            raise

    def _interrupt(self) -> None:
        """Cancels all that is under way, in this thread or another one. Nobody waits for that."""
        for task in list(self._tasks):
            task.cancel()
        if self._core is not None:
            self._core.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        url = f" url='{_cfg._shown(self.url)}'" if self.url else ''
        kind = type(self)
        return (f"<{kind.__module__}.{kind.__qualname__} accelerator='{self._name}' "
                f"type='{self._client_type}'{url}>")

    def __reduce__(self) -> Any:
        raise TypeError(
            'a client cannot be pickled: its session belongs to this process. '
            'Give the other process the configuration, and make one there')


def _full(parameters: dict[str, Any]) -> Any:
    """Takes the full set out of the parameters."""
    full = parameters.pop('parameters', None)
    if full is not None and not isinstance(full, (str, dict)):
        try:
            full = os.fsdecode(full)
        except TypeError:
            raise TypeError("'parameters' must be a dict, JSON text, a path or a URL, "
                            f"not '{type(full).__name__}'") from None
    return full


def _result(response: dict[str, Any], info_dict: dict[str, Any] | None,
            caller: _Place | None = None) -> dict[str, Any]:
    """The accelerator's own result; what else there is goes to the caller's dictionary.

    Args:
        response: What the accelerator tells.
        info_dict: The caller's dictionary.
        caller: Who is warned of parameters that nobody read; without it who calls now.
    """
    app = response.get('app')
    specific: dict[str, Any] = app.pop('specific', {}) if isinstance(app, dict) else {}
    if info_dict is not None:
        info_dict.update(response)
    if isinstance(app, dict) and 'parameters-note' in app:
        file, line, names = caller or _caller()
        warn_explicit(app['parameters-note'], UserWarning, file, line, names.get('__name__'),
                      names.setdefault('__warningregistry__', {}))
    return specific


def _caller() -> _Place:
    """Who called the package, from wherever in it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get('__name__', '').partition('.')[0] == 'apyfal':
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno, frame.f_globals


def _uses_host(config: _cfg.Configuration) -> bool:
    """Whether jobs run on a host as a configuration says, one that runs already or is made."""
    kind = config['host']['host_type'] or ''
    if config['host']['host_ip'] or config[f'host.{kind}']['host_ip']:
        return True
    return _makes_host(config)


def _makes_host(config: _cfg.Configuration) -> bool:
    """Whether a host is made for jobs as a configuration says."""
    kind = config['host']['host_type'] or ''
    return kind.lower() not in ('', 'localhost') and config._core.chosen()[0] is not None
