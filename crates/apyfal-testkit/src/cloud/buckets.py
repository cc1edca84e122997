"""Whose a bucket is, and where: others can take any name."""

import re

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from .call import Call
from .errors import Refused

# Buckets of other accounts.
OTHERS: dict[str, str] = {}


def check(call: Call) -> None:
    name = str(call.parameters.get("Bucket", ""))
    if call.service != "s3" or not name:
        return
    if call.action == "CreateBucket":
        if name in OTHERS:
            raise Refused(
                409,
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by all "
                "users of the system. Please select a different name and try again.",
            )
        said = re.search(rb"<LocationConstraint>(.*?)</LocationConstraint>", call.body)
        place = said[1].decode() if said else "us-east-1"
        if place != call.region:
            raise Refused(
                400,
                "IllegalLocationConstraintException",
                f"The {place} location constraint is incompatible for the region specific endpoint "
                "this request was sent to.",
            )
        return
    owner = OTHERS.get(name, DEFAULT_ACCOUNT_ID)
    if call.headers.get("x-amz-expected-bucket-owner", owner) != owner:
        raise Refused(403, "AccessDenied", "Access Denied")
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(name)
    if bucket is not None and call.region and bucket.region_name != call.region:
        raise Refused(
            400,
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{call.region}' is wrong; "
            f"expecting '{bucket.region_name}'",
        )
