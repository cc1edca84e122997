"""Hosts on AWS."""
from __future__ import annotations

import copy
from typing import Any

from apyfal._literals import carried
from apyfal.configuration import Configuration
from apyfal.host._csp import CSPHost

__all__ = ['AWSHost']


class AWSHost(CSPHost):
    """A host on EC2.

    Args:
        role: The name of the machine's role.
        policy: The name of its policy.
        delete_volumes_on_termination: Delete the machine's volumes with it.
        spot_instance: Ask for a spot instance.
        spot_block_duration: No longer offered by AWS.
        subnet_id, availability_zone, security_group_ids: The network that it is in.
        s3_buckets: The buckets that its jobs may reach by its own rights: names, or ``'all'``.
        boto3_session_kwargs, boto3_client_kwargs, boto3_create_instances_kwargs:
            What boto3 takes in those places: dictionaries, also with bytes, times and `botocore.config.Config`.
        kwargs: As of the other hosts of providers: `client_id`, `secret_id`, `region` and so on.
    """
    NAME = 'AWS'
    DOC_URL = 'https://aws.amazon.com'

    #: What the machine's role may do: it has one where an FPGA or buckets need it, or where this is changed. What
    #: named buckets take is added.
    POLICY_DOCUMENT: dict[str, Any] = {
        'Version': '2012-10-17',
        'Statement': [{
            'Sid': 'AllowFpgaCommands', 'Effect': 'Allow', 'Resource': ['*'],
            'Action': ['ec2:AssociateFpgaImage', 'ec2:DisassociateFpgaImage',
                       'ec2:DescribeFpgaImages']}]}
    #: Who may take the role. Changed, there is one.
    ASSUME_ROLE_POLICY_DOCUMENT: dict[str, Any] = {
        'Version': '2012-10-17',
        'Statement': {'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'},
                      'Action': 'sts:AssumeRole'}}
    #: How spot instances are asked for.
    SPOT_INSTANCE_MARKET_OPTIONS: dict[str, Any] = {
        'InstanceMarketOptions': {
            'MarketType': 'spot',
            'SpotOptions': {'SpotInstanceType': 'one-time',
                            'InstanceInterruptionBehavior': 'terminate'}}}

    _INFO_NAMES = CSPHost._INFO_NAMES | {'role', 'policy'}

    def __init__(self, host_type: str | None = None, config: Any = None,
                 role: str | None = None, policy: str | None = None,
                 delete_volumes_on_termination: bool | None = None,
                 spot_instance: bool | None = None, spot_block_duration: int | None = None,
                 boto3_session_kwargs: dict[str, Any] | None = None,
                 boto3_client_kwargs: dict[str, Any] | None = None,
                 boto3_create_instances_kwargs: dict[str, Any] | None = None, *,
                 subnet_id: str | None = None, availability_zone: str | None = None,
                 security_group_ids: Any = None, s3_buckets: Any = None,
                 **kwargs: Any) -> None:
        super().__init__(host_type, config, **kwargs)
        self._say(role=role, policy=policy,
                  delete_volumes_on_termination=delete_volumes_on_termination,
                  spot_instance=spot_instance, spot_block_duration=spot_block_duration,
                  boto3_session_kwargs=boto3_session_kwargs,
                  boto3_client_kwargs=boto3_client_kwargs,
                  boto3_create_instances_kwargs=boto3_create_instances_kwargs,
                  subnet_id=subnet_id, availability_zone=availability_zone,
                  security_group_ids=security_group_ids, s3_buckets=s3_buckets)
        # What of the class is none is told where the host is named.
        self._of_class()

    @property
    def role(self) -> str:
        """The name of the machine's role."""
        return self._named('role', 'Role')

    @property
    def policy(self) -> str:
        """The name of its policy."""
        return self._named('policy', 'Policy')

    def _wanted(self) -> Configuration:
        config = super()._wanted()
        section = config[f'host.{self.NAME}']
        options = self.SPOT_INSTANCE_MARKET_OPTIONS
        if options != _DEFAULTS['SPOT_INSTANCE_MARKET_OPTIONS'] \
                and section.get_literal('spot_instance') is not False:
            key = 'boto3_create_instances_kwargs'
            under = carried(options, 'SPOT_INSTANCE_MARKET_OPTIONS')
            section[key] = _merged(under, section.get_literal(key) or {})
        return config

    def _of_class(self) -> dict[str, Any]:
        values = {key: (getattr(self, name), name) for name, key in _SETTINGS.items()}
        return {
            key: carried(sorted(value) if isinstance(value, (set, frozenset)) else value, name)
            for key, (value, name) in values.items() if value != _DEFAULTS[name]}


#: What of the class is a setting of its own, where it was changed.
_SETTINGS = {
    'POLICY_DOCUMENT': 'policy_document',
    'ASSUME_ROLE_POLICY_DOCUMENT': 'assume_role_policy_document',
    'ALLOW_PORTS': 'allow_ports',
}
_DEFAULTS = {name: copy.deepcopy(getattr(AWSHost, name))
             for name in (*_SETTINGS, 'SPOT_INSTANCE_MARKET_OPTIONS')}


def _merged(under: Any, over: Any) -> Any:
    """A dictionary over another one, at any depth."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {**under, **{key: _merged(under.get(key), value) for key, value in over.items()}}
