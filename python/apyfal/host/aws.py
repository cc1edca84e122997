"""Hosts on AWS."""
from __future__ import annotations

from typing import Any

from apyfal.host._csp import CSPHost

__all__ = ['AWSHost']


class AWSHost(CSPHost):
    """A host on EC2.

    This version makes no machines: it uses one that runs, by `host_ip`.

    Args:
        role: The name of the machine's role.
        policy: The name of its policy.
        delete_volumes_on_termination: Delete the machine's volumes with it.
        spot_instance: Ask for a spot instance.
        spot_block_duration: No longer offered by AWS.
        boto3_session_kwargs, boto3_client_kwargs, boto3_create_instances_kwargs:
            What boto3 takes in those places.
        kwargs: As of the other hosts of providers: `client_id`, `secret_id`, `region` and so on.
    """
    NAME = 'AWS'
    DOC_URL = 'https://aws.amazon.com'

    #: What the machine's role may do.
    POLICY_DOCUMENT: dict[str, Any] = {
        'Version': '2012-10-17',
        'Statement': [{
            'Sid': 'AllowFpgaCommands', 'Effect': 'Allow', 'Resource': ['*'],
            'Action': ['ec2:AssociateFpgaImage', 'ec2:DisassociateFpgaImage',
                       'ec2:DescribeFpgaImages']}]}
    #: Who may take the role.
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
                 boto3_create_instances_kwargs: dict[str, Any] | None = None,
                 **kwargs: Any) -> None:
        super().__init__(host_type, config, **kwargs)
        section = self._section()

        def given(name: str, value: Any) -> Any:
            return section.get_literal(name) if value is None else value
        self._role = role or section['role'] or f'{self._PARAMETER_PREFIX}Role'
        self._policy = policy or section['policy'] or f'{self._PARAMETER_PREFIX}Policy'
        self._delete_volumes = given('delete_volumes_on_termination',
                                     delete_volumes_on_termination)
        self._spot_instance = given('spot_instance', spot_instance)
        self._spot_block_duration = given('spot_block_duration', spot_block_duration)
        self._boto3_session_kwargs = given('boto3_session_kwargs', boto3_session_kwargs)
        self._boto3_client_kwargs = given('boto3_client_kwargs', boto3_client_kwargs)
        self._boto3_create_instances_kwargs = given(
            'boto3_create_instances_kwargs', boto3_create_instances_kwargs)

    @property
    def role(self) -> str:
        """The name of the machine's role."""
        return str(self._role)

    @property
    def policy(self) -> str:
        """The name of its policy."""
        return str(self._policy)
