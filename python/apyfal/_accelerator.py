"""The accelerator: `start`, `process`, `stop`."""
from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, Self

from apyfal import _ending, _map
from apyfal import client as _clt
from apyfal import configuration as _cfg
from apyfal import host as _hst
from apyfal._arguments import check
from apyfal._logging import get_logger
from apyfal._progress import Progress
from apyfal.host import _made

__all__ = ['Accelerator']


class Accelerator:
    """An accelerated function: it is started, processes, and is stopped. A context manager stops it by itself.

    It runs on this machine, on the host that `host_ip` or the configuration names, or on one that is made for it and
    given back at the end, where `host_type` or the configuration says of which type.

    Args:
        accelerator: Its name: ``'gzip'``, ``'sha3'``.
        config: A configuration, or what `apyfal.configuration.Configuration` takes.
        accelize_client_id: The account at the catalog's server.
        accelize_secret_id: Its secret.
        host_type: The type of host: ``'localhost'`` for this machine, ``'AWS'``, or ``'sim'``, a process of this
            machine that is used as one in a cloud.
        host_ip: The address, URL or name of a host that runs already.
        stop_mode: What becomes of the host at the end: ``'term'`` (0), ``'stop'`` (1) or ``'keep'`` (2).
        prefer_self_hosted: Use this machine where it is a host itself. True by default.
        host_kwargs: What else is to be said of the host; see the classes of `apyfal.host`.

    Raises:
        apyfal.exceptions.AcceleratorException: What was said contradicts itself, or there is no such accelerator here.
    """

    def __init__(self, accelerator: str | None = None, config: Any = None,
                 accelize_client_id: str | None = None, accelize_secret_id: str | None = None,
                 host_type: str | None = None, host_ip: str | None = None,
                 stop_mode: str | int | None = None, prefer_self_hosted: bool | None = None,
                 **host_kwargs: Any) -> None:
        check(accelerator=accelerator, accelize_client_id=accelize_client_id,
              accelize_secret_id=accelize_secret_id, host_type=host_type, host_ip=host_ip, stop_mode=stop_mode,
              prefer_self_hosted=prefer_self_hosted)
        self._host: _hst.Host | None = None
        # A copy: what is said here is not said of other accelerators of the same configuration.
        config = _cfg.create_configuration(config).copy()
        section = config['host']
        section['host_type'] = host_type
        section['prefer_self_hosted'] = prefer_self_hosted
        kind = section['host_type'] or ''
        is_here = kind.lower() in ('', 'localhost')
        if not is_here:
            self._host = _hst.Host(
                host_type=kind, config=config, host_ip=host_ip, stop_mode=stop_mode,
                **host_kwargs)
            config = self._host._config
            if self._host._is_made and config._core.chosen()[1]:
                # This machine is the host that is meant.
                self._host = None
        elif host_ip or section['host_ip']:
            self._host = _hst.Host(config=config, host_ip=host_ip or section['host_ip'],
                                   stop_mode=stop_mode, **host_kwargs)
        else:
            _hst.warn_of_unknown(host_kwargs)
            if stop_mode is not None:
                # There is no host that would refuse what it does not know.
                _hst.Host._meant(stop_mode)
        # The section of its type may name it alone.
        address = None if self._host is None else self._host.host_ip
        if address and address != section['host_ip']:
            host_ip = address
        is_away = address or (self._host is not None and self._host._is_made)
        self._client = _clt.AcceleratorClient(
            accelerator=accelerator, client_type='REST' if is_away else 'SysCall',
            accelize_client_id=accelize_client_id, accelize_secret_id=accelize_secret_id,
            config=config, host_ip=host_ip, ssl_cert_crt=host_kwargs.get('ssl_cert_crt'))
        if self._made_host is not None:
            self._made_host._attach(self._client)
        # What the client was told; its own URL is the one that the address turned out to mean.
        self._host_url = None if self._host is None else self._host.url
        # At the end of the block, by the collector or at exit: once, and in this process alone.
        self._ending = _ending.Ending(self, self._client, self._host)

    @property
    def client(self) -> _clt.AcceleratorClient:
        """The client, which runs the jobs."""
        return self._client

    @property
    def host(self) -> _hst.Host | None:
        """The host; None where it is this machine."""
        return self._host

    @property
    def public_ip(self) -> str | None:
        """The address of the host; None where it is this machine."""
        return None if self._host is None else self._host.public_ip

    @property
    def process_running_count(self) -> int:
        """How many jobs run in the background."""
        return len(self._client._tasks)

    def start(self, stop_mode: str | int | None = None, src: Any = None,
              info_dict: dict[str, Any] | None = None, host_env: dict[str, Any] | None = None,
              reload: bool | None = None, reset: bool | None = None,
              **parameters: Any) -> dict[str, Any]:
        """Makes the accelerator ready for jobs. Called again, it configures anew.

        Args:
            stop_mode: What becomes of the host at the end, in place of what was said before.
            src: What the accelerator is started with: a path, URL, binary file object or buffer.
            info_dict: Gets what else the accelerator tells.
            host_env: Single values of the environment that the host is told.
            reload: Load the image of a device anew, where it is there already.
            reset: Reset the accelerator's logic.
            parameters: Parameters of the accelerator. `parameters` is a full set of them: a dictionary
                ``{'app': {'specific': {…}}}``, JSON text, or the path or URL of a JSON file.

        Returns:
            The accelerator's own result.

        Raises:
            apyfal.exceptions.AcceleratorException: It does not start.
        """
        check(stop_mode=stop_mode, info_dict=info_dict, host_env=host_env, reload=reload, reset=reset)
        env = self._before_start(stop_mode)
        env.update(host_env or {})
        try:
            result = self._client.start(src=src, info_dict=info_dict, host_env=env, reload=reload,
                                        reset=reset, **parameters)
        finally:
            self._tell()
        self._ending.arm()
        get_logger().info("Accelerator ready")
        return result

    def _before_start(self, stop_mode: str | int | None = None) -> dict[str, Any]:
        """Has the host be there, or be made by the start that follows; the environment that it tells."""
        _ending.prepare()
        step = "Configuring accelerator..."
        made = self._made_host
        if made is not None:
            made.stop_mode = stop_mode
            # From here on there may be something to give back.
            self._ending.arm()
            made._begin(step)
            return made.get_configuration_env()
        if self._host is not None:
            self._host.start(accelerator=self._client.name, stop_mode=stop_mode)
            url = self._host.url
            if url and url != self._host_url and self._client.REMOTE:
                self._client.url = url  # type: ignore[misc]
                self._host_url = url
        get_logger().info(step)
        return {} if self._host is None else self._host.get_configuration_env()

    @property
    def _made_host(self) -> _made.MadeHost | None:
        """The host, where it is made."""
        host = self._host
        return host if isinstance(host, _made.MadeHost) and host._is_made else None

    def _tell(self) -> None:
        if self._made_host is not None:
            self._made_host._tell()

    def process(self, src: Any = None, dst: Any = None,
                info_dict: dict[str, Any] | None = None,
                progress: Progress | bool | None = None,
                **parameters: Any) -> dict[str, Any]:
        """Runs one job.

        Args:
            src: The data: a path, a URL, a binary file object (what has ``read``), or a buffer (``bytes``,
                ``memoryview``, an array), which is not copied.
            dst: Where the result goes: a path or URL, where it appears whole or not at all; a binary file object
                (what has ``write``); or a buffer that can be written and has room for it.
            info_dict: Gets what else the accelerator tells: ``['app']['profiling']['wall-clock-time']`` in seconds.
            progress: Called now and then with the bytes read, the bytes to read where that is known, and the bytes
                written; and once the job has ended well, when the destination is there already. What it raises comes
                out, and before that ends the job. True draws a bar where tqdm is installed.
            parameters: Parameters of the accelerator, as for `start`.

        Returns:
            The accelerator's own result, such as the digest of sha3.

        Raises:
            apyfal.exceptions.AcceleratorException: The job failed. A destination that is a path or URL is then as it
                was before. What a file object or `progress` raised comes out as itself.
        """
        return self._client.process(src, dst, info_dict, progress, **parameters)

    def process_submit(self, src: Any = None, dst: Any = None,
                       info_dict: dict[str, Any] | None = None,
                       **parameters: Any) -> Future[dict[str, Any]]:
        """Runs one job in the background; see `process`.

        Returns:
            The future of its result. Cancelling it ends the job, also while that runs.
        """
        return self._client.process_submit(src, dst, info_dict, **parameters)

    def process_map(self, srcs: Iterable[Any] | None = None, dsts: Iterable[Any] | None = None,
                    timeout: float | None = None, info_list: list[Any] | None = None,
                    **parameters: Any) -> _map.Results:
        """Runs many jobs, several at a time.

        Args:
            srcs: Their sources.
            dsts: Their destinations, as many.
            timeout: Within how many seconds from now each result must be there.
            info_list: Gets one dictionary a job, as `info_dict` of `process`.
            parameters: Parameters of all of them.

        Returns:
            An iterator over the results in order. Closed early, it cancels the jobs that are not done.

        Raises:
            ValueError: There are not as many sources as destinations.
            TimeoutError: A result is not there in time.
        """
        client = self._client
        return _map.mapped(self.process_submit, client._submit_all, client._quick, client._width,
                           srcs, dsts, timeout, info_list, parameters)

    def stop(self, stop_mode: str | int | None = None,
             info_dict: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Ends the session, after its running jobs, and then the host as the stop mode says. Ctrl-C cancels the jobs.

        Args:
            stop_mode: What becomes of the host, in place of what was said before.
            info_dict: Gets what the accelerator tells.
        """
        check(stop_mode=stop_mode, info_dict=info_dict)
        try:
            made = self._made_host
            if made is not None:
                result = self._give_back(made, stop_mode, info_dict)
            else:
                try:
                    result = self._client.stop(info_dict)
                finally:
                    if self._host is not None:
                        self._host.stop(stop_mode)
        except KeyboardInterrupt:
            self._interrupted()
            raise
        # What was interrupted ends with the program.
        self._ending.disarm()
        return result

    def _give_back(self, made: _made.MadeHost, stop_mode: str | int | None,
                   info_dict: dict[str, Any] | None) -> dict[str, Any] | None:
        """Ends the session and with it the host, which only the library knows to do in order."""
        made.stop_mode = stop_mode
        made._find()
        try:
            return self._client.stop(info_dict)
        finally:
            made._tell()

    def _interrupted(self) -> None:
        """Its end was interrupted: nobody waits for its jobs any more, nor for the end of a host that was made."""
        self._client._interrupt()
        made = self._made_host
        if made is not None:
            made._left()
            self._ending.disarm()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        kind = type(self)
        host = repr(self._host).strip('<>') if self._host is not None else 'localhost'
        return (f"<{kind.__module__}.{kind.__qualname__} "
                f"client=({repr(self._client).strip('<>')}) host=({host})>")

    def __reduce__(self) -> Any:
        raise TypeError(
            'an accelerator cannot be pickled: its session belongs to this process. '
            'Give the other process the configuration, and make one there')


# As users know it.
Accelerator.__module__ = 'apyfal'
