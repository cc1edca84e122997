"""RunInstances: what EC2 checks, the tokens by which it knows a request again, and what else than
an instance a request makes."""

import base64
import binascii
import copy
import time

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import Instance, Reservation
from moto.ec2.responses.instances import InstanceResponse
from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from . import images, spot
from .instances import Passing
from .settings import SETTINGS

MOST_USER_DATA = 16 << 10
TAGGED = {"instance", "volume", "network-interface", "spot-instances-request"}
FREE = {"t3.micro", "t3.small", "t4g.micro", "t4g.small", "c7i-flex.large", "m7i-flex.large"}

_run = InstanceResponse.run_instances
_parse_block_device_mapping = InstanceResponse._parse_block_device_mapping
# What was answered to which request, by region, zone and token.
_answered: dict[tuple[str, str, str], tuple[dict, Reservation]] = {}


def run_instances(self: InstanceResponse) -> ActionResult:
    token = self._get_param("ClientToken", "")
    if len(token) > 64:
        raise EC2ClientError("InvalidParameterValue", "A client token has at most 64 characters")
    asked = {name: value for name, value in self.querystring.items() if name != "ClientToken"}
    # The same token in another zone is that of another request.
    place = (self.region, zone(self), token)
    if token and place in _answered:
        return ActionResult(known(*_answered[place], asked))
    check(self)
    settle_subnet(self)
    reservation = launch(self)
    if self._get_param("InstanceMarketOptions.MarketType") == "spot":
        for instance in reservation.instances:
            ask_for_spot(self, instance)
    if token:
        _answered[place] = (asked, reservation)
    return ActionResult(reservation)


def zone(self: InstanceResponse) -> str:
    subnet = self._get_param("SubnetId")
    for interface in self._get_param("NetworkInterfaces", []):
        subnet = interface.get("SubnetId", subnet)
    if subnet:
        return self.ec2_backend.get_subnet(subnet).availability_zone
    return self._get_param("Placement.AvailabilityZone", "")


def settle_subnet(self: InstanceResponse) -> None:
    """What names no network is in a subnet of the default VPC, where its type is offered."""
    if self._get_param("SubnetId") or self._get_param("NetworkInterfaces", []):
        return
    name = self._get_param("InstanceType", "m1.small")
    offered = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(self.region, [])
    where = {offer["Location"] for offer in offered if offer["InstanceType"] == name}
    subnets = self.ec2_backend.get_default_subnets()
    place = self._get_param("Placement.AvailabilityZone")
    fitting = sorted(where & set(subnets)) if place is None else [place]
    # Where there is none, moto says so.
    if fitting and fitting[0] in subnets:
        self.params["SubnetId"] = subnets[fitting[0]].id


def known(before: dict, reservation: Reservation, asked: dict) -> Reservation:
    if before != asked:
        raise EC2ClientError(
            "IdempotentParameterMismatch",
            "The arguments on this idempotent request are inconsistent with arguments used in a "
            "previous request with the same client token",
        )
    if any(instance.state in ("shutting-down", "terminated") for instance in reservation.instances):
        raise EC2ClientError(
            "IdempotentInstanceTerminated",
            "The client token was used for an instance that has been terminated",
        )
    return reservation


def launch(self: InstanceResponse) -> Reservation:
    """Has moto make the instances, and completes them."""
    least = self._get_param("MinCount")
    self.params["MinCount"] = self._get_param("MaxCount")
    reservation = _run(self).result
    self.params["MinCount"] = least
    tags = self._parse_tag_specification().get("network-interface", {})
    kept = {
        int(interface.get("DeviceIndex", 0)): interface
        for interface in self._get_param("NetworkInterfaces", [])
    }
    for instance in reservation.instances:
        instance._state = Passing("pending", "running")
        instance.made = time.monotonic()
        for index, interface in instance.nics.items():
            asked = kept.get(index, {})
            if "NetworkInterfaceId" not in asked:
                interface.delete_on_termination = asked.get("DeleteOnTermination", True)
                interface.add_tags(tags)
    return reservation


def ask_for_spot(self: InstanceResponse, instance: Instance) -> None:
    options = self._get_param("InstanceMarketOptions.SpotOptions", {})
    tags = self._parse_tag_specification().get("spot-instances-request", {})
    # As it was asked for: the response object serves one request.
    asked = copy.copy(self)
    asked.params = copy.deepcopy(self.params)
    asked.params["MaxCount"] = 1

    def again(request: spot.SpotRequest) -> Instance:
        replaced = launch(asked).instances[0]
        replaced.client_token = instance.client_token
        return replaced

    request = spot.SpotRequest(self.ec2_backend, options, tags, again)
    self.ec2_backend.spot_instance_requests[request.id] = request
    request.take(instance)


def check(self: InstanceResponse) -> None:
    """Refuses what EC2 refuses, and moto does not."""
    least, most = self._get_param("MinCount"), self._get_param("MaxCount")
    if least is None or most is None:
        missing = "MinCount" if least is None else "MaxCount"
        raise EC2ClientError(
            "MissingParameter", f"The request must contain the parameter {missing}"
        )
    if not 0 < int(least) <= int(most):
        raise EC2ClientError("InvalidParameterCombination", "MinCount is greater than MaxCount")
    image = images.find(self)
    check_type(self, image.architecture)
    check_user_data(self._get_param("UserData"))
    if key := self._get_param("KeyName"):
        self.ec2_backend.describe_key_pairs(key_names=[key])
    check_profile(self)
    is_spot = self._get_param("InstanceMarketOptions.MarketType") == "spot"
    if is_spot:
        spot.check_options(self._get_param("InstanceMarketOptions.SpotOptions", {}))
    taggable = TAGGED if is_spot else TAGGED - {"spot-instances-request"}
    for specification in self._get_param("TagSpecifications", []):
        if specification.get("ResourceType") not in taggable:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"'{specification.get('ResourceType')}' is not a valid taggable resource type for "
                "this operation.",
            )


def check_type(self: InstanceResponse, architecture: str) -> None:
    name = self._get_param("InstanceType", "m1.small")
    description = INSTANCE_TYPES.get(name)
    if description is None:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    if SETTINGS.free_plan and name not in FREE:
        raise EC2ClientError(
            "InvalidParameterCombination",
            "The specified instance type is not eligible for Free Tier. For a list of Free Tier "
            "instance types, run 'describe-instance-types' with the filter "
            "'free-tier-eligible=true'.",
        )
    place = zone(self)
    kind, location = ("availability-zone", place) if place else ("region", self.region)
    offered = INSTANCE_TYPE_OFFERINGS[kind].get(self.region, [])
    where = {offer["Location"] for offer in offered if offer["InstanceType"] == name}
    if location not in where:
        raise EC2ClientError(
            "Unsupported",
            f"Your requested instance type ({name}) is not supported in your requested "
            f"Availability Zone ({location}). Please retry your request by not specifying an "
            f"Availability Zone or choosing {', '.join(sorted(where)) or 'another type'}.",
        )
    fitting = description.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"])
    if architecture not in fitting:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The architecture '{','.join(fitting)}' of the specified instance type does not match "
            f"the architecture '{architecture}' of the specified AMI. Specify an instance type and "
            "an AMI that have matching architectures, and try again.",
        )


def check_user_data(encoded: str | None) -> None:
    if not encoded:
        return
    try:
        size = len(base64.b64decode(str(encoded), validate=True))
    except binascii.Error:
        raise EC2ClientError(
            "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."
        ) from None
    if size > MOST_USER_DATA:
        raise EC2ClientError(
            "InvalidParameterValue", f"User data is limited to {MOST_USER_DATA} bytes"
        )


def check_profile(self: InstanceResponse) -> None:
    """A profile is known to EC2 some seconds after IAM made it."""
    for form in ("Name", "Arn"):
        value = self._get_param(f"IamInstanceProfile.{form}")
        if value is None:
            continue
        profiles = iam_backends[self.current_account][get_partition(self.region)].instance_profiles
        found = [
            profile
            for profile in profiles.values()
            if value in (profile.name, profile.arn)
            and time.time() - profile.create_date.timestamp() >= SETTINGS.profile
        ]
        if not found:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ({value}) for parameter iamInstanceProfile.{form.lower()} is invalid. "
                f"Invalid IAM Instance Profile {form.lower()}",
            )


def parse_block_device_mapping(self: InstanceResponse) -> list[dict]:
    """The root volume has the size of its image where none is asked for."""
    for mapping in self._get_param("BlockDeviceMappings", []):
        device = mapping.get("Ebs", {})
        if "Ebs" in mapping and not device.get("VolumeSize") and not device.get("SnapshotId"):
            if mapping.get("DeviceName") == images.find(self).root_device_name:
                device["VolumeSize"] = 8
    return _parse_block_device_mapping(self)


def install() -> None:
    InstanceResponse.run_instances = run_instances
    InstanceResponse._parse_block_device_mapping = parse_block_device_mapping
