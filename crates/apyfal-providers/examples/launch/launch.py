"""What a program of boto3 does for the same machines as `Aws`: the same calls, one after the other.

Each line that comes is a job, and is answered with the seconds that it took, of the clock and of the
processor. Neither the start of Python nor the import of boto3 counts.
"""

import base64
import functools
import hashlib
import json
import os
import pathlib
import sys
import time

import boto3
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

GROUP, KEY, ROLE, POLICY, PROFILE = "Group", "Key", "Role", "Policy", "Profile"
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
MAY = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
MISSING = {"NoSuchEntity", "404"}


def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def existing(call, **parameters):
    """An answer; none where there is no such thing."""
    try:
        return call(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] not in MISSING:
            raise
        return None


def all_pages(client, operation, **parameters):
    return list(client.get_paginator(operation).paginate(**parameters))


def launch(job):
    session = boto3.Session()
    ec2, iam, s3, ssm, sts = map(session.client, ("ec2", "iam", "s3", "ssm", "sts"))
    account = sts.get_caller_identity()["Account"]
    image = ssm.get_parameter(Name=job["parameter"])["Parameter"]["Value"]
    ec2.describe_images(ImageIds=[image])
    ec2.describe_instance_types(InstanceTypes=[job["instance_type"]])
    default = [{"Name": "default-for-az", "Values": ["true"]}]
    subnets = ec2.describe_subnets(Filters=default)["Subnets"]
    group = security_group(ec2, subnets[0]["VpcId"])
    key_pair(ec2)
    rights(iam)
    url = put(s3, f"bucket-of-{account}", account, job["artifact"], job["sha256"])
    ec2.run_instances(
        ImageId=image,
        InstanceType=job["instance_type"],
        MinCount=1,
        MaxCount=1,
        KeyName=KEY,
        SecurityGroupIds=[group],
        IamInstanceProfile={"Name": PROFILE},
        UserData=f"#!/bin/sh\ncurl -o /run/agent '{url}'\n",
    )


def security_group(ec2, vpc):
    found = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    for group in found["SecurityGroups"]:
        if group["GroupName"] == GROUP:
            return group["GroupId"]
    made = ec2.create_security_group(GroupName=GROUP, Description="Hosts", VpcId=vpc)
    for port in (22, 443):
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
        rule["IpRanges"] = [{"CidrIp": "192.0.2.7/32"}]
        ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[rule])
    return made["GroupId"]


def key_pair(ec2):
    found = ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    if any(pair["KeyName"] == KEY for pair in found):
        return
    private = Ed25519PrivateKey.generate()
    path = pathlib.Path.home() / f"{KEY}.pem"
    path.touch(mode=0o600)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    ec2.import_key_pair(KeyName=KEY, PublicKeyMaterial=public)


def rights(iam):
    role = existing(iam.get_role, RoleName=ROLE)
    existing(iam.list_attached_role_policies, RoleName=ROLE)
    if role is None:
        all_pages(iam, "list_roles")
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document(TRUST))
    pages = all_pages(iam, "list_policies", Scope="Local")
    policies = [one for page in pages for one in page["Policies"] if one["PolicyName"] == POLICY]
    for policy in policies:
        version = policy["DefaultVersionId"]
        iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=version)
    if not policies:
        policies = [iam.create_policy(PolicyName=POLICY, PolicyDocument=document(MAY))["Policy"]]
    if existing(iam.get_instance_profile, InstanceProfileName=PROFILE) is None:
        all_pages(iam, "list_instance_profiles")
        iam.create_instance_profile(InstanceProfileName=PROFILE)
        iam.attach_role_policy(RoleName=ROLE, PolicyArn=policies[0]["Arn"])
        iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=ROLE)


def put(s3, bucket, account, path, sha256):
    """Puts a file there, unless it is there; a URL by which it can be fetched."""
    place = {"Bucket": bucket, "Key": sha256}
    owner = {"ExpectedBucketOwner": account}
    if existing(s3.head_object, **place, **owner) is None:
        if existing(s3.head_bucket, Bucket=bucket, **owner) is None:
            s3.create_bucket(Bucket=bucket)
            kinds = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
            closed = dict.fromkeys(kinds, True)
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed, **owner)
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with open(path, "rb") as file:
            s3.put_object(Body=file, ChecksumSHA256=checksum, **place, **owner)
        s3.head_object(**place, **owner)
    return s3.generate_presigned_url("get_object", Params=place)


@functools.cache
def kept_client():
    return boto3.Session().client("ec2")


def fill(job):
    """Makes the machines that are listed."""
    image = boto3.Session().client("ssm").get_parameter(Name=job["parameter"])["Parameter"]["Value"]
    tags = [{"Key": key, "Value": value} for key, value in job["tags"].items()]
    kept_client().run_instances(
        ImageId=image,
        InstanceType=job["instance_type"],
        MinCount=job["count"],
        MaxCount=job["count"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )


def list_all(job):
    wanted = [{"Name": "tag:apyfal:installation", "Values": [job["tags"]["apyfal:installation"]]}]
    pages = all_pages(kept_client(), "describe_instances", Filters=wanted)
    found = [i for page in pages for group in page["Reservations"] for i in group["Instances"]]
    assert len(found) == job["count"], len(found)


def warm(job):
    """Has the cloud read what it reads at the first call of each service."""
    session = boto3.Session()
    session.client("sts").get_caller_identity()
    session.client("ssm").get_parameter(Name=job["parameter"])
    session.client("iam").list_roles()
    session.client("s3").list_buckets()
    ec2 = session.client("ec2")
    ec2.describe_images(Filters=[{"Name": "name", "Values": ["none"]}])
    ec2.describe_instance_types(InstanceTypes=[job["instance_type"]])


JOBS = {"warm": warm, "launch": launch, "fill": fill, "list": list_all}

for line in sys.stdin:
    job = json.loads(line)
    os.environ.update(job["environment"])
    wall, processor = time.perf_counter(), time.process_time()
    JOBS[job["do"]](job)
    spent = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    print(json.dumps(spent), flush=True)
