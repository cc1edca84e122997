use std::time::Duration;

use apyfal_aws::Settings;
use apyfal_core::ErrorKind;
use apyfal_net::Proxies;

use super::account::region;
use super::*;

fn configuration(text: &str) -> Configuration {
    Configuration::parse(text.as_bytes(), "a.conf").unwrap()
}

fn settings(text: &str) -> AwsSettings {
    AwsSettings::read(&configuration(text)).unwrap()
}

fn refused(text: &str) -> (String, Vec<String>) {
    let error = AwsSettings::read(&configuration(text)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    (error.message().to_owned(), error.hints().to_vec())
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    Environment { variables: variables.collect(), home: None }
}

/// The variables that settings make of others, sorted.
fn variables(text: &str, base: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut variables = settings(text).environment(&environment(base)).variables;
    variables.sort();
    variables
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn what_nobody_says_is_as_the_original_had_it() {
    let settings = settings("");
    assert_eq!(settings.key_pair, "AccelizeAWSKeyPair");
    assert_eq!(settings.security_group, "AccelizeSecurityGroup");
    assert_eq!(
        (settings.role.as_str(), settings.policy.as_str()),
        ("AccelizeRole", "AccelizePolicy")
    );
    assert!(settings.spot_instance && settings.delete_volumes);
    assert!(!settings.use_private_ip && !settings.names_role);
    assert_eq!(settings.buckets, Buckets::Named(Vec::new()));
    assert_eq!(settings.client, ClientOptions::default());
    assert!(settings.warnings().is_empty());
}

#[test]
fn every_key_is_read() {
    let settings = settings(
        "[host]\nhost_type = AWS\nkey_pair = k\nsecurity_group = g\nhost_name_prefix = me\n\
         [host.AWS]\nrole = r\npolicy = p\nuse_private_ip = yes\nspot_instance = False\n\
         delete_volumes_on_termination = no\nallowed_cidr = 192.0.2.0/24, 2001:db8::/32\n\
         availability_zone = us-east-1a\nsubnet_id = subnet-1\nsecurity_group_ids = ['sg-1', 'sg-2']\n\
         spot_block_duration = 60\n\
         s3_buckets = one\n  two.three\n",
    );
    assert_eq!((settings.key_pair.as_str(), settings.security_group.as_str()), ("k", "g"));
    assert_eq!((settings.role.as_str(), settings.policy.as_str()), ("r", "p"));
    assert!(settings.names_role && settings.use_private_ip);
    assert!(!settings.spot_instance && !settings.delete_volumes);
    assert_eq!(settings.prefix.as_deref(), Some("me"));
    assert_eq!(settings.allowed_cidr, ["192.0.2.0/24", "2001:db8::/32"]);
    assert_eq!(settings.availability_zone(), Some("us-east-1a"));
    assert_eq!(settings.subnet_id(), Some("subnet-1"));
    assert_eq!(settings.security_group_ids(), ["sg-1", "sg-2"]);
    assert_eq!((settings.instance_type(), settings.image()), (None, None));
    assert_eq!(settings.buckets, Buckets::Named(vec!["one".into(), "two.three".into()]));
    assert_eq!(settings.warnings().len(), 1);
}

#[test]
fn the_request_itself_goes_before_the_keys() {
    let settings = settings(
        "[host]\nsubnet_id = subnet-1\nimage_id = ami-1\nsecurity_group_ids = sg-1\n\
         boto3_create_instances_kwargs = {'ImageId': 'ami-2', 'InstanceType': 'f2.6xlarge', 'KeyName': 'k',\n  \
         'NetworkInterfaces': [{'SubnetId': 'subnet-2', 'Groups': ['sg-2']}], 'UserData': b'caf\\xc3\\xa9'}\n",
    );
    assert_eq!(settings.image(), Some(Image::Id("ami-2".into())));
    assert_eq!(settings.instance_type(), Some("f2.6xlarge"));
    assert_eq!(settings.subnet_id(), Some("subnet-2"));
    assert_eq!(settings.security_group_ids(), ["sg-2"]);
    assert_eq!(settings.user_script(), Some("café"));
    assert_eq!((settings.key_pair.as_str(), settings.names_key), ("k", true));
    assert!(settings.warnings().is_empty());
}

#[test]
fn an_image_of_the_request_may_be_a_parameter() {
    let settings = settings(
        "[host]\nboto3_create_instances_kwargs = {'ImageId': 'resolve:ssm:/aws/service/x'}\n",
    );
    assert_eq!(settings.image(), Some(Image::Parameter { ssm: "/aws/service/x".into() }));
}

#[test]
fn whether_hosts_have_rights_is_known() {
    assert!(!settings("").gives_rights() && !settings("[host]\nkey_pair = k\n").gives_rights());
    for gives in [
        "s3_buckets = all",
        "s3_buckets = one",
        "role = mine",
        "policy = mine",
        "boto3_create_instances_kwargs = {'IamInstanceProfile': {'Name': 'mine'}}",
    ] {
        assert!(settings(&format!("[host.AWS]\n{gives}\n")).gives_rights(), "{gives}");
    }
}

#[test]
fn a_host_that_nobody_may_reach_is_warned_of() {
    let warnings = |interface: &str| {
        let kwargs = format!("{{'NetworkInterfaces': [{{'DeviceIndex': 0{interface}}}]}}");
        settings(&format!("[host]\nboto3_create_instances_kwargs = {kwargs}\n")).warnings().len()
    };
    assert_eq!(warnings(""), 1);
    assert_eq!(warnings(", 'NetworkInterfaceId': 'eni-1'"), 0);
    let nothing = settings("[host]\nboto3_create_instances_kwargs = None\n");
    assert!(nothing.warnings().is_empty() && nothing.user_script().is_none());
}

#[test]
fn buckets_are_names_or_all() {
    for all in ["all", "'all'", "['all']"] {
        assert_eq!(settings(&format!("[host.AWS]\ns3_buckets = {all}\n")).buckets, Buckets::All);
    }
    for wrong in ["*", "s3://bucket", "One", "a/b"] {
        let (message, _) = refused(&format!("[host.AWS]\ns3_buckets = {wrong}\n"));
        assert_eq!(message, format!("'{wrong}' is no name of a bucket"));
    }
}

#[test]
fn keys_go_before_the_environment() {
    let base = [
        ("AWS_ACCESS_KEY_ID", "env"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_SECURITY_TOKEN", "old"),
        ("AWS_SESSION_TOKEN", "old"),
        ("HOME", "/h"),
    ];
    let expected = pairs(&base);
    assert_eq!(variables("", &base), expected);
    let own = "[host]\nclient_id = own\nsecret_id = s1\nregion = us-east-1\n";
    let expected = pairs(&[
        ("AWS_ACCESS_KEY_ID", "own"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_SECRET_ACCESS_KEY", "s1"),
        ("HOME", "/h"),
    ]);
    assert_eq!(variables(own, &base), expected);
    let session = format!(
        "{own}boto3_session_kwargs = {{'aws_access_key_id': 'session', 'aws_secret_access_key': 's2', \
         'aws_session_token': 't', 'region_name': 'us-east-2'}}\n"
    );
    let expected = pairs(&[
        ("AWS_ACCESS_KEY_ID", "session"),
        ("AWS_DEFAULT_REGION", "us-east-2"),
        ("AWS_SECRET_ACCESS_KEY", "s2"),
        ("AWS_SESSION_TOKEN", "t"),
        ("HOME", "/h"),
    ]);
    assert_eq!(variables(&session, &base), expected);
    let client = format!(
        "{session}boto3_client_kwargs = {{'aws_access_key_id': 'client', 'aws_secret_access_key': 's3', \
         'region_name': 'us-west-1'}}\n"
    );
    let expected = pairs(&[
        ("AWS_ACCESS_KEY_ID", "client"),
        ("AWS_DEFAULT_REGION", "us-west-1"),
        ("AWS_SECRET_ACCESS_KEY", "s3"),
        ("HOME", "/h"),
    ]);
    assert_eq!(variables(&client, &base), expected);
}

#[test]
fn keys_of_another_provider_are_not_for_aws() {
    let text = "[host]\nhost_type = OpenStack\nclient_id = o\nsecret_id = o\nregion = nova\n\
                [host.AWS]\nspot_instance = no\n";
    assert_eq!(variables(text, &[]), []);
    let own = format!("{text}client_id = a\nsecret_id = b\n");
    let expected = pairs(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
    assert_eq!(variables(&own, &[]), expected);
}

#[test]
fn a_named_profile_goes_before_keys_of_the_environment() {
    let base = [
        ("AWS_ACCESS_KEY_ID", "env"),
        ("AWS_DEFAULT_PROFILE", "other"),
        ("AWS_ROLE_ARN", "arn"),
        ("AWS_SECRET_ACCESS_KEY", "env"),
    ];
    let text = "[host]\nboto3_session_kwargs = {'profile_name': 'mine'}\n";
    assert_eq!(variables(text, &base), pairs(&[("AWS_PROFILE", "mine")]));
}

#[test]
fn a_named_server_is_that_of_every_service() {
    let base = [("AWS_ENDPOINT_URL_EC2", "http://e"), ("AWS_ENDPOINT_URL", "http://all")];
    let text = "[host]\nboto3_client_kwargs = {'endpoint_url': 'http://127.0.0.1:5000'}\n";
    let expected = pairs(&[
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:5000"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false"),
    ]);
    assert_eq!(variables(text, &base), expected);
    let settings = settings(text).environment(&environment(&base));
    let settings = Settings::read(&settings).unwrap();
    assert_eq!(settings.endpoint("ec2").unwrap(), Some("http://127.0.0.1:5000"));
}

#[test]
fn a_region_is_named_and_is_one() {
    let of = |text: &str, base: &[(&str, &str)]| {
        region(&Settings::read(&settings(text).environment(&environment(base))).unwrap())
    };
    assert_eq!(of("[host]\nregion = us-gov-west-1\n", &[]).unwrap(), "us-gov-west-1");
    assert_eq!(of("", &[("AWS_REGION", "eu-central-1")]).unwrap(), "eu-central-1");
    let error = of("", &[]).unwrap_err();
    assert_eq!(error.to_string(), "cannot use AWS: no region is named");
    assert!(error.hints()[0].contains("region = us-east-1"));
    let error = of("[host]\nregion = us-east-1b\n", &[]).unwrap_err();
    assert_eq!(error.message(), "'us-east-1b' is a zone, and no region");
    assert_eq!(error.hints(), ["write 'region = us-east-1' and 'availability_zone = us-east-1b'"]);
    for wrong in ["virginia", "us-east-1.evil.example/", "US East"] {
        let error = of(&format!("[host]\nregion = {wrong}\n"), &[]).unwrap_err();
        assert_eq!(error.message(), format!("'{wrong}' is no region"));
    }
}

#[test]
fn options_of_the_client_are_read() {
    let text = "[host]\nboto3_client_kwargs = {'verify': '/ca.pem', 'use_ssl': True, 'api_version': \
                '2016-11-15', 'config': {'connect_timeout': 2, 'read_timeout': 0.5, 'retries': \
                {'max_attempts': 3, 'mode': 'adaptive'}, 'proxies': {'https': 'http://proxy:3128'}}}\n";
    let client = settings(text).client;
    assert_eq!(client.connect_timeout, Some(Duration::from_secs(2)));
    assert_eq!(client.read_timeout, Some(Duration::from_millis(500)));
    let expected = pairs(&[
        ("AWS_CA_BUNDLE", "/ca.pem"),
        ("AWS_MAX_ATTEMPTS", "4"),
        ("HTTP_PROXY", "http://other"),
        ("all_proxy", ""),
        ("http_proxy", ""),
        ("https_proxy", "http://proxy:3128"),
        ("no_proxy", ""),
    ]);
    let base = [("HTTP_PROXY", "http://other"), ("no_proxy", "*")];
    assert_eq!(variables(text, &base), expected);
    let proxies = Proxies::of(&settings(text).environment(&environment(&base)));
    let of = |url: &str| proxies.of_url(&url.parse().unwrap()).unwrap().map(ToString::to_string);
    assert_eq!(of("https://ec2.example").as_deref(), Some("http://proxy:3128/"));
    assert_eq!(of("http://ec2.example"), None, "boto3 does not mix them with the environment's");
    let own = "[host]\nboto3_client_kwargs = {'endpoint_url': 'http://127.0.0.1:5000', 'verify': \
               False, 'use_ssl': False, 'config': None}\n";
    assert_eq!(settings(own).client, ClientOptions::default());
}

#[test]
fn what_boto3_would_not_take_is_refused() {
    for (key, value, message, hint) in [
        (
            "session",
            "{'profil_name': 'x'}",
            "'profil_name' is not known",
            "did you mean 'profile_name'?",
        ),
        ("session", "['x']", "it takes a dictionary", ""),
        ("session", "{'region_name': 1}", "'region_name' takes text, in quotes", ""),
        ("session", "{'aws_access_key_id': 'x'}", "'aws_secret_access_key' is missing", ""),
        ("session", "{'aws_session_token': 'x'}", "'aws_access_key_id' is missing", ""),
        (
            "client",
            "{'endpoint_url': 'moto:5000'}",
            "'endpoint_url' takes a URL, with http:// or https://",
            "",
        ),
        (
            "client",
            "{'verify': False}",
            "'verify' cannot be False: servers are sent what is secret",
            "name the certificate of the server, or of who signed it: a path",
        ),
        (
            "client",
            "{'use_ssl': False, 'endpoint_url': 'https://ec2.example'}",
            "'use_ssl' cannot be False: servers are sent what is secret",
            "a server of your own may have an endpoint_url that begins with http://",
        ),
        ("client", "{'verify': 1}", "'verify' takes a path, or True", ""),
        ("client", "{'api_version': '2015-10-01'}", "'api_version' can be '2016-11-15' only", ""),
        (
            "client",
            "{'config': 'x'}",
            "'config' takes a dictionary, and no object of botocore",
            "write what is within botocore.config.Config(…): {'read_timeout': 60}",
        ),
        (
            "client",
            "{'config': {'retries': {'max': 1}}}",
            "'config.retries.max' is not known",
            "known are max_attempts, total_max_attempts, mode",
        ),
        ("client", "{'config': {'retries': 3}}", "'config.retries' takes a dictionary", ""),
        (
            "client",
            "{'config': {'read_timeout': '60'}}",
            "'config.read_timeout' takes a number of seconds above 0",
            "",
        ),
        (
            "create_instances",
            "{'InstanceMarketOptions': {'MarketTyp': 'spot'}}",
            "RunInstances has no member 'InstanceMarketOptions.MarketTyp'",
            "did you mean 'MarketType'?",
        ),
        (
            "create_instances",
            "{'UserData': b'\\x1f\\x8b'}",
            "'UserData' is no text",
            "it is run after the script of Apyfal, and so has to be a script",
        ),
        ("create_instances", "spot", "the request cannot be 'spot'", "it takes a dictionary"),
    ] {
        let (said, hints) = refused(&format!("[host.AWS]\nboto3_{key}_kwargs = {value}\n"));
        assert_eq!(said, message);
        assert_eq!(hints.first().map_or("", String::as_str), hint, "{message}");
    }
}

#[test]
fn no_secret_is_shown() {
    let text = "[host]\nclient_id = c\nsecret_id = s3cret\nboto3_session_kwargs = \
                {'aws_access_key_id': 'i', 'aws_secret_access_key': 's3cret', 'aws_session_token': \
                's3cret'}\nboto3_create_instances_kwargs = {'UserData': 's3cret'}\n";
    let shown = format!("{:?}", settings(text));
    assert!(!shown.contains("s3cret"), "{shown}");
    let wrong = "[host]\nboto3_session_kwargs = {'aws_secret_access_key': ['s3cret']}\n";
    let error = AwsSettings::read(&configuration(wrong)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    assert_eq!(error.message(), "'aws_secret_access_key' takes text, in quotes");
}
