"""Errors in the form of each service."""

import json
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from .call import JSON_SERVICES, Call

# Why a signature is not taken, and what that is called by EC2, by other services with forms, by S3,
# and by those with JSON.
REFUSALS = {
    "unsigned": (
        "the request is not signed",
        (400, "MissingAuthenticationToken"),
        (403, "MissingAuthenticationToken"),
        (403, "AccessDenied"),
        (400, "MissingAuthenticationTokenException"),
    ),
    "key": (
        "the access key is not known",
        (401, "AuthFailure"),
        (403, "InvalidClientTokenId"),
        (403, "InvalidAccessKeyId"),
        (400, "UnrecognizedClientException"),
    ),
    "token": (
        "the session token is not that of the access key",
        (401, "AuthFailure"),
        (403, "InvalidClientTokenId"),
        (400, "InvalidToken"),
        (400, "UnrecognizedClientException"),
    ),
    "expired": (
        "the session token has expired",
        (400, "RequestExpired"),
        (403, "ExpiredToken"),
        (400, "ExpiredToken"),
        (400, "ExpiredTokenException"),
    ),
    "clock": (
        "Signature expired: the time of the request is too far from that of the server",
        (401, "AuthFailure"),
        (403, "SignatureDoesNotMatch"),
        (403, "RequestTimeTooSkewed"),
        (400, "InvalidSignatureException"),
    ),
    "signature": (
        "the signature does not match the request and the secret access key",
        (401, "AuthFailure"),
        (403, "SignatureDoesNotMatch"),
        (403, "SignatureDoesNotMatch"),
        (400, "InvalidSignatureException"),
    ),
    "denied": (
        "not authorized",
        (403, "UnauthorizedOperation"),
        (403, "AccessDenied"),
        (403, "AccessDenied"),
        (400, "AccessDeniedException"),
    ),
}


class Refused(Exception):
    """What AWS answers to a call that it refuses."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


def refuse(call: Call, reason: str, message: str | None = None) -> Refused:
    words, *codes = REFUSALS[reason]
    status, code = codes[{"ec2": 0, "iam": 1, "sts": 1, "s3": 2}.get(call.service, 3)]
    # EC2 does not tell why it does not know somebody.
    if code == "AuthFailure":
        words = "AWS was not able to validate the provided access credentials"
    return Refused(status, code, message or words)


def answer(service: str, method: str, refused: Refused) -> Response:
    """An error as the service words it."""
    code, message = escape(refused.code), escape(refused.message)
    if service in JSON_SERVICES:
        body = json.dumps({"__type": refused.code, "message": refused.message})
        kind = "application/x-amz-json-1.1"
    elif service == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            "</Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
        )
        kind = "text/xml;charset=UTF-8"
    elif service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        kind = "application/xml"
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}"
            "</Message></Error><RequestId>0</RequestId></ErrorResponse>"
        )
        kind = "text/xml"
    if method == "HEAD":
        body = ""
    elif kind != "application/x-amz-json-1.1":
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
    return Response(body, refused.status, content_type=kind)
