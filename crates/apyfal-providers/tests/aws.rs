//! Hosts on AWS keep the contract of every provider, against a cloud that is as strict.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use apyfal_core::{Configuration, Environment, ErrorKind, Image};
use apyfal_providers::{
    AgentNeeds, AtShutdown, Aws, Boot, HostFilter, HostSpec, Provider, Script, Token,
};
use apyfal_testkit::{Cloud, Fault};

const IMAGE: &str =
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";

fn spec() -> HostSpec {
    let text = "#!/bin/sh\ntouch /run/told\n".to_owned();
    HostSpec {
        name: "accelize_gzip_261128010203".to_owned(),
        accelerator: "gzip".to_owned(),
        installation: "here".to_owned(),
        instance_type: Some("t3.medium".to_owned()),
        image: Some(Image::Parameter { ssm: IMAGE.to_owned() }),
        fpga_image: None,
        at_shutdown: AtShutdown::Stop,
        idle_timeout: Some(Duration::from_secs(1800)),
        max_lifetime: Some(Duration::from_secs(43200)),
        boot: Boot::Script(Script { text, artifacts: Vec::new(), agent: AgentNeeds::default() }),
    }
}

struct Account {
    cloud: Cloud,
    home: tempfile::TempDir,
}

impl Account {
    fn new() -> Self {
        Self { cloud: Cloud::start().unwrap(), home: tempfile::tempdir().unwrap() }
    }

    fn aws(&self, more: &str) -> Aws {
        let text = format!("[host]\nhost_type = AWS\nallowed_cidr = 192.0.2.7\n{more}");
        let variables = self.cloud.environment().into_iter();
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let environment =
            Environment { variables: variables.collect(), home: Some(self.home.path().to_owned()) };
        let configuration = Configuration::parse(text.as_bytes(), "accelerator.conf").unwrap();
        Aws::new(&configuration, &environment, None).unwrap()
    }
}

#[tokio::test]
async fn machines_of_ec2_are_a_provider() {
    let account = Account::new();
    apyfal_testkit::provider_suite(&account.aws(""), &spec()).await;
}

#[tokio::test]
async fn what_is_wrong_is_told_before_a_machine_is_asked_for() {
    let account = Account::new();
    let prepared = async |more: &str, spec: HostSpec| {
        account.aws(more).prepare(&spec).await.map(drop).unwrap_err()
    };
    let agent = AgentNeeds { architecture: Some("aarch64".into()), glibc: None };
    let other = |agent| {
        let script = Script { text: "#!/bin/sh\n".into(), artifacts: Vec::new(), agent };
        HostSpec { boot: Boot::Script(script), ..spec() }
    };
    for (error, why) in [
        (prepared("", HostSpec { instance_type: Some("f1.2xlarge".into()), ..spec() }).await, "F1"),
        (
            prepared("", HostSpec { instance_type: Some("t4g.medium".into()), ..spec() }).await,
            "arm64",
        ),
        (
            prepared("", HostSpec { instance_type: Some("x9.none".into()), ..spec() }).await,
            "x9.none",
        ),
        (prepared("", other(agent)).await, "aarch64"),
        (
            prepared("", other(AgentNeeds { architecture: None, glibc: Some((2, 99)) })).await,
            "C library 2.99",
        ),
        (prepared("subnet_id = subnet-00000000\n", spec()).await, "subnet-00000000"),
        (prepared("", HostSpec { image: Some(Image::Id("mine".into())), ..spec() }).await, "mine"),
    ] {
        let told = format!("{error} {:?}", error.hints());
        assert!(told.contains(why), "{told}");
    }
    assert_eq!(account.cloud.count("RunInstances"), 0);
    let left = account.cloud.left();
    assert!(left["security_groups"].is_empty() && left["key_pairs"].is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_open_request_for_spare_capacity_makes_no_other_machine() {
    let account = Account::new();
    let aws = account.aws(
        "boto3_create_instances_kwargs = {'InstanceMarketOptions': {'MarketType': 'spot',\n  \
         'SpotOptions': {'SpotInstanceType': 'persistent'}}}\n",
    );
    let spec = HostSpec { at_shutdown: AtShutdown::Terminate, ..spec() };
    let prepared = aws.prepare(&spec).await.unwrap();
    let id = aws.create(&prepared.request, &Token("one".into())).await.unwrap();
    aws.set_at_shutdown(&id, AtShutdown::Terminate).await.unwrap();
    assert_eq!(account.cloud.instances()[0].at_shutdown, "stop", "else it is replaced for ever");
    aws.terminate(&id).await.unwrap();
    aws.terminate(&id).await.unwrap();
    let all = aws.list(&HostFilter::default()).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
}

#[tokio::test]
async fn refusals_are_told_as_what_they_are() {
    let account = Account::new();
    let aws = account.aws("");
    let prepared = aws.prepare(&spec()).await.unwrap();
    for (code, kind) in [
        ("InsufficientInstanceCapacity", ErrorKind::Capacity),
        ("VcpuLimitExceeded", ErrorKind::Quota),
        ("UnauthorizedOperation", ErrorKind::Security),
    ] {
        account.cloud.fail(&Fault::of("RunInstances").error(code, 400).times(1));
        let error = aws.create(&prepared.request, &Token(code.into())).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with("cannot make a host on AWS"), "{error}");
    }
    assert!(aws.list(&HostFilter::default()).await.unwrap().is_empty());
}
