//! What boto3 makes of a table of files and environments is what is made of them here. Needs
//! `python3` with boto3, which `cargo xtask test` installs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use apyfal_aws::{Credentials, Settings};
use apyfal_core::Environment;
use apyfal_testkit::{Answer, FaultServer, Request};
use bytes::Bytes;
use reqsign_core::HttpSend;
use reqsign_core::hash::hex_sha1;
use serde_json::{Value, json};

/// Answers each line, the environment of a session, with what boto3 makes of it.
const PROGRAM: &str = r#"
import json, os, sys
import boto3
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider
for line in sys.stdin:
    os.environ.clear()
    os.environ.update(json.loads(line))
    # They read this once, when they are imported.
    cache = os.path.expanduser("~/.aws/sso/cache")
    SSOProvider._SSO_TOKEN_CACHE_DIR = SSOTokenProvider._SSO_TOKEN_CACHE_DIR = cache
    try:
        session = boto3.Session()
        client = session.client("s3")
        found = session.get_credentials()
        keys = found and found.get_frozen_credentials()
        made = {
            "region": client.meta.region_name,
            "endpoint": client.meta.endpoint_url,
            "keys": keys and [keys.access_key, keys.secret_key, keys.token],
        }
    except Exception as error:
        made = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(made), flush=True)
"#;

/// What the two have to do with each other.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    /// They say the same.
    Same,
    /// Both refuse it.
    Refused,
    /// boto3 trips over a variable that is set to nothing. Here that is as if it were not set.
    AsUnset,
    /// boto3 does not know the variable, and finds nothing else.
    Ours,
}

struct Row {
    name: &'static str,
    config: &'static str,
    credentials: &'static str,
    variables: Vec<(&'static str, &'static str)>,
    expected: Expected,
}

fn row(
    name: &'static str,
    config: &'static str,
    credentials: &'static str,
    variables: &[(&'static str, &'static str)],
) -> Row {
    Row { name, config, credentials, variables: variables.to_vec(), expected: Expected::Same }
}

impl Row {
    fn refused(self) -> Self {
        Self { expected: Expected::Refused, ..self }
    }

    fn treated_as_unset(self) -> Self {
        Self { expected: Expected::AsUnset, ..self }
    }

    fn ours(self) -> Self {
        Self { expected: Expected::Ours, ..self }
    }
}

const KEYS: &str = "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s/e+c=r\n\
                    [other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = two\n\
                    aws_session_token = token\nregion = us-east-2\n";
const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile other]\nregion = eu-west-3\n\
                      [profile third]\nregion = ap-south-1\n";
const SERVICES: &str = "[default]\nservices = here\nendpoint_url = http://all.example:1\n\
                        [services here]\ns3 =\n  endpoint_url = http://s3.example:2\n  # no\n\
                        \x20 signature_version = s3v4\nec2 =\n  endpoint_url = http://ec2.example\n";
const ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKIDENV");
const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "env secret");

fn of_regions_and_profiles() -> Vec<Row> {
    vec![
        row("nothing at all", "", "", &[]),
        row("the default profile", CONFIG, KEYS, &[]),
        row("AWS_PROFILE", CONFIG, KEYS, &[("AWS_PROFILE", "other")]),
        row("AWS_DEFAULT_PROFILE", CONFIG, KEYS, &[("AWS_DEFAULT_PROFILE", "other")]),
        row("both", CONFIG, KEYS, &[("AWS_PROFILE", "third"), ("AWS_DEFAULT_PROFILE", "other")]),
        row("a profile without keys", CONFIG, KEYS, &[("AWS_PROFILE", "third")]),
        row("a profile of the keys alone", "", KEYS, &[("AWS_PROFILE", "other")]),
        row("a profile that is not there", CONFIG, KEYS, &[("AWS_PROFILE", "fourth")]).refused(),
        row("no files, and a profile", "", "", &[("AWS_PROFILE", "other")]).refused(),
        row("keys and a wrong profile", CONFIG, KEYS, &[ID, SECRET, ("AWS_PROFILE", "x")])
            .refused(),
        row("DEFAULT is no profile", CONFIG, KEYS, &[("AWS_PROFILE", "DEFAULT")]).refused(),
        row("an empty profile", CONFIG, KEYS, &[("AWS_PROFILE", "")]).treated_as_unset(),
        row(
            "one of two is empty",
            CONFIG,
            KEYS,
            &[("AWS_DEFAULT_PROFILE", ""), ("AWS_PROFILE", "other")],
        )
        .treated_as_unset(),
        row("a region", CONFIG, KEYS, &[("AWS_DEFAULT_REGION", "sa-east-1")]),
        row("an empty region", CONFIG, KEYS, &[("AWS_DEFAULT_REGION", "")]).treated_as_unset(),
        row("the other region's name", CONFIG, KEYS, &[("AWS_REGION", "sa-east-1")]),
        row("and nothing else", "", KEYS, &[("AWS_REGION", "sa-east-1")]).ours(),
        row(
            "both regions",
            "",
            KEYS,
            &[("AWS_REGION", "eu-west-2"), ("AWS_DEFAULT_REGION", "sa-east-1")],
        ),
        row("China", "[default]\nregion=cn-north-1\n", KEYS, &[]),
        row("the government", "[default]\nregion: us-gov-west-1\n", KEYS, &[]),
        row("an isolated one", "[default]\nregion: us-iso-east-1\n", KEYS, &[]),
        row("dual stack", CONFIG, KEYS, &[("AWS_USE_DUALSTACK_ENDPOINT", "true")]),
        row(
            "FIPS",
            CONFIG,
            KEYS,
            &[("AWS_DEFAULT_REGION", "us-west-2"), ("AWS_USE_FIPS_ENDPOINT", "True")],
        ),
        row(
            "a comment behind a section's name",
            "[default] # the usual\nregion = eu-west-1\n[profile other] ; mine\nregion = eu-west-2\n",
            "[default] # keys\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = one\n",
            &[],
        ),
        row(
            "and of another profile",
            "[profile other]   # mine\nregion = eu-west-2\n",
            "[other]# keys\naws_access_key_id = AKIDOTHER\naws_secret_access_key = one\n",
            &[("AWS_PROFILE", "other")],
        ),
        row(
            "capitals",
            "[default]\nREGION = eu-west-1\n",
            "[default]\nAWS_Access_Key_ID = A\nAWS_SECRET_ACCESS_KEY = b\n",
            &[],
        ),
        row(
            "quotes",
            "[profile \"a b\"]\nregion = eu-west-1\n[profile 'c']\nregion = x-1\n",
            "[a b]\naws_access_key_id = A\naws_secret_access_key = b\n",
            &[("AWS_PROFILE", "a b")],
        ),
        row(
            "profile default",
            "[default]\nregion = eu-west-1\n[profile default]\nregion = eu-west-2\n",
            KEYS,
            &[],
        ),
        row(
            "the other order",
            "[profile default]\nregion = eu-west-2\n[default]\nregion = eu-west-1\n",
            KEYS,
            &[],
        ),
        row(
            "the section of all",
            "[DEFAULT]\nregion = eu-west-1\n[profile other]\nx = y\n",
            KEYS,
            &[("AWS_PROFILE", "other")],
        ),
        row("not a profile", "[other]\nregion = eu-west-1\n", "", &[("AWS_PROFILE", "other")])
            .refused(),
        row("a bare key", "[default]\nregion\n", KEYS, &[]).refused(),
        row("a key twice", "[default]\nregion = a\nregion = b\n", KEYS, &[]).refused(),
        row("no section", "region = a\n", KEYS, &[]).refused(),
        row("Windows", "[default]\r\nregion = eu-west-1\r\n", KEYS, &[]),
        row("another file", "", KEYS, &[("AWS_CONFIG_FILE", "~/elsewhere")]),
        row(
            "by a variable",
            "",
            "",
            &[("AWS_SHARED_CREDENTIALS_FILE", "${PLACE}/$FILE"), ("PLACE", "~"), ("FILE", "keys")],
        ),
        row("no file", CONFIG, KEYS, &[("AWS_CONFIG_FILE", "~/nowhere")]),
        row("an empty name of a file", CONFIG, KEYS, &[("AWS_CONFIG_FILE", "")]),
        row("and of the other", CONFIG, KEYS, &[("AWS_SHARED_CREDENTIALS_FILE", "")]),
    ]
}

fn of_endpoints() -> Vec<Row> {
    const ALL: (&str, &str) = ("AWS_ENDPOINT_URL", "http://var.example:3");
    const S3: (&str, &str) = ("AWS_ENDPOINT_URL_S3", "http://var-s3.example:4");
    const IGNORE: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
    let in_profile = "[default]\nregion = eu-west-1\nendpoint_url = https://all.example\n";
    let ignored = "[default]\nignore_configured_endpoint_urls = True\nendpoint_url = http://x\n";
    vec![
        row("endpoint_url", in_profile, KEYS, &[]),
        row("services", SERVICES, KEYS, &[]),
        row("AWS_ENDPOINT_URL", SERVICES, KEYS, &[ALL]),
        row("AWS_ENDPOINT_URL_S3", SERVICES, KEYS, &[ALL, S3]),
        row("of another service", CONFIG, KEYS, &[("AWS_ENDPOINT_URL_EC2", "http://x.example")]),
        row("empty for S3", CONFIG, KEYS, &[ALL, ("AWS_ENDPOINT_URL_S3", "")]),
        row("empty", in_profile, KEYS, &[("AWS_ENDPOINT_URL", ""), ("AWS_ENDPOINT_URL_S3", "")]),
        row("ignored", SERVICES, KEYS, &[ALL, S3, (IGNORE, "true")]),
        row("not ignored", SERVICES, KEYS, &[(IGNORE, "false")]),
        row("ignored by nothing", SERVICES, KEYS, &[(IGNORE, "")]),
        row("ignored by the profile", ignored, KEYS, &[]),
        row("and not by the variable", ignored, KEYS, &[(IGNORE, "")]),
        row("services that are not there", "[default]\nservices = x\n", KEYS, &[]).refused(),
        row(
            "services of others",
            "[default]\nservices = x\n[services x]\nec2 =\n  endpoint_url = http://x\n",
            KEYS,
            &[],
        ),
        row(
            "services in quotes",
            "[default]\nservices = a b\n[services 'a b']\ns3 =\n    endpoint_url = http://x.example/base\n",
            KEYS,
            &[],
        ),
        row("a block that is none", "[default]\ns3 =\n  nonsense\n", KEYS, &[]).refused(),
        row(
            "of the keys' file",
            "",
            "[default]\nendpoint_url = http://x.example\naws_access_key_id = A\naws_secret_access_key = b\n",
            &[],
        ),
    ]
}

fn of_keys() -> Vec<Row> {
    const TOKEN: (&str, &str) = ("AWS_SESSION_TOKEN", "env token");
    let process = "[default]\ncredential_process = sh -c 'echo \"{\\\"Version\\\": 1, \
                   \\\"AccessKeyId\\\": \\\"AKIDPROCESS\\\", \\\"SecretAccessKey\\\": \\\"a b\\\", \
                   \\\"SessionToken\\\": \\\"t\\\", \\\"Expiration\\\": \\\"2090-01-01T00:00:00Z\\\"}\"'\n";
    let refusing = "[default]\ncredential_process = sh -c 'echo no >&2; exit 3'\n";
    let role = "[default]\nrole_arn = arn:aws:iam::123456789012:role/reader\n\
                source_profile = other\nregion = eu-west-1\n";
    let chain = "[default]\nrole_arn = arn:aws:iam::123456789012:role/outer\n\
                 role_session_name = me\nexternal_id = them\nduration_seconds = 1800\n\
                 source_profile = inner\nregion = eu-west-1\n\
                 [profile inner]\nrole_arn = arn:aws:iam::123456789012:role/inner\n\
                 source_profile = other\n";
    let of_process = "[default]\nrole_arn = arn:aws:iam::123456789012:role/reader\n\
                      source_profile = made\nregion = eu-west-1\n[profile made]\ncredential_process = \
                      sh -c 'echo \"{\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"AKIDPROCESS\\\", \
                      \\\"SecretAccessKey\\\": \\\"ab\\\"}\"'\n";
    let of_environment = "[default]\nrole_arn = arn:aws:iam::123456789012:role/reader\n\
                          credential_source = Environment\nregion = eu-west-1\n[profile x]\nregion = eu-west-1\n";
    let looped = "[default]\nrole_arn = arn:aws:iam::123456789012:role/a\nsource_profile = b\n\
                  [profile b]\nrole_arn = arn:aws:iam::123456789012:role/b\nsource_profile = default\n";
    let own = "[profile self]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = self\nregion = eu-west-1\n\
               aws_access_key_id = AKIDSELF\naws_secret_access_key = s\n";
    let web = "[default]\nrole_arn = arn:aws:iam::123456789012:role/web\n\
               web_identity_token_file = HOME/token\nrole_session_name = me\n";
    let of_web = "[default]\nrole_arn = arn:aws:iam::123456789012:role/outer\n\
                  source_profile = web\nregion = eu-west-1\n[profile web]\nweb_identity_token_file = HOME/token\n\
                  role_arn = arn:aws:iam::123456789012:role/web\nrole_session_name = me\n";
    let sign_on = |token: &str| {
        format!(
            "[default]\nsso_session = {token}\nsso_account_id = 123456789012\nsso_role_name = a=b\n\
             [sso-session {token}]\nsso_region = eu-west-1\nsso_start_url = https://{token}.example\n"
        )
    };
    let sign_on = |token| &*sign_on(token).leak();
    let old_form = "[default]\nsso_region = eu-west-1\nsso_start_url = good\n\
                    sso_account_id = 123456789012\nsso_role_name = a=b\n";
    let role_of_it = "[default]\nrole_arn = arn:aws:iam::123456789012:role/outer\nregion = eu-west-1\n\
                      source_profile = person\n[profile person]\nsso_region = eu-west-1\n\
                      sso_start_url = good\nsso_account_id = 123456789012\nsso_role_name = a=b\n";
    vec![
        row("signed in", sign_on("good"), "", &[]),
        row("signed in as before there were sessions", old_form, "", &[]),
        row("a role of who is signed in", role_of_it, "", &[]),
        row("signed in some hours ago", sign_on("renewable"), "", &[]),
        row("signed in too long ago", sign_on("expired"), "", &[]).refused(),
        row("signed in to an application that is known no more", sign_on("unregistered"), "", &[]).refused(),
        row("signed out by the center", sign_on("revoked"), "", &[]).refused(),
        row("not signed in", sign_on("nobody"), "", &[]).refused(),
        row("of the environment", CONFIG, KEYS, &[ID, SECRET]),
        row("with a token", CONFIG, KEYS, &[ID, SECRET, TOKEN]),
        row("with the old one", CONFIG, KEYS, &[ID, SECRET, TOKEN, ("AWS_SECURITY_TOKEN", "old")]),
        row("with an empty token", CONFIG, KEYS, &[ID, SECRET, ("AWS_SESSION_TOKEN", ""), ("AWS_SECURITY_TOKEN", "")]),
        row("before a profile", CONFIG, KEYS, &[ID, SECRET, ("AWS_PROFILE", "other")]),
        row("empty", CONFIG, KEYS, &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]),
        row("an empty id", CONFIG, KEYS, &[("AWS_ACCESS_KEY_ID", ""), SECRET]),
        row("an empty secret", CONFIG, KEYS, &[ID, ("AWS_SECRET_ACCESS_KEY", "")]).refused(),
        row("no secret", CONFIG, KEYS, &[ID]).refused(),
        row("a secret alone", CONFIG, KEYS, &[SECRET]),
        row("no secret in the file", "", "[default]\naws_access_key_id = A\n", &[]).refused(),
        row("in the config", "[default]\naws_access_key_id = A\naws_secret_access_key = b\n", "", &[]),
        row("in both", "[default]\naws_access_key_id = A\naws_secret_access_key = b\n", KEYS, &[]),
        row("the older token", "", "[default]\naws_access_key_id = A\naws_secret_access_key = b\naws_session_token = c\naws_security_token = d\n", &[]),
        row("a program", process, "", &[]),
        row("keys before a program", process, KEYS, &[]),
        row("a program before the config's keys", &*Box::leak(format!("{process}aws_access_key_id = A\naws_secret_access_key = b\n").into_boxed_str()), "", &[]),
        row("a program that refuses", refusing, "", &[]).refused(),
        row("one that prints nonsense", "[default]\ncredential_process = echo nonsense\n", "", &[]).refused(),
        row("one of another version", "[default]\ncredential_process = echo '{\"Version\": 2, \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"b\"}'\n", "", &[]).refused(),
        row("one that prints too little", "[default]\ncredential_process = echo '{\"Version\": 1, \"AccessKeyId\": \"A\"}'\n", "", &[]).refused(),
        row("one that is not there", "[default]\ncredential_process = /nowhere/program\n", "", &[]).refused(),
        row("a role", role, KEYS, &[]),
        row("a role, and keys", role, "[other]\naws_access_key_id = A\naws_secret_access_key = b\n[default]\naws_access_key_id = C\naws_secret_access_key = d\n", &[]),
        row("a role of a role", chain, KEYS, &[]),
        row("a role of a program", of_process, "", &[]),
        row("a role of the environment", of_environment, "", &[ID, SECRET]),
        row("without it", of_environment, "", &[]).refused(),
        row("a role without a source", "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\n", KEYS, &[]).refused(),
        row("of nobody", "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = x\n", KEYS, &[]).refused(),
        row("of two", "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = other\ncredential_source = Environment\n", KEYS, &[]).refused(),
        row("of an odd place", "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\ncredential_source = Odd\n", KEYS, &[]).refused(),
        row("of a profile without keys", "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = empty\n[profile empty]\nregion = x-1\n", "", &[]).refused(),
        row("a loop", looped, "", &[]).refused(),
        row("of itself", own, "", &[("AWS_PROFILE", "self")]),
        row("a token of the web", web, "", &[]),
        row("a role of such a token", of_web, "", &[]),
        row("a container", CONFIG, "", &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "SERVER/container"), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hello")]),
        row("keys before a container", CONFIG, KEYS, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "SERVER/container")]),
        row("an empty container", CONFIG, "", &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")]).treated_as_unset(),
        row("the machine", CONFIG, "", &[("AWS_EC2_METADATA_DISABLED", ""), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "SERVER/")]),
        row("a machine that nobody may ask", CONFIG, "", &[("AWS_EC2_METADATA_DISABLED", "TRUE"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "SERVER/")]),
    ]
}

/// The servers of AWS that give credentials: those that they give tell what they were asked for.
fn servers(request: &Request) -> Answer {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let asked = format!("{}&{body}", request.path.split_once('?').map_or("", |(_, query)| query));
    let asked: BTreeMap<_, _> = asked.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let expiration = "2090-01-01T00:00:00Z";
    match (request.method.as_str(), request.path.split('?').next().unwrap_or_default()) {
        ("PUT", "/latest/api/token") => Answer::new(200, "a token"),
        ("GET", "/latest/meta-data/iam/security-credentials/") => Answer::new(200, "machine"),
        ("GET", "/latest/meta-data/iam/security-credentials/machine") => Answer::new(
            200,
            json!({"Code": "Success", "AccessKeyId": "AKIDMACHINE", "SecretAccessKey": "m",
                   "Token": "t", "Expiration": expiration})
            .to_string(),
        ),
        ("GET", "/federation/credentials") => {
            let token = request.headers.get("x-amz-sso_bearer_token").map_or("", String::as_str);
            if token == "revoked" {
                return Answer::new(401, r#"{"message": "Session token not found or invalid"}"#);
            }
            let given = format!("{} {} {token}", asked["role_name"], asked["account_id"]);
            let role = json!({"accessKeyId": "AKIDPERSON", "secretAccessKey": "p",
                              "sessionToken": given, "expiration": 3_786_912_000_000_u64});
            Answer::new(200, json!({"roleCredentials": role}).to_string())
        }
        ("POST", "/token") => {
            let wanted: Value = serde_json::from_str(&body).unwrap();
            let expected = json!({"clientId": "id", "clientSecret": "secret",
                                  "grantType": "refresh_token", "refreshToken": "again"});
            match wanted == expected {
                true => Answer::new(
                    200,
                    json!({"accessToken": "renewed", "expiresIn": 3600, "refreshToken": "next",
                           "tokenType": "Bearer"})
                    .to_string(),
                ),
                false => Answer::new(400, r#"{"error": "invalid_grant"}"#),
            }
        }
        ("GET", "/container")
            if request.headers.get("authorization").is_some_and(|t| t == "hello") =>
        {
            Answer::new(
                200,
                json!({"AccessKeyId": "AKIDCONTAINER", "SecretAccessKey": "c", "Token": "t",
                       "Expiration": expiration})
                .to_string(),
            )
        }
        ("GET" | "POST", "/") if asked.contains_key("Action") => {
            // Who asks, for what, as what; the order of parameters does not matter.
            let signed = request.headers.get("authorization").map(String::as_str).unwrap_or("");
            let by = signed.split("Credential=").nth(1).unwrap_or("nobody/");
            let by: Vec<_> = by.split('/').collect();
            let region = by.get(2).copied().unwrap_or_default();
            let given = ["RoleArn", "ExternalId", "DurationSeconds", "WebIdentityToken"]
                .map(|key| asked.get(key).copied().unwrap_or("-"))
                // As long as it is where nobody asks.
                .map(|value| if value == "3600" { "-" } else { value });
            // A name that nobody chose is made up anew each time.
            let session =
                asked.get("RoleSessionName").filter(|name| **name == "me").unwrap_or(&"-");
            let token = format!("{} {} {given:?} {session} {region}", asked["Action"], by[0]);
            let token = token.replace(['"', '&', '<'], "").replace("%3A", ":").replace("%2F", "/");
            let action = asked["Action"];
            Answer::new(
                200,
                format!(
                    "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                     <{action}Result><Credentials><AccessKeyId>ASIA0123456789ABCDEF</AccessKeyId>\
                     <SecretAccessKey>role secret</SecretAccessKey><SessionToken>{token}</SessionToken>\
                     <Expiration>{expiration}</Expiration></Credentials></{action}Result>\
                     <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
                ),
            )
            .header("Content-Type", "text/xml")
        }
        _ => Answer::new(404, ""),
    }
}

/// One request by one connection.
#[derive(Debug)]
struct Plain;

impl HttpSend for Plain {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> reqsign_core::Result<http::Response<Bytes>> {
        let uri = request.uri();
        let host = uri.authority().unwrap().as_str();
        let mut stream = TcpStream::connect(host)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut head = format!("{} {path} HTTP/1.1\r\nHost: {host}\r\n", request.method());
        for (name, value) in request.headers() {
            if name != "host" && name != "content-length" {
                head += &format!("{name}: {}\r\n", value.to_str().unwrap());
            }
        }
        head += &format!("Content-Length: {}\r\n\r\n", request.body().len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(request.body())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(http::Response::builder().status(status).body(Bytes::from(body.to_owned()))?)
    }
}

/// What boto3 makes of each environment.
fn boto3(environments: &[Value]) -> Vec<Value> {
    let mut python = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test compares with boto3: 'cargo xtask test' installs it");
    let lines: String = environments.iter().map(|environment| format!("{environment}\n")).collect();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().expect("python3 has boto3: 'cargo xtask test' installs it");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is made of it here, in the same form.
async fn ours(variables: &BTreeMap<String, String>) -> Value {
    let environment = Environment {
        variables: variables.clone().into_iter().collect(),
        home: variables.get("HOME").map(Into::into),
    };
    let made = async {
        let settings = Settings::read(&environment)?;
        let region = settings.region().unwrap_or("us-east-1").to_owned();
        let endpoint = match settings.endpoint("s3")? {
            Some(endpoint) => endpoint.to_owned(),
            None => format!("https://{}", settings.server("s3", &region).name),
        };
        let keys = Credentials::new(&settings, Plain)?.get().await?;
        let keys = keys
            .map(|keys| json!([keys.access_key_id, keys.secret_access_key, keys.session_token]));
        Ok(json!({"region": region, "endpoint": endpoint, "keys": keys}))
    };
    made.await.unwrap_or_else(|error: apyfal_core::Error| json!({"error": error.to_string()}))
}

/// Where the token is kept of who is signed in.
fn token_of(home: &Path, name: &str) -> PathBuf {
    let folder = home.join(".aws/sso/cache");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{}.json", hex_sha1(name.as_bytes())))
}

fn environment(row: &Row, home: &Path, server: &str) -> BTreeMap<String, String> {
    let text = |text: &str| text.replace("HOME", home.to_str().unwrap()).replace("SERVER", server);
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    for (name, content) in [("config", row.config), ("credentials", row.credentials)] {
        std::fs::write(home.join(".aws").join(name), text(content)).unwrap();
    }
    std::fs::write(home.join("elsewhere"), CONFIG).unwrap();
    std::fs::write(home.join("keys"), KEYS).unwrap();
    std::fs::write(home.join("token"), "a token of the web").unwrap();
    for (name, expires, registered, refresh) in [
        ("good", "2090-01-01T00:00:00Z", "2090-01-01T00:00:00Z", ""),
        ("revoked", "2090-01-01T00:00:00Z", "2090-01-01T00:00:00Z", ""),
        ("renewable", "2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z", "again"),
        ("expired", "2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z", "spent"),
        ("unregistered", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "again"),
    ] {
        let token = json!({"accessToken": name, "expiresAt": expires, "refreshToken": refresh,
                           "clientId": "id", "clientSecret": "secret",
                           "registrationExpiresAt": registered});
        std::fs::write(token_of(home, name), token.to_string()).unwrap();
    }
    let mut variables: BTreeMap<_, _> = [
        ("HOME", home.to_str().unwrap()),
        ("PATH", &std::env::var("PATH").unwrap()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ENDPOINT_URL_STS", server),
        ("AWS_ENDPOINT_URL_SSO", server),
        ("AWS_ENDPOINT_URL_SSO_OIDC", server),
        ("AWS_METADATA_SERVICE_TIMEOUT", "30"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let own = row.variables.iter().map(|(name, value)| (name.to_string(), text(value)));
    variables.extend(own);
    variables
}

#[tokio::test]
async fn where_there_were_credentials_others_may_come() {
    let server = FaultServer::start(|request| match (request.number, request.path.as_str()) {
        (_, "/latest/api/token") => Answer::new(200, "a token"),
        (_, "/latest/meta-data/iam/security-credentials/") => Answer::new(200, "machine"),
        (number, "/latest/meta-data/iam/security-credentials/machine") if number < 3 => {
            let expiration = "2020-01-01T00:00:00Z";
            let given = json!({"Code": "Success", "AccessKeyId": "AKID", "SecretAccessKey": "m",
                               "Token": "t", "Expiration": expiration});
            Answer::new(200, given.to_string())
        }
        _ => Answer::new(503, ""),
    })
    .unwrap();
    let home = tempfile::tempdir().unwrap();
    let variables = [
        ("HOME", home.path().to_str().unwrap()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url()),
        ("AWS_METADATA_SERVICE_TIMEOUT", "30"),
    ];
    let environment = Environment {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        home: Some(home.path().to_owned()),
    };
    let credentials = Credentials::new(&Settings::read(&environment).unwrap(), Plain).unwrap();
    assert!(credentials.get().await.unwrap().is_some());
    let error = credentials.get().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn files_and_environments_are_read_as_boto3_reads_them() {
    let server = FaultServer::start(servers).unwrap();
    let rows: Vec<_> =
        [of_regions_and_profiles(), of_endpoints(), of_keys()].into_iter().flatten().collect();
    let homes: Vec<_> = rows.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    let environments: Vec<_> = rows
        .iter()
        .zip(&homes)
        .map(|(row, home)| environment(row, home.path(), &server.url()))
        .collect();
    let theirs = boto3(&environments.iter().map(|row| json!(row)).collect::<Vec<_>>());
    assert_eq!(theirs.len(), rows.len());
    let mut differing = Vec::new();
    let rows = rows.iter().zip(&homes).zip(&environments);
    for (((row, home), variables), mut theirs) in rows.zip(theirs) {
        // Where the region has no name of its own, boto3 keeps the oldest one.
        if theirs["endpoint"] == "https://s3.amazonaws.com" {
            theirs["endpoint"] = json!("https://s3.us-east-1.amazonaws.com");
        }
        // Theirs may have renewed a token.
        environment(row, home.path(), &server.url());
        let ours_is = ours(variables).await;
        let refuse = |made: &Value| made.get("error").is_some();
        let is_right = match row.expected {
            Expected::Same => !refuse(&theirs) && theirs == ours_is,
            Expected::Refused => refuse(&theirs) && refuse(&ours_is),
            Expected::AsUnset => {
                let set = variables.iter().filter(|(_, value)| !value.is_empty());
                let unset = set.map(|(name, value)| (name.clone(), value.clone())).collect();
                let expected = ours(&unset).await;
                refuse(&theirs) && !refuse(&ours_is) && ours_is == expected
            }
            Expected::Ours => {
                theirs["region"] == "us-east-1" && ours_is["region"] == row.variables[0].1
            }
        };
        if !is_right {
            differing.push(format!("{}:\n  boto3 {theirs}\n  here  {ours_is}", row.name));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[tokio::test]
async fn a_sign_in_that_is_renewed_is_left_to_others() {
    let server = FaultServer::start(servers).unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = "[default]\nsso_session = renewable\nsso_account_id = 1\nsso_role_name = r\n\
                  [sso-session renewable]\nsso_region = eu-west-1\nsso_start_url = s\n";
    let variables = environment(&row("", config, "", &[]), home.path(), &server.url());
    let keys = ours(&variables).await;
    assert_eq!(keys["keys"], json!(["AKIDPERSON", "p", "r 1 renewed"]));
    let kept = std::fs::read(token_of(home.path(), "renewable")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(
        (&kept["accessToken"], &kept["refreshToken"], &kept["clientSecret"]),
        (&json!("renewed"), &json!("next"), &json!("secret"))
    );
    // It is good, so nobody is asked for another one.
    assert_eq!(ours(&variables).await["keys"], keys["keys"]);
    let asked = server.requests().iter().filter(|request| request.path == "/token").count();
    assert_eq!(asked, 1);
    // One that is signed out is told what to do.
    let config = config.replace("renewable", "expired");
    let variables = environment(&row("", config.leak(), "", &[]), home.path(), &server.url());
    let error = ours(&variables).await["error"].to_string();
    assert!(error.contains("the sign-in has expired"), "{error}");
}
