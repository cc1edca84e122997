"""What hosts of providers have in common."""
from __future__ import annotations

from typing import Any

from apyfal.host import Host

__all__ = ['CSPHost']


class CSPHost(Host):
    """A host on a machine of a provider.

    Args:
        client_id: The access key.
        secret_id: Its secret.
        region: Where the machine is.
        instance_type: The type of machine; without it what the catalog says.
        key_pair: The name of the key pair for SSH.
        security_group: The name of the security group.
        instance_id: A machine that there is already, which is used and ended as the stop mode says.
        use_private_ip: Reach it by its private address.
        init_config: Whether the machine gets the configuration, or a file to send instead.
        init_script: A script of bash that the machine runs at its start.
        ssl_cert_crt: Its certificate: a path; False for plain HTTP.
        ssl_cert_key: The key of that.
        ssl_cert_generate: Make both.
        kwargs: As of `apyfal.host.Host`.
    """
    #: The ports that the caller's address may reach.
    ALLOW_PORTS = {22, 80, 443}

    _INFO_NAMES = Host._INFO_NAMES | {
        'public_ip', 'private_ip', 'host_ip', 'region', 'instance_type', 'instance_type_name',
        'instance_id', 'key_pair', 'security_group', 'region_parameters'}

    def __init__(self, host_type: str | None = None, config: Any = None,
                 client_id: str | None = None, secret_id: str | None = None,
                 region: str | None = None, instance_type: str | None = None,
                 key_pair: str | None = None, security_group: str | None = None,
                 instance_id: str | None = None, init_config: Any = None,
                 init_script: Any = None, ssl_cert_crt: Any = None, ssl_cert_key: Any = None,
                 ssl_cert_generate: bool | None = None, use_private_ip: bool | None = None,
                 stop_mode: str | int | None = None, **kwargs: Any) -> None:
        super().__init__(host_type, config, **kwargs)
        section = self._section()
        self._client_id = client_id or section['client_id']
        self._secret_id = secret_id or section['secret_id']
        self._region = region or section['region']
        self._instance_type = instance_type or section['instance_type']
        self._instance_id = instance_id or section['instance_id']
        prefix = self._PARAMETER_PREFIX
        self._key_pair = key_pair or section['key_pair'] or f'{prefix}{self.NAME}KeyPair'
        self._security_group = (
            security_group or section['security_group'] or f'{prefix}SecurityGroup')
        self._use_private_ip = bool(
            section.get_literal('use_private_ip') if use_private_ip is None else use_private_ip)
        self._init_config = section['init_config'] if init_config is None else init_config
        self._init_script = init_script or section['init_script']
        self._ssl_cert_crt = ssl_cert_crt
        self._ssl_cert_key = ssl_cert_key
        self._ssl_cert_generate = ssl_cert_generate
        if stop_mode is None and section['stop_mode'] is None and self._instance_id:
            stop_mode = 'keep'
        self.stop_mode = stop_mode

    @property
    def region(self) -> str | None:
        """Where the machine is."""
        return self._region

    @property
    def instance_type(self) -> str | None:
        """The type of machine."""
        return self._instance_type

    @property
    def instance_id(self) -> str | None:
        """The machine's id."""
        return self._instance_id

    @property
    def key_pair(self) -> str:
        """The name of the key pair for SSH."""
        return str(self._key_pair)

    @property
    def security_group(self) -> str:
        """The name of the security group."""
        return str(self._security_group)

    @property
    def ssl_cert_crt(self) -> Any:
        """The certificate that the host is known by."""
        return self._ssl_cert_crt
