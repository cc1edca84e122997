"""What a request asks for, whatever form its service gives it."""

import json
from functools import cache
from urllib.parse import parse_qsl, unquote

import botocore.session
from werkzeug.wrappers import Request

JSON_SERVICES = {"ssm", "servicequotas", "pricing"}
# Of no use to tests, and what nobody but the machine and its owner should see.
HIDDEN = {"UserData", "WebIdentityToken", "SecretAccessKey", "Action", "Version"}


class Call:
    """One call of an API of AWS."""

    def __init__(self, request: Request) -> None:
        self.method = request.method
        self.host = request.host
        self.path, _, self.query = request.environ["REQUEST_URI"].partition("?")
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.body = request.get_data(cache=False)
        self.arguments = dict(parse_qsl(self.query, keep_blank_values=True))
        self.scope = self._scope()
        self.region = self.scope[2] if len(self.scope) == 5 else ""
        service = self.scope[3] if len(self.scope) == 5 else ""
        form = self._form()
        # What needs no signature is asked of STS; what has none beside that, of S3.
        self.service = service or ("sts" if "Action" in form else "s3")
        self.parameters: dict[str, object] = {}
        if self.service == "s3":
            bucket, _, key = unquote(self.path).lstrip("/").partition("/")
            kind = (self.method, bool(bucket), bool(key))
            self.action = s3_action(kind, set(self.arguments), set(self.headers))
            named = (("Bucket", bucket), ("Key", key))
            self.parameters = {name: value for name, value in named if value}
        elif self.service in JSON_SERVICES:
            self.action = self.headers.get("x-amz-target", "").rpartition(".")[2]
            self.parameters = json.loads(self.body or b"{}")
        else:
            self.action = str(form.get("Action", ""))
            self.parameters = form

    def _scope(self) -> list[str]:
        """Key, date, region, service and end of what the request is signed with."""
        credential = self.arguments.get("X-Amz-Credential", "")
        authorization = self.headers.get("authorization", "")
        if "Credential=" in authorization:
            credential = authorization.split("Credential=")[1].split(",")[0]
        return credential.strip().split("/")

    def _form(self) -> dict[str, object]:
        form = dict(self.arguments)
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form.update(parse_qsl(self.body.decode(), keep_blank_values=True))
        return form

    def shown(self) -> dict[str, object]:
        """The parameters, without what is secret."""
        return {name: value for name, value in self.parameters.items() if name not in HIDDEN}


@cache
def s3_operations() -> list[tuple[str, tuple[str, bool, bool], frozenset[str], frozenset[str]]]:
    """The operations of S3: name, method with whether they have a bucket and a key, and which words
    their query and which headers they must have."""
    model = botocore.session.get_session().get_service_model("s3")
    operations = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        form = (operation.http["method"], "{Bucket}" in path, "{Key+}" in path)
        needed = {"querystring": {word.partition("=")[0] for word in query.split("&") if word}}
        shape = operation.input_shape
        for member in shape.required_members if shape else ():
            how = shape.members[member].serialization
            needed.setdefault(how.get("location", ""), set()).add(how.get("name"))
        words = frozenset(needed["querystring"] - {"x-id"})
        operations.append((name, form, words, frozenset(needed.get("header", ()))))
    return operations


def s3_action(form: tuple[str, bool, bool], query: set[str], headers: set[str]) -> str:
    """The operation of which a request has most."""
    fitting = [
        (len(words) + len(needed), name)
        for name, its_form, words, needed in s3_operations()
        if its_form == form and words <= query and needed <= headers
    ]
    return max(fitting, default=(0, ""))[1]
