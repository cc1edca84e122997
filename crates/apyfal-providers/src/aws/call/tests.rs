use std::time::SystemTime;

use apyfal_core::{Environment, Error, ErrorKind};
use apyfal_testkit::{Answer, Body, FaultServer, Request};
use reqsign_core::time::Timestamp;
use serde_json::Value;

use crate::aws::api::{Api, Params};
use crate::aws::failure::{code, is_after_lost, is_of_free_plan};
use crate::aws::testing::{api, api_of, environment};

const FINE: &str = "<R xmlns='http://x/'><set><item/></set></R>";

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let text = format!(
        "<?xml version='1.0'?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>\
         </Error></Errors><RequestID>1-2-3</RequestID></Response>"
    );
    Answer::new(status, text)
}

/// A server that answers first with these, then well.
fn server(first: Vec<Answer>) -> FaultServer {
    let answer = move |request: &Request| match first.get(request.number) {
        Some(answer) => answer.clone(),
        None => Answer::new(200, FINE),
    };
    FaultServer::start(answer).unwrap()
}

async fn refused(answer: Answer, params: &[(&str, &str)]) -> Error {
    let server = server(vec![answer]);
    let params = params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let error = api(&server.url()).ec2("RunInstances", &params).await.unwrap_err();
    assert_eq!(server.requests().len(), 1, "{error}");
    error
}

#[tokio::test]
async fn what_passes_is_asked_for_again() {
    for fault in [
        refusal(503, "RequestLimitExceeded", "Request limit exceeded."),
        refusal(400, "Throttling", "Rate exceeded"),
        refusal(500, "InternalError", "An internal error has occurred"),
        refusal(409, "ConcurrentModification", "It is being changed"),
        Answer::new(502, "<html>a page</html>"),
        Answer::new(200, FINE).body(Body::CutAfter(10)),
        Answer::new(200, FINE).body(Body::Nothing),
    ] {
        let server = server(vec![fault.clone(), fault.clone(), fault.clone(), fault]);
        let answer = api(&server.url()).ec2("RunInstances", &Params::new()).await.unwrap();
        assert_eq!(answer.items("set").count(), 1);
        let requests = server.requests();
        assert_eq!(requests.len(), 5);
        // It is the same request, signed anew.
        assert!(requests.iter().all(|request| request.body == requests[0].body));
    }
}

#[tokio::test]
async fn what_came_too_fast_did_nothing() {
    for (first, is_in_doubt) in [
        (refusal(503, "RequestLimitExceeded", "Request limit exceeded."), false),
        (refusal(500, "InternalError", "An internal error has occurred"), true),
        (Answer::new(200, FINE).body(Body::Nothing), true),
    ] {
        let then = refusal(400, "VcpuLimitExceeded", "You have requested more than your limit");
        let server = server(vec![first, then]);
        let error = api(&server.url()).ec2("RunInstances", &Params::new()).await.unwrap_err();
        assert_eq!(
            (error.kind(), is_after_lost(&error)),
            (ErrorKind::Quota, is_in_doubt),
            "{error}"
        );
    }
}

#[tokio::test]
async fn how_often_is_a_setting() {
    let server = FaultServer::start(|_| Answer::new(503, "")).unwrap();
    let calling = |times| api_of(&environment(&server.url(), &[("AWS_MAX_ATTEMPTS", times)]));
    let error = calling("2").ec2("DescribeInstances", &Params::new()).await.unwrap_err();
    assert_eq!((server.requests().len(), error.kind()), (2, ErrorKind::Unavailable));
    assert!(error.is_retryable() && error.to_string().contains("attempts 2"), "{error}");
    let error = calling("x").ec2("DescribeInstances", &Params::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn who_cannot_be_reached_is_not_tried_for_long() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = api(&url).ec2("DescribeInstances", &Params::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("refused") && text.contains(&url) && text.contains("attempts 3"),
        "{text}"
    );
}

#[tokio::test]
async fn a_refusal_says_what_may_be_done_about_it() {
    use ErrorKind as Kind;
    const NO_VCPU: &str = "You have requested more vCPU capacity than your current vCPU limit of 0 \
                           allows for the instance bucket that the specified type belongs to.";
    let f2 = [("InstanceType", "f2.6xlarge"), ("InstanceMarketOptions.MarketType", "spot")];
    for (answer, params, kind, expected) in [
        (refusal(401, "AuthFailure", "No"), &f2[..0], Kind::Authentication, "client_id"),
        (refusal(400, "ExpiredToken", "No"), &[], Kind::Authentication, "aws sso login"),
        (refusal(403, "UnauthorizedOperation", "No"), &[], Kind::Security, "ec2:RunInstances"),
        (refusal(401, "OptInRequired", "Subscribe at x"), &[], Kind::Security, "subscribe at x"),
        (refusal(400, "VcpuLimitExceeded", "0"), &f2[..1], Kind::Quota, "L-74FC7D96"),
        (refusal(400, "VcpuLimitExceeded", NO_VCPU), &f2[..1], Kind::Quota, "t3.medium"),
        (refusal(400, "MaxSpotInstanceCountExceeded", "0"), &f2, Kind::Quota, "L-88CF9481"),
        (refusal(400, "AddressLimitExceeded", "5"), &[], Kind::Quota, "L-0263D0A3"),
        // A server error of EC2 that stays.
        (refusal(500, "InsufficientInstanceCapacity", "No"), &f2, Kind::Capacity, "another zone"),
        (refusal(400, "SpotMaxPriceTooLow", "No"), &f2, Kind::Capacity, "offer more"),
        (refusal(400, "Unsupported", "No"), &f2, Kind::Capacity, "another zone"),
        (refusal(400, "VPCIdNotSpecified", "No"), &[], Kind::Configuration, "subnet_id"),
        (refusal(400, "InvalidAMIID.NotFound", "No"), &[], Kind::Configuration, "eu-west-1"),
        (refusal(400, "InvalidSubnetID.NotFound", "No"), &[], Kind::Configuration, ""),
        (refusal(400, "InvalidParameterValue", "No"), &[], Kind::Configuration, ""),
        (refusal(400, "InvalidInstanceID.NotFound", "No"), &[], Kind::NotFound, ""),
        (refusal(400, "InvalidGroup.Duplicate", "No"), &[], Kind::Conflict, ""),
        (refusal(400, "IdempotentParameterMismatch", "No"), &[], Kind::Conflict, ""),
        (Answer::new(400, "<html>"), &[], Kind::Configuration, "no answer of AWS"),
        (
            Answer::new(400, r#"{"__type":"com.amazonaws#ParameterNotFound"}"#),
            &[],
            Kind::NotFound,
            "",
        ),
    ] {
        let error = refused(answer.clone(), params).await;
        let whole = format!("{error} {:?}", error.hints());
        assert_eq!(error.kind(), kind, "{whole}");
        assert!(whole.contains(expected) && !error.is_retryable(), "{whole}");
        assert!(!whole.contains("hunter2"), "{whole}");
    }
}

#[tokio::test]
async fn a_denial_names_the_action_and_who_can_tell_more() {
    let message = "You are not authorized to perform this operation. User: arn:aws:iam::1:user/x is not \
                   authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/y because no \
                   policy allows it. Encoded authorization failure message: AbC-1_2";
    let error = refused(refusal(403, "UnauthorizedOperation", message), &[]).await;
    assert_eq!(code(&error), Some("UnauthorizedOperation"));
    assert!(error.message().starts_with("you are not") && error.message().ends_with("allows it"));
    assert!(error.hints()[0].contains("iam:PassRole"), "{error:?}");
    assert!(error.hints()[1].ends_with(" AbC-1_2"), "{error:?}");
    assert!(error.to_string().contains("request 1-2-3"), "{error}");
}

#[tokio::test]
async fn the_free_plan_is_told_apart() {
    let message = "The specified instance type is not eligible for Free Tier. Run x.";
    let error = refused(refusal(400, "InvalidParameterCombination", message), &[]).await;
    assert!(is_of_free_plan(&error) && error.kind() == ErrorKind::Configuration, "{error:?}");
    let error = refused(refusal(400, "InvalidParameterCombination", "No"), &[]).await;
    assert!(!is_of_free_plan(&error));
}

#[tokio::test]
async fn a_wrong_clock_is_told() {
    for (off, expected) in [(3600, "60 minutes behind"), (-86_400, "24 hours ahead of")] {
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let time = Timestamp::from_second(seconds as i64 + off + off.signum() * 5).unwrap();
        for code in ["AuthFailure", "SignatureDoesNotMatch", "RequestTimeTooSkewed"] {
            let answer = refusal(403, code, "No").header("Date", time.format_http_date());
            let error = refused(answer, &[]).await;
            assert_eq!(error.kind(), ErrorKind::Authentication);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.hints()[0].contains("timedatectl"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn refused_credentials_are_read_again_once() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let file = home.path().join(".aws/credentials");
    let write = |file: &std::path::Path, id: &str| {
        let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = s\n");
        std::fs::write(file, text).unwrap();
    };
    write(&file, "AKIDOLD");
    let at_refusal = file.clone();
    let server = FaultServer::start(move |request| {
        match request.headers["authorization"].contains("AKIDNEW") {
            true => Answer::new(200, FINE),
            false => {
                write(&at_refusal, "AKIDNEW");
                refusal(400, "RequestExpired", "Request has expired.")
            }
        }
    })
    .unwrap();
    let no_keys = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let environment = environment(&server.url(), &no_keys);
    let calling = api_of(&Environment { home: Some(home.path().into()), ..environment });
    calling.ec2("DescribeInstances", &Params::new()).await.unwrap();
    calling.ec2("DescribeInstances", &Params::new()).await.unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn credentials_that_are_gone_say_nothing_about_the_request_before() {
    let home = tempfile::tempdir().unwrap();
    let gone = home.path().join("gone");
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let script = home.path().join("keys");
    // They are good for a call, and for so short that they are asked for each time.
    let expiration = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(100);
    let text = format!(
        "#!/bin/sh\n[ ! -e '{}' ] || exit 1\necho '{{\"Version\": 1, \"AccessKeyId\": \"AKID\", \
         \"SecretAccessKey\": \"s\", \"Expiration\": \"{expiration}\"}}'\n",
        gone.display()
    );
    std::fs::write(&script, text).unwrap();
    let config = format!("[default]\ncredential_process = sh {}\n", script.display());
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    let server = FaultServer::start(move |_| {
        std::fs::write(&gone, "").unwrap();
        Answer::new(200, FINE).body(Body::Nothing)
    })
    .unwrap();
    let no_keys = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let environment = environment(&server.url(), &no_keys);
    let calling = api_of(&Environment { home: Some(home.path().into()), ..environment });
    let error = calling.ec2("RunInstances", &Params::new()).await.unwrap_err();
    assert!(is_after_lost(&error), "{error:?}");
    assert_eq!(crate::aws::refused(error, &Value::Null).kind(), ErrorKind::Unavailable);
    assert_eq!(server.requests().len(), 1);
    // Where nothing was asked, nothing is there.
    let error = calling.ec2("RunInstances", &Params::new()).await.unwrap_err();
    assert_eq!(crate::aws::refused(error, &Value::Null).kind(), ErrorKind::Authentication);
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_none_of_what_was_asked_before() {
    for (code, kind, is_retryable) in [
        ("InvalidKeyPair.NotFound", ErrorKind::Unavailable, true),
        ("UnauthorizedOperation", ErrorKind::Unavailable, false),
        // This is about what the request before has made.
        ("IdempotentInstanceTerminated", ErrorKind::NotFound, false),
    ] {
        let lost = Answer::new(200, FINE).body(Body::Nothing);
        let server = server(vec![lost, refusal(400, code, "No")]);
        let error = api(&server.url()).ec2("RunInstances", &Params::new()).await.unwrap_err();
        let error = crate::aws::refused(error, &Value::Null);
        assert_eq!((error.kind(), error.is_retryable()), (kind, is_retryable), "{error:?}");
    }
}

#[tokio::test]
async fn who_has_no_credentials_is_told_how_to_get_some() {
    let no_keys = [("AWS_ACCESS_KEY_ID", "")];
    let api = api_of(&environment("http://127.0.0.1:9", &no_keys));
    let error = api.ec2("DescribeInstances", &Params::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.hints()[0].contains("[host.AWS]"), "{error:?}");
}

#[tokio::test]
async fn proxies_are_those_of_the_environment() {
    let server = server(Vec::new());
    let calling = |more: &[(&str, &str)]| api_of(&environment("http://aws.example:1", more));
    let by_proxy = calling(&[("http_proxy", &server.url())]);
    by_proxy.ec2("DescribeInstances", &Params::new()).await.unwrap();
    assert_eq!(server.requests()[0].path, "http://aws.example:1/");
    let direct =
        [("http_proxy", &*server.url()), ("no_proxy", ".example"), ("AWS_MAX_ATTEMPTS", "1")];
    calling(&direct).ec2("DescribeInstances", &Params::new()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn every_page_is_read() {
    let server = FaultServer::start(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let page = ["Token=two", "Token=three", "Marker=two"];
        let page = page.into_iter().find(|page| body.contains(page));
        Answer::new(
            200,
            match (body.contains("ListRoles"), page) {
                (false, None) => "<R><set><i/><i/></set><nextToken>two</nextToken></R>",
                // A page may be empty, and not the last one.
                (false, Some("Token=two")) => "<R><set/><nextToken>three</nextToken></R>",
                (false, _) => "<R><set><i/></set><nextToken/></R>",
                (true, None) => {
                    "<R><ListRolesResult><Roles><member/></Roles><IsTruncated>true</IsTruncated>\
                     <Marker>two</Marker></ListRolesResult></R>"
                }
                (true, Some(_)) => {
                    "<R><ListRolesResult><Roles><member/></Roles><IsTruncated>false</IsTruncated>\
                     </ListRolesResult></R>"
                }
            },
        )
    })
    .unwrap();
    let api: Api = api(&server.url());
    let params = vec![("MaxResults".to_owned(), "2".to_owned())];
    assert_eq!(api.ec2_all("DescribeInstances", &params, "set").await.unwrap().len(), 3);
    assert_eq!(api.iam_all("ListRoles", &Params::new(), "Roles").await.unwrap().len(), 2);
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| request.headers["user-agent"].starts_with("apyfal/")));
    // What is asked for stays the same on every page.
    let asked = |it: &Request| String::from_utf8_lossy(&it.body).contains("MaxResults=2");
    assert!(requests[..3].iter().all(asked));
}
