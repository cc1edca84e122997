"""Who signed a call: what AWS checks before it looks at anything else."""

import hashlib
import hmac
from datetime import datetime, timedelta, timezone

from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from .call import Call
from .errors import Refused, refuse
from .keys import Key
from .settings import SETTINGS

MAY_DIFFER = timedelta(minutes=15)
UNSIGNED_ACTIONS = {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}
# What a policy calls some of the operations of S3.
S3_RIGHTS = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListBuckets": "ListAllMyBuckets",
}


def check(call: Call) -> None:
    """Refuses what is not signed rightly, by a known key that may do it, and now."""
    presigned = "X-Amz-Signature" in call.arguments
    words = call.arguments if presigned else _words(call)
    if len(call.scope) != 5 or "X-Amz-Signature" not in words:
        if call.action in UNSIGNED_ACTIONS:
            return
        raise refuse(call, "unsigned")
    key = Key.find(call.scope[0])
    if key is None:
        raise refuse(call, "key")
    if (words.get("X-Amz-Security-Token") or None) != key.token:
        raise refuse(call, "token")
    now = SETTINGS.now()
    if key.expires and key.expires < now:
        raise refuse(call, "expired")
    signed = datetime.strptime(words["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    if presigned:
        if signed + timedelta(seconds=int(words["X-Amz-Expires"])) < now:
            raise Refused(403, "AccessDenied", "Request has expired")
        if signed > now + MAY_DIFFER:
            raise Refused(403, "AccessDenied", "Request is not yet valid")
    elif abs(now - signed) > MAY_DIFFER:
        raise refuse(call, "clock")
    if call.scope[1] != words["X-Amz-Date"][:8]:
        raise refuse(call, "signature")
    if not hmac.compare_digest(_signature(call, key, words, presigned), words["X-Amz-Signature"]):
        raise refuse(call, "signature")
    _check_body(call)
    action = S3_RIGHTS.get(call.action, call.action) if call.service == "s3" else call.action
    right = f"{call.service}:{action}"
    path = "/".join(
        str(call.parameters[name]) for name in ("Bucket", "Key") if name in call.parameters
    )
    resource = f"arn:aws:s3:::{path or '*'}" if call.service == "s3" else "*"
    if not key.may(right, resource):
        raise refuse(call, "denied", f"User: {key.arn} is not authorized to perform: {right}")


def _words(call: Call) -> dict[str, str]:
    """What a header says of the signature, by the names that a query has for it."""
    algorithm, _, rest = call.headers.get("authorization", "").partition(" ")
    if algorithm != "AWS4-HMAC-SHA256":
        return {}
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    return {
        "X-Amz-Date": call.headers.get("x-amz-date", ""),
        "X-Amz-Security-Token": call.headers.get("x-amz-security-token", ""),
        "X-Amz-SignedHeaders": parts.get("SignedHeaders", ""),
        "X-Amz-Signature": parts.get("Signature", ""),
    }


class _Headers:
    """Signs the headers that the client signed, all of them and no other."""

    signed: list[str]

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        headers = HTTPHeaders()
        for name in self.signed:
            headers[name] = request.headers[name]
        return headers


class _Plain(_Headers, SigV4Auth):
    pass


class _OfS3(_Headers, S3SigV4Auth):
    pass


class _OfQuery(_Headers, SigV4QueryAuth):
    def payload(self, request: AWSRequest) -> str:
        return "UNSIGNED-PAYLOAD"

    def _normalize_url_path(self, path: str) -> str:
        return path


def _signature(call: Call, key: Key, words: dict[str, str], presigned: bool) -> str:
    query = "&".join(
        part for part in call.query.split("&") if part and not part.startswith("X-Amz-Signature=")
    )
    url = f"http://{call.host}{call.path}" + (f"?{query}" if query else "")
    request = AWSRequest(call.method, url, headers=call.headers, data=call.body)
    request.context["timestamp"] = words["X-Amz-Date"]
    kind = _OfQuery if presigned else _OfS3 if call.service == "s3" else _Plain
    auth = kind(Credentials(call.scope[0], key.secret, key.token), call.scope[3], call.scope[2])
    auth.signed = words["X-Amz-SignedHeaders"].split(";")
    if any(name not in call.headers for name in auth.signed) or "host" not in auth.signed:
        raise refuse(call, "signature")
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)


def _check_body(call: Call) -> None:
    said = call.headers.get("x-amz-content-sha256", "")
    if len(said) == 64 and said != hashlib.sha256(call.body).hexdigest():
        raise Refused(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
