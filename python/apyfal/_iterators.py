"""Accelerators that run on hosts already."""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from apyfal import configuration as _cfg
from apyfal import exceptions as _exc
from apyfal._accelerator import Accelerator
from apyfal._arguments import text
from apyfal._logging import get_logger
from apyfal.host._made import MadeHost, running

__all__ = ['iter_accelerators']

_FILTERS = ('accelerator', 'host_name', 'host_type', 'image_id', 'instance_id', 'instance_type',
            'key_pair', 'private_ip', 'public_ip', 'region', 'security_group', 'url')


def iter_accelerators(config: Any = None, host_name_prefix: bool | str = True,
                      **filters: str) -> Iterator[Accelerator]:
    """The accelerators of the hosts that this installation has made and that run. Their hosts are kept at the end,
    unless another stop mode is said.

    Args:
        config: A configuration, or what `apyfal.configuration.Configuration` takes.
        host_name_prefix: What their hosts' names begin with: True for what the configuration says, False for any.
        filters: Regular expressions that what is known of a host must match from its start: `accelerator`,
            `host_name`, `host_type`, `image_id`, `instance_id`, `instance_type`, `key_pair`, `private_ip`,
            `public_ip`, `region`, `security_group`, `url`.

    Raises:
        apyfal.exceptions.HostConfigurationException: What a filter is of is not known of hosts, or it is no regular
            expression.
    """
    config = _cfg.create_configuration(config)
    patterns = {key: _pattern(key, pattern) for key, pattern in filters.items()}
    hosts, errors = running(config, host_name_prefix)
    for error in errors:
        # One that cannot be asked has nothing to tell.
        get_logger().warning('%s', error)
    for known in hosts:
        if all(pattern.match(str(known.get(key) or '')) for key, pattern in patterns.items()):
            yield _accelerator(config, known)


def _pattern(key: str, pattern: str) -> re.Pattern[str]:
    if key not in _FILTERS:
        raise _exc.HostConfigurationException(
            f"hosts cannot be chosen by '{key}': of each is known {', '.join(_FILTERS)}")
    try:
        return re.compile(text(pattern, key))
    except re.error as error:
        raise _exc.HostConfigurationException(
            f"'{key}' cannot be '{pattern}', which is no regular expression: {error}") from None


def _accelerator(config: _cfg.Configuration, known: dict[str, Any]) -> Accelerator:
    where = {'region': known['region']} if known.get('region') else {}
    accelerator = Accelerator(
        accelerator=known['accelerator'], config=config, host_type=known['host_type'],
        stop_mode='keep', prefer_self_hosted=False, instance_id=known['instance_id'], **where)
    host = accelerator.host
    assert isinstance(host, MadeHost)
    # It answers from the listing.
    host._known = known
    return accelerator
