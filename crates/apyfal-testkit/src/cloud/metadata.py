"""The metadata service of instances, version 2: whoever asks from an instance's address is it."""

import base64
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models.instances import Instance
from moto.sts.models import sts_backends
from werkzeug.wrappers import Request, Response

from .control import all_instances, as_json

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


class Metadata:
    """The service, as a WSGI application."""

    def __init__(self, lock: threading.Lock) -> None:
        self.lock = lock
        self.tokens: dict[str, str] = {}

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        with self.lock:
            response = self.answer(Request(environ))
        return response(environ, start_response)

    def answer(self, request: Request) -> Response:
        # An address is given out again once its instance has ended.
        living = (one for one in all_instances() if one.state in ("pending", "running"))
        instance = next((one for one in living if one.private_ip == request.remote_addr), None)
        if instance is None:
            return Response("there is no such instance", 404)
        if request.path == "/latest/api/token":
            if request.method != "PUT" or TTL not in request.headers:
                return Response("", 400)
            token = secrets.token_urlsafe()
            self.tokens[token] = instance.id
            return Response(token, headers={TTL: request.headers[TTL]})
        given = request.headers.get(TOKEN)
        if given is None and instance.metadata_options.http_tokens == "required":
            return Response("", 401)
        if given is not None and self.tokens.get(given) != instance.id:
            return Response("", 401)
        return self.tell(instance, request.path)

    def tell(self, instance: Instance, path: str) -> Response:
        role = role_of(instance)
        credentials = "/latest/meta-data/iam/security-credentials/"
        if role and path == f"{credentials}{role.name}":
            return as_json(credentials_of(instance, role))
        texts = {
            "/latest/meta-data/instance-id": instance.id,
            "/latest/meta-data/local-ipv4": instance.private_ip,
            "/latest/meta-data/public-ipv4": instance.public_ip,
            "/latest/meta-data/public-keys/0/openssh-key": public_key_of(instance),
            "/latest/meta-data/placement/availability-zone": instance.placement.zone,
            "/latest/meta-data/placement/region": instance.region_name,
            credentials: role and role.name,
        }
        if text := texts.get(path):
            return Response(text)
        if path == "/latest/user-data" and instance.user_data:
            return Response(base64.b64decode(str(instance.user_data)))
        return Response("", 404)


def public_key_of(instance: Instance) -> bytes | None:
    pair = instance.ec2_backend.key_pairs.get(instance.key_name)
    return pair and pair.material_public


def role_of(instance: Instance):
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    roles = association.iam_instance_profile.roles if association else []
    return roles[0] if roles else None


def credentials_of(instance: Instance, role) -> dict[str, str]:
    given = getattr(instance, "credentials", None)
    if given is None:
        sts = sts_backends[DEFAULT_ACCOUNT_ID]["aws"]
        given = instance.credentials = sts.assume_role(
            instance.region_name, instance.id, role.arn, "", 6 * 3600, ""
        )
    return {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": given.access_key_id,
        "SecretAccessKey": given.secret_access_key,
        "Token": given.session_token,
        "Expiration": datetime.strftime(given.expiration, "%Y-%m-%dT%H:%M:%SZ"),
    }
