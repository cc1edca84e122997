"""Accelerators that run on hosts already."""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from apyfal import configuration as _cfg
from apyfal import exceptions as _exc
from apyfal._accelerator import Accelerator
from apyfal.host import Host

__all__ = ['iter_accelerators']


def iter_accelerators(config: Any = None, host_name_prefix: bool | str = True,
                      **filters: str) -> Iterator[Accelerator]:
    """The accelerators of hosts that run, of all types of host that the configuration names.

    Args:
        config: A configuration, or what `apyfal.configuration.Configuration` takes.
        host_name_prefix: What their hosts' names begin with: True for what the configuration says, False for any.
        filters: Regular expressions that what is known of a host must match from its start: `host_type`,
            `accelerator`, `instance_id`, `instance_type`, `public_ip`, `private_ip`, `host_name`,
            `security_group`, `image_id`, `key_pair`, `url`.
    """
    config = _cfg.create_configuration(config)
    kinds = {name.partition('.')[2] for name in config if name.startswith('host.')}
    kinds.add(config['host']['host_type'] or '')
    patterns = {key: re.compile(pattern) for key, pattern in filters.items()}
    for kind in sorted(kind for kind in kinds if kind and kind.lower() != 'localhost'):
        try:
            hosts = list(Host(host_type=kind, config=config).iter_hosts(host_name_prefix))
        except _exc.HostException:
            # One that cannot be asked has nothing to tell.
            continue
        for known in hosts:
            if all(pattern.match(str(known.get(key, ''))) for key, pattern in patterns.items()):
                yield Accelerator(accelerator=known.get('accelerator'), config=config,
                                  host_type=kind, host_ip=known.get('public_ip'),
                                  stop_mode='keep')
