"""Several accelerators as one."""
from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Self

from apyfal import _apyfal, _map
from apyfal import configuration as _cfg
from apyfal._accelerator import Accelerator
from apyfal._arguments import check

__all__ = ['AcceleratorPoolExecutor']


class AcceleratorPoolExecutor:
    """Several accelerators that are alike, each with a host of its own. Jobs go to the one that has least to do.

    Args:
        workers_count: How many.
        stop_mode: What becomes of the hosts at the end.
        accelerator, config, accelize_client_id, accelize_secret_id, host_type, host_kwargs:
            As of `apyfal.Accelerator`.
    """

    def __init__(self, accelerator: str | None = None, config: Any = None,
                 accelize_client_id: str | None = None, accelize_secret_id: str | None = None,
                 host_type: str | None = None, stop_mode: str | int = 'term',
                 workers_count: int = 4, **host_kwargs: Any) -> None:
        if not isinstance(workers_count, int) or workers_count < 1:
            raise ValueError(f"'workers_count' must be 1 or more, not {workers_count!r}")
        config = _cfg.create_configuration(config)
        self._accelerator = accelerator
        self._stopped = False
        self._lock = threading.Lock()
        self._workers = [
            Accelerator(
                accelerator=accelerator, config=config, accelize_client_id=accelize_client_id,
                accelize_secret_id=accelize_secret_id, host_type=host_type,
                stop_mode=stop_mode, **host_kwargs)
            for _ in range(workers_count)]

    def _each(self, work: Callable[[Accelerator, dict[str, Any] | None], Any],
              infos: list[dict[str, Any] | None], interrupted: Callable[[Accelerator], None],
              ) -> list[Any]:
        """Does something with each, all at once; what one raises comes out once all are done.

        Ctrl-C, which no other thread sees, interrupts those that are not done, and waits for none.
        """
        switch = _apyfal.Switch()
        threads = ThreadPoolExecutor(len(self._workers), 'apyfal-pool', switch.hold)
        futures: list[Future[Any]] = []
        try:
            futures.extend(threads.submit(work, *pair) for pair in zip(self._workers, infos))
            wait(futures)
        except KeyboardInterrupt:
            switch.cancel()
            for worker, future in zip(self._workers, futures):
                if not future.done():
                    interrupted(worker)
            raise
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
        return [future.result() for future in futures]

    @property
    def accelerators(self) -> list[Accelerator]:
        """The accelerators."""
        return self._workers

    @property
    def clients(self) -> list[Any]:
        """Their clients."""
        return [worker.client for worker in self._workers]

    @property
    def hosts(self) -> list[Any]:
        """Their hosts."""
        return [worker.host for worker in self._workers]

    def start(self, stop_mode: str | int | None = None, src: Any = None,
              host_env: dict[str, Any] | None = None, reload: bool | None = None,
              reset: bool | None = None, info_list: list[Any] | None = None,
              **parameters: Any) -> list[dict[str, Any]]:
        """Starts all of them at once. See `apyfal.Accelerator.start`; `info_list` gets one dictionary each."""
        check(stop_mode=stop_mode, host_env=host_env, reload=reload, reset=reset, info_list=info_list)
        if hasattr(src, 'read'):
            # One stream cannot be read by all of them.
            src = _content(src)
        infos = self._infos(info_list)
        # Threads other than the main one cannot do so.
        from apyfal import _ending
        _ending.prepare()
        return self._each(
            lambda worker, info: worker.start(stop_mode, src, info, host_env, reload, reset,
                                              **dict(parameters)),
            infos, lambda worker: None)

    def process_submit(self, src: Any = None, dst: Any = None,
                       info_dict: dict[str, Any] | None = None,
                       **parameters: Any) -> Future[dict[str, Any]]:
        """Runs one job in the background. See `apyfal.Accelerator.process_submit`.

        Raises:
            RuntimeError: The pool was stopped.
        """
        with self._lock:
            return self._idlest().process_submit(src, dst, info_dict, **parameters)

    def process_map(self, srcs: Iterable[Any] | None = None, dsts: Iterable[Any] | None = None,
                    timeout: float | None = None, info_list: list[Any] | None = None,
                    **parameters: Any) -> _map.Results:
        """Runs many jobs, their results in order. See `apyfal.Accelerator.process_map`."""
        def submit_all(jobs: list[_map.Wanted],
                       parameters: dict[str, Any]) -> Future[list[_map.Outcome]]:
            with self._lock:
                return self._idlest().client._submit_all(jobs, parameters)

        def quick() -> int:
            return min(worker.client._quick() for worker in self._workers)

        def width() -> int:
            return sum(worker.client._width() for worker in self._workers)
        return _map.mapped(self.process_submit, submit_all, quick, width, srcs, dsts, timeout,
                           info_list, parameters)

    def _idlest(self) -> Accelerator:
        """The one with the fewest jobs; its lock is held."""
        if self._stopped:
            raise RuntimeError('cannot schedule new futures after shutdown')
        return min(self._workers, key=lambda worker: worker.process_running_count)

    def stop(self, stop_mode: str | int | None = None, wait: bool = True,
             info_list: list[Any] | None = None) -> None:
        """Ends all of them at once, after their running jobs.

        Args:
            stop_mode: What becomes of the hosts, in place of what was said before.
            wait: Return once all have ended; else they end in the background.
            info_list: Gets one dictionary each.
        """
        check(stop_mode=stop_mode, info_list=info_list)
        with self._lock:
            self._stopped = True
        infos = self._infos(info_list)

        def end() -> None:
            self._each(lambda worker, info: worker.stop(stop_mode, info), infos,
                       lambda worker: worker._interrupted())
        if wait:
            end()
        else:
            threading.Thread(target=end, name='apyfal-pool-end').start()

    def _infos(self, info_list: list[Any] | None) -> list[dict[str, Any] | None]:
        if info_list is None:
            return [None for _ in self._workers]
        infos: list[dict[str, Any] | None] = [{} for _ in self._workers]
        info_list.extend(infos)
        return infos

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return (f"<apyfal.{type(self).__name__} accelerator='{self._accelerator}' "
                f"workers={len(self._workers)}>")

    def __reduce__(self) -> Any:
        raise TypeError(
            'a pool cannot be pickled: its accelerators belong to this process. '
            'Give the other process the configuration, and make one there')


def _content(src: Any) -> bytes:
    """What is in a file object."""
    content = b'' if isinstance(src, io.TextIOBase) else src.read()
    if isinstance(src, io.TextIOBase) or isinstance(content, str):
        raise TypeError("'src' is a file object of text: open it in binary mode")
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"'src.read()' returned '{type(content).__name__}', not bytes")
    return bytes(content)


# As users know it.
AcceleratorPoolExecutor.__module__ = 'apyfal'
