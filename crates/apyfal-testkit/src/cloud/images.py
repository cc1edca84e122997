"""Images: those of today's systems, the parameters that name them, and what EC2 refuses."""

from datetime import datetime, timezone

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import AMIS, Ami
from moto.ec2.responses.instances import InstanceResponse
from moto.ssm.models import Parameter, ParameterDict, ssm_backends

CANONICAL, DEBIAN = "099720109477", "136693071363"
UBUNTU = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{architecture}-server-{date}"
DATES = ("20260101", "20260601")
# Image, owner, architecture, name, root device, and the parameter of the newest.
SYSTEMS = [
    (
        "ami-0a0000000000000{}0",
        CANONICAL,
        "x86_64",
        UBUNTU.replace("{architecture}", "amd64"),
        "/dev/sda1",
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
    ),
    (
        "ami-0a0000000000000{}1",
        CANONICAL,
        "arm64",
        UBUNTU.replace("{architecture}", "arm64"),
        "/dev/sda1",
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
    ),
    (
        "ami-0a0000000000000{}2",
        DEBIAN,
        "x86_64",
        "debian-12-amd64-{date}-1",
        "/dev/xvda",
        "/aws/service/debian/release/12/latest/amd64",
    ),
    (
        "ami-0a0000000000000{}3",
        DEBIAN,
        "arm64",
        "debian-12-arm64-{date}-1",
        "/dev/xvda",
        "/aws/service/debian/release/12/latest/arm64",
    ),
]

_check_loading_status = ParameterDict._check_loading_status


def find(self: InstanceResponse) -> Ami:
    """The image that a request names, by its id or by a parameter that has it."""
    name = self._get_param("ImageId")
    if not name:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    if name.startswith("resolve:ssm:"):
        path = name.removeprefix("resolve:ssm:")
        parameter = ssm_backends[self.current_account][self.region].get_parameter(path)
        if parameter is None:
            raise EC2ClientError(
                "InvalidParameterValue", f"The parameter '{path}' does not name an image"
            )
        name = self.params["ImageId"] = parameter.value
    return self.ec2_backend.describe_images(ami_ids=[name])[0]


def check_loading_status(self: ParameterDict, key: str) -> None:
    """Those of Ubuntu and Debian are there too."""
    _check_loading_status(self, key)
    for image, *_, path in SYSTEMS:
        if key and path.startswith(str(key)) and not dict.get(self, path):
            parameter = Parameter(
                account_id=self.account_id,
                name=path,
                value=image.format(len(DATES)),
                parameter_type="String",
                description=None,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=datetime(2026, 6, 1, tzinfo=timezone.utc),
                version=1,
                data_type="aws:ec2:image",
            )
            dict.__setitem__(self, path, [parameter])


def add(name: str, backends: list) -> None:
    """Debian under another name, in the regions that somebody asked for and in those to come."""
    stock = next(image for image in AMIS if image["owner_id"] == DEBIAN)
    AMIS.append(stock | {"ami_id": name})
    for backend in backends:
        backend.amis[name] = Ami(backend, **AMIS[-1])


def install() -> None:
    for image, owner, architecture, name, root, _ in SYSTEMS:
        for number, date in enumerate(DATES, 1):
            AMIS.append(
                {
                    "ami_id": image.format(number),
                    "state": "available",
                    "public": True,
                    "owner_id": owner,
                    "image_location": "amazon/x",
                    "sriov": "simple",
                    "root_device_type": "ebs",
                    "root_device_name": root,
                    "description": name.format(date=date),
                    "image_type": "machine",
                    "platform": None,
                    "architecture": architecture,
                    "name": name.format(date=date),
                    "virtualization_type": "hvm",
                    "hypervisor": "xen",
                    "creation_date": f"{date[:4]}-{date[4:6]}-{date[6:]}T00:00:00.000Z",
                }
            )
    ParameterDict._check_loading_status = check_loading_status
