"""What hosts of providers have in common."""
from __future__ import annotations

from typing import Any

from apyfal.configuration import Configuration
from apyfal.exceptions import HostConfigurationException
from apyfal.host import PARAMETER_PREFIX
from apyfal.host._made import MadeHost

__all__ = ['CSPHost']


class CSPHost(MadeHost):
    """A host on a machine of a provider.

    Args:
        client_id: The access key.
        secret_id: Its secret.
        region: Where the machine is.
        key_pair: The name of the key pair for SSH.
        security_group: The name of the security group.
        allowed_cidr: The addresses that may reach it; the caller's alone without it.
        use_private_ip: Reach it by its private address.
        init_config: Whether the machine gets the configuration, or a file to send instead.
        init_script: A script that the machine runs at its start: a path or URL.
        ssl_cert_crt: Its certificate: a path; False for plain HTTP.
        ssl_cert_key: The key of that.
        ssl_cert_generate: Make both.
        agent: The agent that it gets: a path or URL.
        agent_sha256: The SHA-256 of that.
        kwargs: As of the other hosts that are made: `instance_id`, `instance_type`, `image_id` and so on.
    """
    def __init__(self, host_type: str | None = None, config: Any = None,
                 client_id: str | None = None, secret_id: str | None = None,
                 region: str | None = None, instance_type: str | None = None,
                 key_pair: str | None = None, security_group: str | None = None,
                 instance_id: str | None = None, init_config: Any = None,
                 init_script: Any = None, ssl_cert_crt: Any = None, ssl_cert_key: Any = None,
                 ssl_cert_generate: bool | None = None, use_private_ip: bool | None = None,
                 stop_mode: str | int | None = None, *, allowed_cidr: Any = None,
                 agent: Any = None, agent_sha256: str | None = None, **kwargs: Any) -> None:
        super().__init__(host_type, config, stop_mode=stop_mode, instance_id=instance_id,
                         instance_type=instance_type, **kwargs)
        self._say(client_id=client_id, secret_id=secret_id, region=region, key_pair=key_pair,
                  security_group=security_group, init_config=init_config,
                  init_script=init_script, ssl_cert_crt=ssl_cert_crt, ssl_cert_key=ssl_cert_key,
                  ssl_cert_generate=ssl_cert_generate, use_private_ip=use_private_ip,
                  allowed_cidr=allowed_cidr, agent=agent, agent_sha256=agent_sha256)

    def _named(self, key: str, default: str) -> str:
        return self._text(key) or f'{self._PARAMETER_PREFIX}{default}'

    def _wanted(self) -> Configuration:
        config = super()._wanted()
        # Rights have names only where there are to be some.
        if self._PARAMETER_PREFIX != PARAMETER_PREFIX:
            section = config[f'host.{self.NAME}']
            for key in ('key_pair', 'security_group'):
                section[key] = section[key] or getattr(self, key)
        return config

    def _there(self, needs: dict[str, Any]) -> dict[str, Any]:
        regions = sorted(key for key, value in needs.items() if isinstance(value, dict) and key != 'env')
        if not regions:
            return {}
        if not self.region:
            raise HostConfigurationException(
                f"'accel_parameters' are by region, and none is named: region='{regions[0]}'")
        there = needs.get(self.region, needs.get('*'))
        if there is None:
            raise HostConfigurationException(
                f"'accel_parameters' say nothing of the region '{self.region}': there is {', '.join(regions)}")
        return dict(there)

    @property
    def region(self) -> str | None:
        """Where the machine is."""
        return self._text('region')

    @property
    def key_pair(self) -> str:
        """The name of the key pair for SSH."""
        return self._named('key_pair', f'{self.NAME}KeyPair')

    @property
    def security_group(self) -> str:
        """The name of the security group."""
        return self._named('security_group', 'SecurityGroup')

    @property
    def ssl_cert_crt(self) -> Any:
        """The certificate that the host is known by."""
        return self._section().get_literal('ssl_cert_crt')
