"""What boto3 gets of the cloud of the tests: all that it asks for rightly, and what AWS refuses."""

import ipaddress
import json
import os
import socket
import time
import unittest
import urllib.request
from datetime import datetime, timedelta
from unittest import mock

import boto3
from botocore import auth
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = Config(retries={"total_max_attempts": 1})
UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"


def client(service, **words):
    return boto3.client(service, config=ONCE, **words)


def cloud(what, **words):
    url = f"{os.environ['AWS_ENDPOINT_URL']}/_cloud/{what}"
    data = json.dumps(words).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def run(ec2, **words):
    words = {
        "ImageId": f"resolve:ssm:{UBUNTU}",
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        **words,
    }
    return ec2.run_instances(**words)["Instances"][0]


def clock_off_by(off):
    return mock.patch.object(auth, "get_current_datetime", lambda **_: datetime.utcnow() + off)


def spot(**options):
    return {"MarketType": "spot", "SpotOptions": options}


class Case(unittest.TestCase):
    def setUp(self):
        self.ec2 = client("ec2")

    def refused(self, code, call, *args, **words):
        with self.assertRaises(ClientError) as caught:
            call(*args, **words)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response["Error"]["Message"]

    def state(self, name, state):
        for _ in range(2000):
            found = self.describe(name)
            if found["State"]["Name"] == state:
                return found
            time.sleep(0.01)
        self.fail(f"{name} does not become {state}: {found}")

    def describe(self, name):
        found = self.ec2.describe_instances(InstanceIds=[name])
        return found["Reservations"][0]["Instances"][0]


class Signatures(Case):
    CALLS = [
        ("ec2", lambda it: it.describe_instances()),
        ("sts", lambda it: it.get_caller_identity()),
        ("iam", lambda it: it.list_roles()),
        ("s3", lambda it: it.list_buckets()),
        ("ssm", lambda it: it.get_parameter(Name=UBUNTU)),
    ]

    def test_the_right_ones_are_taken(self):
        for service, call in self.CALLS:
            call(client(service))

    def test_wrong_ones_are_refused_as_each_service_does(self):
        unknown = {"aws_access_key_id": "AKIDNOBODY", "aws_secret_access_key": "x"}
        codes = ["AuthFailure", "InvalidClientTokenId", "InvalidClientTokenId"]
        codes += ["InvalidAccessKeyId", "UnrecognizedClientException"]
        for (service, call), code in zip(self.CALLS, codes):
            self.refused(code, call, client(service, **unknown))
        wrong = {"aws_secret_access_key": "x", "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"]}
        codes = ["AuthFailure", *["SignatureDoesNotMatch"] * 3, "InvalidSignatureException"]
        for (service, call), code in zip(self.CALLS, codes):
            self.refused(code, call, client(service, **wrong))
        codes = ["AuthFailure", "InvalidClientTokenId", "InvalidClientTokenId", "InvalidToken"]
        for (service, call), code in zip(self.CALLS, codes):
            self.refused(code, call, client(service, aws_session_token="x", **OWNER))

    def test_the_clock_must_be_right(self):
        codes = ["AuthFailure", "SignatureDoesNotMatch", "SignatureDoesNotMatch"]
        codes += ["RequestTimeTooSkewed", "InvalidSignatureException"]
        for off in (timedelta(minutes=20), -timedelta(minutes=20)):
            for (service, call), code in zip(self.CALLS, codes):
                with clock_off_by(off):
                    self.refused(code, call, client(service))

    def test_a_role_may_do_what_its_policy_says(self):
        iam, sts = client("iam"), client("sts")
        trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}
        role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))
        may = {
            "Effect": "Allow",
            "Action": ["ec2:Describe*", "s3:GetObject"],
            "Resource": "*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
        iam.put_role_policy(RoleName="reader", PolicyName="may", PolicyDocument=policy)
        given = sts.assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="me")["Credentials"]
        keys = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        ec2 = client("ec2", **keys)
        ec2.describe_instances()
        self.refused("UnauthorizedOperation", run, ec2)
        self.refused("AccessDenied", client("iam", **keys).list_roles)
        self.refused("AccessDenied", client("s3", **keys).create_bucket, Bucket="x")
        iam.delete_role_policy(RoleName="reader", PolicyName="may")
        iam.delete_role(RoleName="reader")


OWNER = {
    "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
    "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
}


class Buckets(Case):
    def test_objects_come_and_go_by_signed_urls_too(self):
        s3 = boto3.client("s3", config=Config(signature_version="s3v4"))
        s3.create_bucket(Bucket="mine")
        s3.put_object(
            Bucket="mine", Key="a/b c+d", Body=b"text", ExpectedBucketOwner="123456789012"
        )
        self.assertEqual(s3.get_object(Bucket="mine", Key="a/b c+d")["Body"].read(), b"text")
        self.assertEqual(s3.head_object(Bucket="mine", Key="a/b c+d")["ContentLength"], 4)
        s3.upload_file(__file__, "mine", "multi")
        words = {"Bucket": "mine", "Key": "a/b c+d"}
        url = s3.generate_presigned_url("get_object", Params=words, ExpiresIn=60)
        self.assertIn("X-Amz-Signature", url)
        with urllib.request.urlopen(url) as answer:
            self.assertEqual(answer.read(), b"text")
        for broken in (
            url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"),
            url.replace("a/b", "multi#"),
        ):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(broken)
            self.assertEqual(caught.exception.code, 403)
        with clock_off_by(-timedelta(seconds=61)):
            url = s3.generate_presigned_url("get_object", Params=words, ExpiresIn=60)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url)
        self.assertEqual(caught.exception.code, 403)

    def test_the_owner_that_is_expected_is_checked(self):
        s3 = client("s3")
        cloud("bucket-of-another", bucket="taken")
        self.refused("BucketAlreadyExists", s3.create_bucket, Bucket="taken")
        words = {"Bucket": "taken", "Key": "x", "Body": b""}
        self.refused("AccessDenied", s3.put_object, ExpectedBucketOwner="123456789012", **words)

    def test_a_bucket_is_in_one_region(self):
        there = client("s3", region_name="eu-west-1")
        place = {"LocationConstraint": "eu-west-1"}
        self.refused("IllegalLocationConstraintException", there.create_bucket, Bucket="there")
        there.create_bucket(Bucket="there", CreateBucketConfiguration=place)
        there.put_object(Bucket="there", Key="x", Body=b"")


class Instances(Case):
    def test_a_token_makes_one_instance(self):
        one = run(self.ec2, ClientToken="t")
        self.assertEqual(run(self.ec2, ClientToken="t")["InstanceId"], one["InstanceId"])
        self.refused(
            "IdempotentParameterMismatch", run, self.ec2, ClientToken="t", InstanceType="t3.small"
        )
        elsewhere = run(self.ec2, ClientToken="t", Placement={"AvailabilityZone": "us-east-1b"})
        self.assertNotEqual(elsewhere["InstanceId"], one["InstanceId"])
        by_token = [{"Name": "client-token", "Values": ["t"]}]
        found = self.ec2.describe_instances(Filters=by_token)["Reservations"]
        self.assertEqual(len(found), 2)
        self.refused(
            "InvalidParameterValue",
            self.ec2.describe_instances,
            Filters=[{"Name": "x", "Values": ["y"]}],
        )
        names = [one["InstanceId"], elsewhere["InstanceId"]]
        self.ec2.terminate_instances(InstanceIds=names)
        self.refused("IdempotentInstanceTerminated", run, self.ec2, ClientToken="t")

    def test_states_take_a_moment(self):
        made = run(self.ec2)
        name = made["InstanceId"]
        self.assertEqual(made["State"]["Name"], "pending")
        self.state(name, "running")
        changed = self.ec2.stop_instances(InstanceIds=[name])["StoppingInstances"][0]
        self.assertEqual(changed["PreviousState"]["Name"], "running")
        self.assertEqual(changed["CurrentState"]["Name"], "stopping")
        self.refused("IncorrectInstanceState", self.ec2.start_instances, InstanceIds=[name])
        self.assertNotIn("PublicIpAddress", self.state(name, "stopped"))
        self.ec2.start_instances(InstanceIds=[name])
        self.assertIn("PublicIpAddress", self.state(name, "running"))
        for _ in range(2):
            self.ec2.terminate_instances(InstanceIds=[name])
        self.state(name, "terminated")
        self.refused("IncorrectInstanceState", self.ec2.start_instances, InstanceIds=[name])

    def test_what_names_no_network_is_in_the_default_one(self):
        made = run(self.ec2, Placement={"AvailabilityZone": "us-east-1c"})
        subnet = self.ec2.describe_subnets(SubnetIds=[made["SubnetId"]])["Subnets"][0]
        self.assertTrue(subnet["DefaultForAz"])
        self.assertEqual(subnet["AvailabilityZone"], "us-east-1c")
        network = ipaddress.ip_network(subnet["CidrBlock"])
        self.assertIn(ipaddress.ip_address(made["PrivateIpAddress"]), network)
        self.assertIn("PublicIpAddress", self.state(made["InstanceId"], "running"))
        self.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])

    def test_what_its_groups_let_in(self):
        group = self.ec2.create_security_group(GroupName="g", Description="x")["GroupId"]
        for words in (
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 23, "CidrIp": "10.0.0.0/8"},
            {"IpProtocol": "-1", "CidrIp": "10.1.0.0/16"},
        ):
            self.ec2.authorize_security_group_ingress(GroupId=group, **words)
        name = run(self.ec2, SecurityGroupIds=[group])["InstanceId"]
        rules = cloud("instances")[-1]["rules"]
        ssh = {"protocol": "tcp", "first": 22, "last": 23, "source": "10.0.0.0/8"}
        every = {"protocol": "-1", "first": None, "last": None, "source": "10.1.0.0/16"}
        self.assertEqual(rules, [ssh, every])
        self.ec2.terminate_instances(InstanceIds=[name])

    def test_what_is_tagged_is_all_of_it(self):
        kinds = ("instance", "volume", "network-interface", "spot-instances-request")
        tags = [{"ResourceType": kind, "Tags": [{"Key": "by", "Value": "me"}]} for kind in kinds]
        root = {"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": True, "Encrypted": True}}
        made = run(
            self.ec2,
            InstanceMarketOptions=spot(),
            TagSpecifications=tags,
            BlockDeviceMappings=[root],
        )
        tagged = self.ec2.describe_tags(Filters=[{"Name": "tag:by", "Values": ["me"]}])["Tags"]
        self.assertEqual(sorted(tag["ResourceType"] for tag in tagged), sorted(kinds))
        self.assertEqual(made["InstanceLifecycle"], "spot")
        self.refused("InvalidParameterValue", run, self.ec2, TagSpecifications=tags)
        left = cloud("left")
        self.assertIn(made["NetworkInterfaces"][0]["NetworkInterfaceId"], left["interfaces"])
        self.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
        left = cloud("left")
        self.assertEqual((left["interfaces"], left["volumes"], left["spot_requests"]), ([], [], []))

    def test_what_does_not_exist_is_refused(self):
        for code, words in (
            ("InvalidParameterValue", {"InstanceType": "x9.huge"}),
            (
                "Unsupported",
                {"InstanceType": "f2.6xlarge", "Placement": {"AvailabilityZone": "us-east-1f"}},
            ),
            ("InvalidParameterValue", {"InstanceType": "t4g.micro"}),
            ("InvalidAMIID.NotFound", {"ImageId": "ami-0123456789abcdef0"}),
            ("InvalidAMIID.Malformed", {"ImageId": "ubuntu"}),
            ("InvalidParameterValue", {"ImageId": "resolve:ssm:/no/such"}),
            ("InvalidKeyPair.NotFound", {"KeyName": "x"}),
            ("InvalidSubnetID.NotFound", {"SubnetId": "subnet-0123456789abcdef0"}),
            ("InvalidGroup.NotFound", {"SecurityGroupIds": ["sg-0123456789abcdef0"]}),
            ("InvalidParameterValue", {"IamInstanceProfile": {"Name": "x"}}),
            ("InvalidParameterValue", {"UserData": "x" * 16385}),
            ("InvalidParameterCombination", {"MinCount": 2}),
        ):
            with self.subTest(words):
                self.refused(code, run, self.ec2, **words)
        self.assertEqual(cloud("left")["instances"], [])
        several = self.ec2.run_instances(
            ImageId=f"resolve:ssm:{UBUNTU}", MinCount=1, MaxCount=2, UserData="x" * 16384
        )
        names = [instance["InstanceId"] for instance in several["Instances"]]
        self.assertEqual(len(names), 2)
        self.ec2.terminate_instances(InstanceIds=names)

    def test_a_new_instance_is_not_found_at_first(self):
        cloud("settings", unseen=3600)
        name = run(self.ec2)["InstanceId"]
        self.refused("InvalidInstanceID.NotFound", self.describe, name)
        self.refused("InvalidInstanceID.NotFound", self.ec2.terminate_instances, InstanceIds=[name])
        self.assertEqual(self.ec2.describe_instances()["Reservations"], [])
        self.assertEqual(cloud("left")["instances"], [name])
        cloud("settings", unseen=0)
        self.ec2.terminate_instances(InstanceIds=[name])

    def test_an_instance_that_shuts_itself_down(self):
        name = run(self.ec2)["InstanceId"]
        self.state(name, "running")
        cloud("shut-down", instance=name)
        self.state(name, "stopped")
        self.ec2.start_instances(InstanceIds=[name])
        self.state(name, "running")
        behaviour = {"Value": "terminate"}
        self.ec2.modify_instance_attribute(
            InstanceId=name, InstanceInitiatedShutdownBehavior=behaviour
        )
        cloud("console", instance=name, text="the end")
        self.assertEqual(self.ec2.get_console_output(InstanceId=name)["Output"], "the end")
        cloud("shut-down", instance=name)
        ended = self.state(name, "terminated")
        self.assertEqual(ended["StateReason"]["Code"], "Client.InstanceInitiatedShutdown")


class Spot(Case):
    def test_a_one_time_request_ends_with_its_instance(self):
        made = run(self.ec2, InstanceMarketOptions=spot(SpotInstanceType="one-time"))
        name = made["InstanceId"]
        self.state(name, "running")
        self.refused("UnsupportedOperation", self.ec2.stop_instances, InstanceIds=[name])
        self.ec2.terminate_instances(InstanceIds=[name])
        asked = self.ec2.describe_spot_instance_requests(
            SpotInstanceRequestIds=[made["SpotInstanceRequestId"]]
        )["SpotInstanceRequests"][0]
        self.assertEqual((asked["State"], asked["Type"]), ("closed", "one-time"))

    def test_a_persistent_request_replaces_its_instance_until_it_is_cancelled(self):
        options = spot(SpotInstanceType="persistent", InstanceInterruptionBehavior="stop")
        made = run(self.ec2, InstanceMarketOptions=options, UserData="again")
        request = made["SpotInstanceRequestId"]
        self.state(made["InstanceId"], "running")
        self.ec2.stop_instances(InstanceIds=[made["InstanceId"]])
        self.assertEqual(self.request(request)["State"], "disabled")
        self.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
        replaced = self.request(request)["InstanceId"]
        self.assertNotEqual(replaced, made["InstanceId"])
        self.assertEqual(cloud("instances")[-1]["user_data"], "again")
        self.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request])
        self.ec2.terminate_instances(InstanceIds=[replaced])
        self.assertEqual(cloud("left")["instances"], [])

    def request(self, name):
        asked = self.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[name])
        return asked["SpotInstanceRequests"][0]


class Faults(Case):
    def test_an_action_fails_as_often_as_it_is_said(self):
        cloud(
            "fail", action="RunInstances", code="InsufficientInstanceCapacity", status=500, times=1
        )
        self.refused("InsufficientInstanceCapacity", run, self.ec2)
        name = run(self.ec2)["InstanceId"]
        self.ec2.terminate_instances(InstanceIds=[name])

    def test_an_answer_is_lost(self):
        cloud("fail", action="RunInstances", lost=True, times=1)
        ec2 = boto3.client("ec2", config=Config(retries={"total_max_attempts": 2}))
        before = len(cloud("calls"))
        name = run(ec2, ClientToken="lost")["InstanceId"]
        calls = [call for call in cloud("calls")[before:] if call["action"] == "RunInstances"]
        self.assertEqual(len(calls), 2)
        self.assertEqual(calls[0]["parameters"]["InstanceType"], "t3.micro")
        self.assertEqual(cloud("left")["instances"], [name])
        self.ec2.terminate_instances(InstanceIds=[name])


if __name__ == "__main__":
    socket.setdefaulttimeout(60)
    unittest.main()
