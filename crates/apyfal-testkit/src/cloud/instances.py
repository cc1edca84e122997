"""Instances as EC2 has them: states that take a moment, and that refuse what does not fit them."""

import time
from collections.abc import Callable

from moto.core.responses import ActionResult, EmptyResult
from moto.core.types import Base64EncodedString
from moto.ec2 import utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState, StateReason
from moto.ec2.responses.general import General
from moto.ec2.responses.instances import InstanceResponse

from . import spot
from .settings import SETTINGS

CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
# Those that moto does not know, and where the answer is.
FILTERS = {
    "client-token": "client_token",
    "instance-lifecycle": "lifecycle",
    "spot-instance-request-id": "spot_instance_request_id",
    "instance.group-id": "security_groups.id",
    "instance-state-code": "state_code",
}


class Passing:
    """A state that is reached after a moment."""

    def __init__(self, through: str, to: str) -> None:
        self.through, self.to, self.since = through, to, time.monotonic()

    @property
    def name(self) -> str:
        is_there = time.monotonic() - self.since >= SETTINGS.moment
        return self.to if is_there else self.through

    @property
    def code(self) -> int:
        return CODES[self.name]


def passing(original: Callable[[Instance], InstanceState], through: str, to: str):
    """What moto does at once, with the state that EC2 shows meanwhile."""

    def moved(instance: Instance) -> InstanceState:
        instance._state = InstanceState(instance.state, instance.state_code)
        previous = original(instance)
        instance._state = Passing(through, to)
        return previous

    return moved


def cannot(instance: Instance, what: str) -> EC2ClientError:
    return EC2ClientError(
        "IncorrectInstanceState",
        f"This instance '{instance.id}' is not in a state from which it can be {what}.",
    )


def change(instance: Instance, previous: InstanceState) -> dict[str, object]:
    current = {"Code": instance.state_code, "Name": instance.state}
    return {"InstanceId": instance.id, "CurrentState": current, "PreviousState": previous}


def counted(original: Callable[[Instance], InstanceState]):
    """How often an instance was started shows who watches it that it was stopped meanwhile."""

    def start(instance: Instance) -> InstanceState:
        instance.starts += 1
        return original(instance)

    return start


def start_instances(self: InstanceResponse) -> ActionResult:
    instances = self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", []))
    for instance in instances:
        if instance.state not in ("stopped", "pending", "running"):
            raise cannot(instance, "started")
        spot.check_start(instance)
    self.error_on_dryrun()
    changes = []
    for instance in instances:
        previous = InstanceState(instance.state, instance.state_code)
        if previous.name == "stopped":
            instance.start()
            spot.started(instance)
        changes.append(change(instance, previous))
    return ActionResult({"StartingInstances": changes})


def stop_instances(self: InstanceResponse) -> ActionResult:
    instances = self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", []))
    for instance in instances:
        if instance.state not in ("running", "stopping", "stopped"):
            raise cannot(instance, "stopped")
        spot.check_stop(instance)
    self.error_on_dryrun()
    changes = []
    for instance in instances:
        previous = InstanceState(instance.state, instance.state_code)
        if previous.name == "running":
            self.ec2_backend.stop_instances([instance.id])
            spot.stopped(instance)
        changes.append(change(instance, previous))
    return ActionResult({"StoppingInstances": changes})


def terminate_instances(self: InstanceResponse) -> ActionResult:
    self.error_on_dryrun()
    instances = self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", []))
    changes = []
    for instance in instances:
        previous = InstanceState(instance.state, instance.state_code)
        if previous.name not in ("shutting-down", "terminated"):
            self.ec2_backend.terminate_instances([instance.id])
            spot.terminated(instance)
        changes.append(change(instance, previous))
    return ActionResult({"TerminatingInstances": changes})


def shut_itself_down(instance: Instance) -> None:
    """What becomes of an instance whose system shuts down."""
    if instance.state != "running":
        return
    if instance.instance_initiated_shutdown_behavior == "terminate":
        instance.terminate()
        spot.terminated(instance)
    else:
        instance.stop()
        spot.stopped(instance)
    code = "Client.InstanceInitiatedShutdown"
    instance._reason = ""
    instance.state_reason = StateReason(f"{code}: Instance initiated shutdown", code)


def modify_instance_attribute(original: Callable[[InstanceResponse], ActionResult]):
    def modify(self: InstanceResponse) -> ActionResult:
        behaviour = self._get_param("InstanceInitiatedShutdownBehavior.Value")
        if behaviour is None:
            return original(self)
        if behaviour not in ("stop", "terminate"):
            message = f"Invalid value '{behaviour}' for InstanceInitiatedShutdownBehavior"
            raise EC2ClientError("InvalidParameterValue", message)
        self.error_on_dryrun()
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        instance.instance_initiated_shutdown_behavior = behaviour
        return EmptyResult()

    return modify


def get_console_output(self: General) -> ActionResult:
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    console = getattr(instance, "console", "")
    output = Base64EncodedString.from_raw_string(console) if console else None
    return ActionResult(
        {"InstanceId": instance.id, "Timestamp": instance.launch_time, "Output": output}
    )


def all_reservations(original: Callable):
    """Without those that are too new to be seen by everybody."""

    def seen(self: InstanceBackend, filters: object = None) -> list:
        now = time.monotonic()
        reservations = original(self)
        for reservation in reservations:
            reservation.instances = [
                instance
                for instance in reservation.instances
                if now - getattr(instance, "made", 0.0) >= SETTINGS.unseen
            ]
        reservations = [reservation for reservation in reservations if reservation.instances]
        return utils.filter_reservations(reservations, filters) if filters else reservations

    return seen


def passes_filter_dict(original: Callable[[Instance, dict], bool]):
    def passes(instance: Instance, filters: dict) -> bool:
        try:
            return original(instance, filters)
        except NotImplementedError:
            raise EC2ClientError(
                "InvalidParameterValue", f"One of the filters {list(filters)} is invalid"
            ) from None

    return passes


def install() -> None:
    Instance.starts = 1
    Instance.start = counted(passing(Instance.start, "pending", "running"))
    Instance.stop = passing(Instance.stop, "stopping", "stopped")
    Instance.terminate = passing(Instance.terminate, "shutting-down", "terminated")
    InstanceBackend.all_reservations = all_reservations(InstanceBackend.all_reservations)
    InstanceResponse.start_instances = start_instances
    InstanceResponse.stop_instances = stop_instances
    InstanceResponse.terminate_instances = terminate_instances
    InstanceResponse.modify_instance_attribute = modify_instance_attribute(
        InstanceResponse.modify_instance_attribute
    )
    General.get_console_output = get_console_output
    utils.filter_dict_attribute_mapping.update(FILTERS)
    utils.passes_filter_dict = passes_filter_dict(utils.passes_filter_dict)
