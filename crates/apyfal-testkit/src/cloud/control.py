"""What tests ask of the cloud itself: `/_cloud/…`, JSON in and out."""

import base64
import json
import threading

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from werkzeug.wrappers import Request, Response

from . import buckets, images, instances
from .faults import Fault, Faults, Kill
from .settings import SETTINGS


class Control:
    def __init__(self, faults: Faults, lock: threading.Lock) -> None:
        self.faults, self.lock = faults, lock

    def answer(self, request: Request) -> Response:
        name = request.path.removeprefix("/_cloud/").replace("-", "_")
        asked = getattr(self, f"on_{name}", None)
        if asked is None:
            return Response(f"there is no {request.path}", 404)
        with self.lock:
            return as_json(asked(request.get_json(silent=True) or {}))

    def on_settings(self, asked: dict) -> None:
        for name, value in asked.items():
            setattr(SETTINGS, name, value)

    def on_fail(self, asked: dict) -> None:
        self.faults.add(Fault(**asked))

    def on_kill(self, asked: dict) -> None:
        self.faults.kill(Kill(**asked))

    def on_calls(self, _: dict) -> list:
        return self.faults.calls

    def on_instances(self, _: dict) -> list:
        return [shown(instance) for instance in all_instances()]

    def on_shut_down(self, asked: dict) -> None:
        instances.shut_itself_down(find(asked["instance"]))

    def on_console(self, asked: dict) -> None:
        find(asked["instance"]).console = asked["text"]

    def on_image(self, asked: dict) -> None:
        images.add(asked["id"], backends())

    def on_bucket_of_another(self, asked: dict) -> None:
        buckets.OTHERS[asked["bucket"]] = asked.get("owner", "999999999999")

    def on_left(self, _: dict) -> dict:
        """What somebody made and did not delete."""
        return left()


def as_json(value: object) -> Response:
    return Response(json.dumps(value), content_type="application/json")


def backends() -> list:
    return list(ec2_backends[DEFAULT_ACCOUNT_ID].values())


def all_instances() -> list[Instance]:
    """Those of all regions, and those that nobody may see yet."""
    return [
        instance
        for backend in backends()
        for reservation in backend.reservations.values()
        for instance in reservation.instances
    ]


def find(name: str) -> Instance:
    return next(instance for instance in all_instances() if instance.id == name)


def shown(instance: Instance) -> dict:
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    user_data = base64.b64decode(str(instance.user_data or ""))
    return {
        "id": instance.id,
        "region": instance.region_name,
        "zone": instance.placement.zone,
        "state": instance.state,
        "starts": instance.starts,
        "private_address": instance.private_ip,
        "public_address": instance.public_ip,
        "user_data": user_data.decode(errors="replace"),
        "at_shutdown": instance.instance_initiated_shutdown_behavior,
        "rules": rules(instance),
        "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
        "profile": association and association.iam_instance_profile.name,
        "client_token": instance.client_token,
        "image": instance.image_id,
        "instance_type": instance.instance_type,
        "key_name": instance.key_name,
        "spot_request": getattr(instance, "spot_instance_request_id", None),
    }


def rules(instance: Instance) -> list[dict]:
    """What the security groups of an instance let in."""
    groups = {group.id: group for nic in instance.nics.values() for group in nic.group_set}
    return [
        {
            "protocol": rule.ip_protocol,
            "first": rule.from_port,
            "last": rule.to_port,
            "source": rule.ip_range.get("CidrIp") or rule.ip_range.get("CidrIpv6"),
        }
        for group in groups.values()
        for rule in group.ingress_rules
    ]


def left() -> dict[str, list[str]]:
    every = backends()
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    living = [one for one in all_instances() if one.state not in ("shutting-down", "terminated")]
    return {
        "instances": [instance.id for instance in living],
        "spot_requests": [
            request.id
            for backend in every
            for request in backend.spot_instance_requests.values()
            if request.state in ("open", "active", "disabled")
        ],
        "volumes": [name for backend in every for name in backend.volumes],
        "interfaces": [name for backend in every for name in backend.enis],
        "security_groups": [
            group.name
            for backend in every
            for groups in backend.groups.values()
            for group in groups.values()
            if group.name != "default"
        ],
        "key_pairs": [name for backend in every for name in backend.key_pairs],
        "roles": list(role.name for role in iam.roles.values()),
        "profiles": list(profile.name for profile in iam.instance_profiles.values()),
        "policies": [p.name for p in iam.managed_policies.values() if ":aws:policy/" not in p.arn],
        "buckets": list(s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets),
    }
