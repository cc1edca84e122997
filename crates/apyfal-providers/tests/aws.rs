//! Hosts on AWS keep the contract of every provider, against a cloud that is as strict.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apyfal_core::{Configuration, Environment, ErrorKind, Image};
use apyfal_providers::{
    AgentNeeds, Artifact, AtShutdown, Aws, Boot, HostFilter, HostSpec, InstanceId, Provider,
    Script, Token,
};
use apyfal_testkit::{Answer, Cloud, Fault, FaultServer};

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
        account.aws(more).prepare(&spec, &[]).await.map(drop).unwrap_err()
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
async fn who_may_not_use_s3_has_a_machine_that_waits_for_its_files() {
    let account = Account::new();
    let path = account.home.path().join("agent");
    std::fs::write(&path, "agent").unwrap();
    let sha256 = "d4f0bc5a29de06b510f9aa428f1eedba926012b591fef7a518e776a7c9bd1824".to_owned();
    let artifact = Artifact { path, sha256 };
    let text = format!("#!/bin/sh\nfetch {}\n", artifact.place());
    let script = Script { text, artifacts: vec![artifact.clone()], agent: AgentNeeds::default() };
    let spec = HostSpec { boot: Boot::Script(script), ..spec() };
    let user_data = |prepared: &apyfal_providers::Prepared| {
        let request: serde_json::Value = prepared.request.read().unwrap();
        request["UserData"].as_str().unwrap().to_owned()
    };
    let fetched = account.aws("").prepare(&spec, &[]).await.unwrap();
    assert!(fetched.pushed.is_empty() && user_data(&fetched).contains("X-Amz-Signature"));
    // It is there, and may not be fetched any more.
    account.cloud.fail(&Fault::of("HeadObject").error("AccessDenied", 403));
    account.cloud.fail(&Fault::of("PutObject").error("AccessDenied", 403));
    let sent = account.aws("").prepare(&spec, &[]).await.unwrap();
    assert_eq!(sent.pushed, std::slice::from_ref(&artifact));
    assert_eq!(user_data(&sent), format!("#!/bin/sh\nfetch \"$(pushed {})\"\n", artifact.sha256));
    assert_eq!(sent.good_for, None);
    assert!(sent.warnings.iter().any(|told| told.contains("by ssh")), "{:?}", sent.warnings);
}

/// A machine of a request for spare capacity that stays open.
async fn on_spare_capacity(account: &Account) -> (Aws, InstanceId) {
    let aws = account.aws(
        "boto3_create_instances_kwargs = {'InstanceMarketOptions': {'MarketType': 'spot',\n  \
         'SpotOptions': {'SpotInstanceType': 'persistent'}}}\n",
    );
    let spec = HostSpec { at_shutdown: AtShutdown::Terminate, ..spec() };
    let prepared = aws.prepare(&spec, &[]).await.unwrap();
    let id = aws.create(&prepared.request, &Token("one".into())).await.unwrap();
    (aws, id)
}

#[tokio::test]
async fn an_open_request_for_spare_capacity_makes_no_other_machine() {
    let account = Account::new();
    let (aws, id) = on_spare_capacity(&account).await;
    aws.set_at_shutdown(&id, AtShutdown::Terminate).await.unwrap();
    assert_eq!(account.cloud.instances()[0].at_shutdown, "stop", "else it is replaced for ever");
    aws.terminate(&id).await.unwrap();
    aws.terminate(&id).await.unwrap();
    let all = aws.list(&HostFilter::default()).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
}

#[tokio::test]
async fn a_request_for_spare_capacity_ends_with_a_machine_that_is_not_found_yet() {
    let account = Account::new();
    let (aws, id) = on_spare_capacity(&account).await;
    account
        .cloud
        .fail(&Fault::of("DescribeInstances").error("InvalidInstanceID.NotFound", 400).times(2));
    aws.terminate(&id).await.unwrap();
    assert_eq!(account.cloud.count("CancelSpotInstanceRequests"), 1);
    // One of which AWS knows nothing needs no patience.
    let calls = account.cloud.calls().len();
    aws.terminate(&InstanceId("i-0123456789abcdef0".into())).await.unwrap();
    assert_eq!(account.cloud.calls().len() - calls, 2);
}

#[tokio::test]
async fn only_who_asks_for_persistent_spare_capacity_needs_rights_to_its_requests() {
    let account = Account::new();
    let spec = HostSpec { at_shutdown: AtShutdown::Terminate, ..spec() };
    let denied = Fault::of("DescribeSpotInstanceRequests").error("UnauthorizedOperation", 403);
    account.cloud.fail(&denied);
    let aws = account.aws("");
    let prepared = aws.prepare(&spec, &[]).await.unwrap();
    let id = aws.create(&prepared.request, &Token("one".into())).await.unwrap();
    assert!(account.cloud.instances()[0].spot_request.is_some());
    aws.set_at_shutdown(&id, AtShutdown::Terminate).await.unwrap();
    aws.terminate(&id).await.unwrap();

    let aws = account.aws(
        "boto3_create_instances_kwargs = {'InstanceMarketOptions': {\n  \
         'SpotOptions': {'SpotInstanceType': 'persistent'}}}\n",
    );
    let prepared = aws.prepare(&spec, &[]).await.unwrap();
    let id = aws.create(&prepared.request, &Token("two".into())).await.unwrap();
    let error = aws.terminate(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    assert!(format!("{:?}", error.hints()).contains("ec2:DescribeSpotInstanceRequests"));
}

#[tokio::test]
async fn what_the_request_itself_says_is_looked_up_and_used() {
    let account = Account::new();
    let kwargs = format!("{{'ImageId': 'resolve:ssm:{IMAGE}', 'KeyName': 'theirs'}}");
    let aws = account.aws(&format!("boto3_create_instances_kwargs = {kwargs}\n"));
    let error = aws.prepare(&spec(), &[]).await.unwrap_err();
    assert!(error.to_string().contains("'theirs'"), "{error}");
    assert_eq!(account.cloud.count("ImportKeyPair"), 0);
    assert!(!aws.info().gives_rights && account.aws("role = mine\n").info().gives_rights);
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused_before_anything_is_made() {
    let account = Account::new();
    let agent = account.home.path().join("agent");
    std::fs::write(&agent, "agent").unwrap();
    let artifact = Artifact { path: agent, sha256: "0".repeat(64) };
    let long = format!("#!/bin/sh\n# {}\nget {}\n", "x".repeat(16 << 10), artifact.place());
    let script = Script { text: long, artifacts: vec![artifact], agent: AgentNeeds::default() };
    let too_long = HostSpec { boot: Boot::Script(script), ..spec() };
    let one_time =
        "boto3_create_instances_kwargs = {'InstanceMarketOptions': {'MarketType': 'spot'}}\n";
    for (more, spec, why) in
        [("", too_long, "AWS takes 16384"), (one_time, spec(), "one-time spot request")]
    {
        let error = account.aws(more).prepare(&spec, &[]).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let makes = |action: &str| {
        ["Create", "Import", "Put", "Authorize"].iter().any(|verb| action.starts_with(verb))
    };
    let made: Vec<_> = account
        .cloud
        .calls()
        .into_iter()
        .map(|call| call.action)
        .filter(|action| makes(action))
        .collect();
    assert_eq!(made, Vec::<String>::new());
}

#[tokio::test]
async fn a_console_is_read_as_new_as_it_can_be() {
    let account = Account::new();
    let aws = account.aws("");
    let prepared = aws.prepare(&spec(), &[]).await.unwrap();
    let id = aws.create(&prepared.request, &Token("one".into())).await.unwrap();
    account.cloud.set_console(&id.0, "Linux\napyfal: cannot get it\nlogin:\n");
    let expected = Some("Linux\napyfal: cannot get it".to_owned());
    assert_eq!(aws.console(&id).await.unwrap(), expected);
    let old = Fault::of("GetConsoleOutput").having("Latest", "true");
    account.cloud.fail(&old.error("UnsupportedOperation", 400).times(1));
    assert_eq!(aws.console(&id).await.unwrap(), expected);
    assert_eq!(account.cloud.count("GetConsoleOutput"), 3);
}

#[tokio::test]
async fn refusals_are_told_as_what_they_are() {
    let account = Account::new();
    let aws = account.aws("");
    let prepared = aws.prepare(&spec(), &[]).await.unwrap();
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

#[tokio::test]
async fn a_program_is_for_the_architecture_of_the_type_else_of_the_image() {
    let account = Account::new();
    let arm = Image::Parameter { ssm: IMAGE.replace("amd64", "arm64") };
    let told = async |more: &str, instance_type: Option<&str>, image: Option<&Image>| {
        account.aws(more).architecture(instance_type, image).await.unwrap().unwrap()
    };
    assert_eq!(told("", Some("t4g.medium"), None).await, "aarch64");
    assert_eq!(told("", Some("t3.medium"), Some(&arm)).await, "x86_64");
    assert_eq!(told("", None, Some(&arm)).await, "aarch64");
    // Types that run programs of 32 bits too.
    assert_eq!(told("", Some("t2.micro"), None).await, "x86_64");
    let named = "boto3_create_instances_kwargs = {'InstanceType': 't4g.medium'}\n";
    assert_eq!(told(named, Some("t3.medium"), None).await, "aarch64");
    // What was asked once is known.
    let aws = account.aws("");
    let before = account.cloud.count("DescribeInstanceTypes");
    aws.architecture(Some("t3.medium"), None).await.unwrap();
    aws.prepare(&spec(), &[]).await.unwrap();
    assert_eq!(account.cloud.count("DescribeInstanceTypes") - before, 1);
    let error = aws.architecture(Some("f1.2xlarge"), None).await.unwrap_err();
    assert!(error.to_string().contains("F1"), "{error}");
}

#[tokio::test]
async fn who_asks_is_asked_once() {
    let account = Account::new();
    let aws = account.aws("");
    let prepared = aws.prepare(&spec(), &[]).await.unwrap();
    assert_eq!(aws.account().await.unwrap(), prepared.account);
    assert_eq!(account.cloud.count("GetCallerIdentity"), 1);
}

#[tokio::test]
async fn who_asks_is_asked_again_once_the_keys_are_others() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let file = home.path().join(".aws/credentials");
    let write = |id: &str| {
        let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = s\n");
        std::fs::write(&file, text).unwrap();
    };
    let is_withdrawn = Arc::new(AtomicBool::new(false));
    let withdrawn = is_withdrawn.clone();
    let refusal = |code: &str| {
        Answer::new(400, format!("<R><Errors><Error><Code>{code}</Code></Error></Errors></R>"))
    };
    let server = FaultServer::start(move |request| {
        let is_old = request.headers["authorization"].contains("AKIDOLD");
        let asked = String::from_utf8_lossy(&request.body).into_owned();
        match (is_old && withdrawn.load(Ordering::SeqCst), asked.contains("GetCallerIdentity")) {
            (true, _) => refusal("AuthFailure"),
            (false, false) => refusal("InvalidInstanceID.NotFound"),
            (false, true) => {
                let account = if is_old { "1" } else { "2" };
                let result = format!("<Arn>a</Arn><Account>{account}</Account>");
                let name = "GetCallerIdentityResult";
                Answer::new(200, format!("<R><{name}>{result}</{name}></R>"))
            }
        }
    })
    .unwrap();
    write("AKIDOLD");
    let variables = [("AWS_ENDPOINT_URL", &*server.url()), ("AWS_REGION", "eu-west-1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment =
        Environment { variables: variables.into(), home: Some(home.path().to_owned()) };
    let aws = Aws::new(&Configuration::default(), &environment, None).unwrap();
    for _ in 0..2 {
        assert_eq!(aws.account().await.unwrap().as_deref(), Some("1"));
    }
    assert_eq!(server.requests().len(), 1);
    write("AKIDNEW");
    is_withdrawn.store(true, Ordering::SeqCst);
    // Only a refusal tells that there are others.
    assert!(aws.get(&InstanceId("i-1".into())).await.unwrap().is_none());
    assert_eq!(aws.account().await.unwrap().as_deref(), Some("2"));
}

#[tokio::test]
async fn documents_and_ports_of_the_user_are_those_of_the_host() {
    let account = Account::new();
    let own = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}"#;
    let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}}]}"#;
    let more = format!(
        "policy_document = {own}\nassume_role_policy_document = {trust}\nallow_ports = [22, 443, 8080]\n\
         s3_buckets = mine\n"
    );
    let aws = account.aws(&more);
    assert!(aws.info().gives_rights);
    let fpga = HostSpec { fpga_image: Some("agfi-1".to_owned()), ..spec() };
    aws.prepare(&fpga, &[]).await.unwrap();
    let calls = account.cloud.calls();
    let said = |action: &str, parameter: &str| {
        let call = calls.iter().find(|call| call.action == action).unwrap();
        call.parameters[parameter].as_str().unwrap().to_owned()
    };
    let policy = said("CreatePolicy", "PolicyDocument");
    assert!(policy.contains("sqs:*") && policy.contains("arn:aws:s3:::mine"), "{policy}");
    assert!(!policy.contains("FpgaImage"), "that is in place of what Apyfal says: {policy}");
    assert!(said("CreateRole", "AssumeRolePolicyDocument").contains("lambda.amazonaws.com"));
    assert_eq!(account.cloud.count("AuthorizeSecurityGroupIngress"), 3);
    let refused = |more: &str| {
        let text = format!("[host]\nhost_type = AWS\nregion = eu-west-1\n{more}\n");
        let configuration = Configuration::parse(text.as_bytes(), "a.conf").unwrap();
        Aws::new(&configuration, &Environment::default(), None).map(drop).unwrap_err().to_string()
    };
    assert!(refused("allow_ports = 22").contains("clients reach hosts at 443"));
    assert!(refused("allow_ports = 443, ssh").contains("'ssh' is no port"));
    assert!(refused("policy_document = {'Version': 1}").contains("no document of IAM"));
}
