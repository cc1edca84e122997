"""The access keys that AWS gave out, and what they may do."""

from dataclasses import dataclass, field
from datetime import datetime, timezone

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

# The pair of the documentation. It may do everything.
OWNER = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@dataclass
class Key:
    """An access key that AWS gave out."""

    secret: str
    arn: str
    token: str | None = None
    expires: datetime | None = None
    # None where it may do everything.
    policies: list[object] | None = field(default=None, repr=False)

    @classmethod
    def find(cls, name: str) -> "Key | None":
        if name == OWNER[0]:
            return cls(OWNER[1], f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:root")
        iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for user in iam.users.values():
            for key in user.access_keys:
                if key.access_key_id == name:
                    inline = [iam.get_user_policy(user.name, policy) for policy in user.policies]
                    attached, _ = iam.list_attached_user_policies(user.name)
                    return cls(key.secret_access_key, user.arn, policies=inline + list(attached))
        for assumed in sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assumed_roles:
            if assumed.access_key_id == name:
                role = assumed.role_arn.split("/")[-1]
                inline = [
                    iam.get_role_policy(role, policy)[1] for policy in iam.list_role_policies(role)
                ]
                attached, _ = iam.list_attached_role_policies(role)
                return cls(
                    assumed.secret_access_key,
                    assumed.arn,
                    assumed.session_token,
                    assumed.expiration.replace(tzinfo=timezone.utc),
                    inline + list(attached),
                )
        return None

    def may(self, right: str, resource: str) -> bool:
        if self.policies is None or right == "sts:GetCallerIdentity":
            return True
        results = [
            IAMPolicy(policy).is_action_permitted(right, resource) for policy in self.policies
        ]
        return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results
