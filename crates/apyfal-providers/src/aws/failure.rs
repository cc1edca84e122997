//! What a refusal of AWS means.

use apyfal_core::{Error, ErrorKind};
use http::StatusCode;
use http::header::DATE;
use reqsign_core::time::Timestamp;
use serde_json::Value;

use super::call::{Answer, Call};
use super::element::Element;
use super::quota;

/// How far a clock may be off before signatures are refused for it, in seconds: five minutes and more.
const SKEW: i64 = 240;

/// The regions that every account may use from its start. Source: "Specify which AWS Regions your
/// account can use" of the guide to managing accounts.
///
/// The catalog has a list of regions too (`original.rs`): those that it writes out for the original's clients,
/// whether or not an account has to ask for them. Neither follows from the other.
const OPEN_TO_ALL: [&str; 17] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
];

/// By which codes AWS refuses what comes too fast, or while another does something to the same: nothing
/// was done then, and may be asked for again.
const TOO_FAST: [&str; 14] = [
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "EC2ThrottledException",
    "TooManyRequestsException",
    "PriorRequestNotComplete",
    "SlowDown",
    "OperationAborted",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
];

/// The facts that programs look for here.
const CODE: &str = "code";
const PLAN: &str = "plan";
const LOST: &str = "an earlier answer";

/// The code by which AWS says what was wrong: `InvalidGroup.Duplicate`.
pub(crate) fn code(error: &Error) -> Option<&str> {
    fact(error, CODE)
}

/// Whether the type of an instance is refused as the account is on the free plan.
pub(crate) fn is_of_free_plan(error: &Error) -> bool {
    fact(error, PLAN) == Some("free")
}

/// The error for a call that was made before without an answer: what that did is not known.
pub(super) fn after_lost(error: Error) -> Error {
    error.context(LOST, "got lost")
}

/// Whether a call was made before without an answer.
pub(crate) fn is_after_lost(error: &Error) -> bool {
    fact(error, LOST).is_some()
}

/// Whether nobody knows what a call did that was answered so: the server is in trouble. One that asks to
/// be called more slowly did nothing.
pub(super) fn is_in_doubt(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable
        && !code(error).is_some_and(|code| TOO_FAST.contains(&code))
}

fn fact<'a>(error: &'a Error, name: &str) -> Option<&'a str> {
    error.facts().iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The error for a call that was answered with a refusal.
pub(super) fn refused(call: &Call<'_>, answer: &Answer) -> Error {
    let refusal = Refusal::read(answer);
    let code = refusal.code.as_deref().unwrap_or_default();
    let (kind, is_passing) = class(code, answer.status);
    let clock = (kind == ErrorKind::Authentication).then(|| clock(answer)).flatten();
    let is_clock = clock.is_some();
    let mut error = Error::new(kind, clock.unwrap_or_else(|| plain(&refusal.message)));
    if is_passing {
        error = error.retryable();
    }
    if !code.is_empty() {
        error = error.context(CODE, code);
    }
    error = error
        .context("action", format!("{}:{}", call.service, call.action))
        .context("region", &call.region);
    if let Some(request) = refusal.request {
        error = error.context("request", request);
    }
    match is_clock {
        true => error.hint("set the clock: timedatectl set-ntp true"),
        false => advised(error, call, code, &refusal.message, refusal.denial.as_deref()),
    }
}

/// What a refusal says.
#[derive(Debug)]
struct Refusal {
    code: Option<String>,
    message: String,
    /// Why it was denied, in a form that only some may read.
    denial: Option<String>,
    request: Option<String>,
}

impl Refusal {
    fn read(answer: &Answer) -> Self {
        let text = answer.text();
        let said = Self::of_json(&text).or_else(|| Self::of_xml(&text));
        let header = |name| answer.headers.get(name)?.to_str().ok().map(str::to_owned);
        let mut refusal = said.unwrap_or_else(|| Self {
            code: None,
            message: format!("the server answered {}", answer.status).to_lowercase(),
            denial: None,
            request: None,
        });
        refusal.request = refusal
            .request
            .or_else(|| header("x-amzn-requestid"))
            .or_else(|| header("x-amz-request-id"));
        if let Some((message, denial)) = refusal.message.split_once(DENIAL) {
            refusal.denial = Some(denial.trim().to_owned());
            refusal.message = message.trim().to_owned();
        }
        refusal
    }

    fn of_json(text: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(text).ok()?;
        let text = |names: [&str; 2]| names.into_iter().find_map(|name| said.get(name)?.as_str());
        let code = text(["__type", "code"])?;
        // It may stand behind the name of its service.
        let code = code.rsplit('#').next().unwrap_or(code);
        let message = text(["message", "Message"]).unwrap_or(code).to_owned();
        Some(Self { code: Some(code.to_owned()), message, denial: None, request: None })
    }

    fn of_xml(text: &str) -> Option<Self> {
        let said = Element::parse(text).ok()?;
        let error = match said.name() {
            "Error" => &said,
            _ => said.at("Error").or_else(|| said.at("Errors/Error"))?,
        };
        let request = ["RequestId", "RequestID"].into_iter().find_map(|name| said.text(name));
        let code = error.text("Code")?;
        Some(Self {
            code: Some(code.to_owned()),
            message: error.text("Message").unwrap_or(code).to_owned(),
            denial: None,
            request: request.map(str::to_owned),
        })
    }
}

const DENIAL: &str = "Encoded authorization failure message:";

/// The kind of a refusal, and whether it may pass by itself.
///
/// Sources: "Error codes for the Amazon EC2 API"; "Common errors" of IAM and STS; "Error responses" of
/// S3; `retries/standard.py` of botocore.
fn class(code: &str, status: StatusCode) -> (ErrorKind, bool) {
    let kind = match code {
        "RequestTimeout" | "RequestTimeoutException" => return (ErrorKind::Unavailable, true),
        _ if TOO_FAST.contains(&code) => return (ErrorKind::Unavailable, true),
        "AuthFailure"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "InvalidToken"
        | "TokenRefreshRequired" => ErrorKind::Authentication,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "Blocked"
        | "NotSignedUp"
        | "OptInRequired"
        | "PendingVerification"
        | "SubscriptionRequiredException" => ErrorKind::Security,
        "MaxSpotInstanceCountExceeded" | "LimitExceededException" | "TooManyBuckets" => {
            ErrorKind::Quota
        }
        // `AuthFailure.ServiceLinkedRoleCreationNotPermitted`, and others of what may not be.
        _ if code.starts_with("AuthFailure.") => ErrorKind::Security,
        _ if code.ends_with("LimitExceeded") => ErrorKind::Quota,
        "SpotMaxPriceTooLow" | "Unsupported" => ErrorKind::Capacity,
        _ if code.starts_with("Insufficient") && code.contains("Capacity") => ErrorKind::Capacity,
        "IdempotentParameterMismatch"
        | "IdempotentInstanceTerminated"
        | "DeleteConflict"
        | "DependencyViolation"
        | "BucketAlreadyOwnedByYou"
        | "IncorrectInstanceState"
        | "IncorrectSpotRequestState"
        | "IncorrectState"
        | "PreconditionFailed" => ErrorKind::Conflict,
        _ if [".Duplicate", "AlreadyExists", "InUse"].iter().any(|end| code.ends_with(end)) => {
            ErrorKind::Conflict
        }
        // What was named, and not what was looked for.
        "InvalidSubnetID.NotFound" => ErrorKind::Configuration,
        _ if code.starts_with("InvalidAMIID.") => ErrorKind::Configuration,
        _ if code.ends_with("NotFound") || code.starts_with("NoSuch") => ErrorKind::NotFound,
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return (ErrorKind::Unavailable, true);
        }
        _ if !code.is_empty() => ErrorKind::Configuration,
        // Answers without a body, and those of others.
        _ => match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Security,
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => ErrorKind::Conflict,
            _ => ErrorKind::Configuration,
        },
    };
    (kind, false)
}

/// With what to do about it.
fn advised(
    error: Error,
    call: &Call<'_>,
    code: &str,
    message: &str,
    denial: Option<&str>,
) -> Error {
    let param = |name: &str| {
        call.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    };
    let instance_type = param("InstanceType");
    match (error.kind(), code) {
        (_, "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired") => {
            error.hint("get new credentials: aws sso login, or what else gave them")
        }
        (ErrorKind::Authentication, _) => {
            let error = error
                .hint("look at client_id and secret_id of section [host.AWS], if they are set")
                .hint("else at what the tools of AWS use: aws sts get-caller-identity");
            match OPEN_TO_ALL.contains(&call.region.as_str()) {
                true => error,
                false => error.hint(format!(
                    "or enable region {} for the account: not all are from the start",
                    call.region
                )),
            }
        }
        (_, "OptInRequired" | "PendingVerification" | "Blocked" | "NotSignedUp") => error,
        (ErrorKind::Security, _) => {
            let meant = format!("{}:{}", call.service, call.action);
            let denied = message.split_once("authorized to perform: ").map(|(_, rest)| rest);
            let denied = denied.and_then(|rest| rest.split_whitespace().next()).unwrap_or(&meant);
            let error = error.hint(format!("allow {denied} in a policy of the user or role"));
            match denial {
                None => error,
                Some(denial) => error.hint(format!(
                    "what denied it: aws sts decode-authorization-message --encoded-message {denial}"
                )),
            }
        }
        (ErrorKind::Quota, _) => {
            let is_spot = param("InstanceMarketOptions.MarketType") == "spot";
            let quota = match quota::of_code(code) {
                Some(quota) => Some(quota),
                None if instance_type.is_empty() => None,
                None => Some(("ec2", quota::of_instances(instance_type, is_spot))),
            };
            let error = match quota {
                Some((service, quota)) => error.hint(format!(
                    "ask for more in Service Quotas: {quota} of {service} in {}",
                    call.region
                )),
                None => error.hint("ask for more in Service Quotas"),
            };
            // As an account is at first, for all that is not standard.
            match message.contains("limit of 0 ") && !quota::is_standard(instance_type) {
                true => error.hint(
                    "until then, name a type that every account has some of, where the accelerator has an \
                     engine for CPUs: instance_type = t3.medium, or c7i.xlarge",
                ),
                false => error,
            }
        }
        (ErrorKind::Capacity, "SpotMaxPriceTooLow") => error.hint("offer more, or nothing for the price on demand"),
        (ErrorKind::Capacity, _) => error.hint("try another zone, region or instance type"),
        (_, "InvalidParameterCombination") if message.contains("Free Tier") => error
            .context(PLAN, "free")
            .hint("the account is on the free plan, which has a few types only: aws ec2 describe-instance-types --filters Name=free-tier-eligible,Values=true"),
        (_, "VPCIdNotSpecified" | "DefaultVpcDoesNotExist" | "MissingInput") => error
            .hint("name a subnet: subnet_id in section [host.AWS]")
            .hint("or make a default network: aws ec2 create-default-vpc"),
        (_, "InsufficientFreeAddressesInSubnet") => error.hint("name another subnet: subnet_id"),
        (ErrorKind::Configuration, _) if code.starts_with("InvalidAMIID.") => {
            error.hint(format!("an image is of one region: look for it in {}", call.region))
        }
        (ErrorKind::Configuration, "") => error
            .hint("this is no answer of AWS: look at the endpoint, and at proxies in between"),
        _ => error,
    }
}

/// How far the clock here is off, where that is why signatures are refused.
fn clock(answer: &Answer) -> Option<String> {
    let theirs = answer.headers.get(DATE)?.to_str().ok()?;
    let theirs = Timestamp::parse_rfc2822(theirs).ok()?.as_second();
    let ahead = Timestamp::now().as_second() - theirs;
    let off = match ahead.abs() {
        ..SKEW => return None,
        off @ ..7200 => format!("{} minutes", off / 60),
        off => format!("{} hours", off / 3600),
    };
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    Some(format!(
        "the clock of this machine is {off} {direction} that of AWS, which takes no signature of \
         another time"
    ))
}

/// A sentence of AWS in our style.
fn plain(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    let mut letters = message.chars();
    match letters.next() {
        Some(first) if letters.as_str().starts_with(|c: char| c.is_lowercase() || c == ' ') => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => message.to_owned(),
    }
}
