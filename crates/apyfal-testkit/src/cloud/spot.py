"""Spot requests of RunInstances: one-time ones end with their instance, persistent ones replace it
until they are cancelled."""

from collections.abc import Callable
from datetime import datetime, timezone

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import Instance
from moto.ec2.responses.spot_instances import SpotInstances
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, generic_filter, random_spot_request_id


class SpotRequest(TaggedEC2Resource):
    """What asked for an instance, and may ask again."""

    def __init__(
        self,
        backend,
        options: dict,
        tags: dict[str, str],
        again: Callable[["SpotRequest"], Instance],
    ) -> None:
        self.ec2_backend = backend
        self.id = self.spot_instance_request_id = random_spot_request_id()
        self.type = options.get("SpotInstanceType", "one-time")
        self.valid_until: datetime | None = options.get("ValidUntil")
        self.instance_interruption_behavior = options.get(
            "InstanceInterruptionBehavior", "terminate"
        )
        self.spot_price = options.get("MaxPrice", "1.000000")
        self.product_description = "Linux/UNIX"
        self.create_time = utcnow()
        self.state = "active"
        self.instance_id: str | None = None
        self.again = again
        self.add_tags(tags)

    @property
    def status(self) -> dict[str, object]:
        codes = {"active": "fulfilled", "disabled": "instance-stopped-by-user"}
        code = codes.get(self.state, "instance-terminated-by-user")
        return {"Code": code, "Message": code, "UpdateTime": self.create_time}

    def is_valid(self) -> bool:
        if self.valid_until is None:
            return True
        until = self.valid_until
        until = until if until.tzinfo else until.replace(tzinfo=timezone.utc)
        return datetime.now(timezone.utc) < until

    def take(self, instance: Instance) -> None:
        instance.lifecycle = "spot"
        instance.spot_instance_request_id = self.id
        self.instance_id, self.state = instance.id, "active"


def of(instance: Instance) -> SpotRequest | None:
    name = getattr(instance, "spot_instance_request_id", None)
    return instance.ec2_backend.spot_instance_requests.get(name)


def check_options(options: dict) -> None:
    is_persistent = options.get("SpotInstanceType", "one-time") == "persistent"
    behaviour = options.get("InstanceInterruptionBehavior", "terminate")
    if behaviour != "terminate" and not is_persistent:
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"The interruption behavior '{behaviour}' needs a persistent Spot request",
        )
    if options.get("ValidUntil") and not is_persistent:
        raise EC2ClientError(
            "InvalidParameterCombination", "ValidUntil needs a persistent Spot request"
        )
    if options.get("BlockDurationMinutes"):
        raise EC2ClientError("InvalidParameterValue", "BlockDurationMinutes is not supported")


def check_stop(instance: Instance) -> None:
    request = of(instance)
    if request and request.type == "one-time":
        raise EC2ClientError(
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{instance.id}' because it is associated with a "
            "one-time Spot Instance request. You can only stop Spot Instances associated with "
            "persistent Spot Instance requests.",
        )


def check_start(instance: Instance) -> None:
    request = of(instance)
    if request and instance.state == "stopped" and request.state == "cancelled":
        raise EC2ClientError(
            "IncorrectSpotRequestState",
            f"The Spot Instance request '{request.id}' of '{instance.id}' was cancelled.",
        )


def started(instance: Instance) -> None:
    if request := of(instance):
        request.state = "active"


def stopped(instance: Instance) -> None:
    request = of(instance)
    if request and request.state == "active":
        request.state = "disabled"


def terminated(instance: Instance) -> None:
    request = of(instance)
    if request is None or request.state not in ("active", "disabled"):
        return
    if request.type == "persistent" and request.is_valid():
        request.take(request.again(request))
    else:
        request.state = "closed"


def describe_spot_instance_requests(self: SpotInstances) -> ActionResult:
    requests = self.ec2_backend.spot_instance_requests
    names = self._get_param("SpotInstanceRequestIds", [])
    _check_known(requests, names)
    asked = [requests[name] for name in names or requests]
    found = generic_filter(self._filters_from_querystring(), asked)
    return ActionResult({"SpotInstanceRequests": found})


def cancel_spot_instance_requests(self: SpotInstances) -> ActionResult:
    requests = self.ec2_backend.spot_instance_requests
    names = self._get_param("SpotInstanceRequestIds", [])
    _check_known(requests, names)
    self.error_on_dryrun()
    for name in names:
        if requests[name].state != "closed":
            requests[name].state = "cancelled"
    changes = [{"SpotInstanceRequestId": name, "State": requests[name].state} for name in names]
    return ActionResult({"CancelledSpotInstanceRequests": changes})


def _check_known(requests: dict[str, SpotRequest], names: list[str]) -> None:
    for name in names:
        if name not in requests:
            raise EC2ClientError(
                "InvalidSpotInstanceRequestID.NotFound",
                f"The spot instance request ID '{name}' does not exist",
            )


def install() -> None:
    EC2_PREFIX_TO_RESOURCE["sir"] = "spot-instances-request"
    SpotInstances.describe_spot_instance_requests = describe_spot_instance_requests
    SpotInstances.cancel_spot_instance_requests = cancel_spot_instance_requests
