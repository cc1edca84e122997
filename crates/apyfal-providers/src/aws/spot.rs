//! Machines of spare capacity: what they are asked for with, and what AWS does with them at the end.

use apyfal_core::{Error, ErrorKind, Result};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::members;
use super::settings::AwsSettings;
use crate::spec::{AtShutdown, HostSpec};

/// What names capacity that is not spare: AWS takes no request for both.
const NEVER_SPARE: [&str; 3] = [
    "CapacityReservationSpecification.CapacityReservationTarget",
    "Placement.HostId",
    "Placement.HostResourceGroupArn",
];

/// What is asked for where the user asks for nothing else: one machine, which is deleted where its
/// capacity is needed. A machine of that kind cannot be stopped, so one that is to be is on demand,
/// unless the user says what spare capacity it is to be of.
pub(crate) fn options(spec: &HostSpec, settings: &AwsSettings) -> Option<Value> {
    let said = |member| settings.overrides.member(&format!("InstanceMarketOptions.{member}"));
    if said("MarketType").is_some_and(|market| market != "spot") {
        return None;
    }
    let has = |member: &&str| settings.overrides.member(member).is_some();
    let excludes = NEVER_SPARE.iter().any(has)
        || settings.overrides.member("Placement.Tenancy").is_some_and(|tenancy| tenancy == "host");
    if settings.spot_instance && !excludes && spec.at_shutdown == AtShutdown::Terminate {
        return Some(json!({"MarketType": "spot", "SpotOptions": {
            "SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"
        }}));
    }
    said("SpotOptions").map(|_| json!({"MarketType": "spot"}))
}

/// Whether a request is one for spare capacity.
pub(crate) fn is_spot(request: &Map<String, Value>) -> bool {
    request.get("InstanceMarketOptions").is_some_and(|market| market["MarketType"] == "spot")
}

/// Whether it is one that has AWS replace its machine.
pub(crate) fn is_persistent(request: &Map<String, Value>) -> bool {
    is_spot(request)
        && request["InstanceMarketOptions"]["SpotOptions"]["SpotInstanceType"] == "persistent"
}

/// Makes of a request for spare capacity one that ends with the lease of its host.
///
/// AWS replaces a machine of a persistent request that was deleted, for ever: so it is stopped instead
/// when it shuts itself down, and the request is valid no longer than its host may live.
///
/// # Errors
/// A machine that is to be stopped cannot be.
pub(crate) fn settle(
    request: &mut Map<String, Value>,
    spec: &HostSpec,
    settings: &AwsSettings,
    now: Timestamp,
) -> Result<()> {
    if !is_spot(request) {
        return Ok(());
    }
    let is_persistent = is_persistent(request);
    let hibernates = request.get("HibernationOptions").is_some_and(|on| on["Configured"] == true);
    let market = &mut request["InstanceMarketOptions"];
    if !is_persistent {
        return match spec.at_shutdown {
            AtShutdown::Terminate => Ok(()),
            AtShutdown::Stop => Err(refused("AWS stops no machine of a one-time spot request")
                .hint("use stop_mode = term or keep, or a machine that is no spot instance")
                .hint("or ask for one by 'SpotInstanceType': 'persistent'")),
        };
    }
    let options = &mut market["SpotOptions"];
    let behaviour = "InstanceInterruptionBehavior";
    match settings.overrides.member(&format!("InstanceMarketOptions.SpotOptions.{behaviour}")) {
        Some(said) if said == "terminate" => {
            return Err(refused("a persistent spot request cannot have its machine terminated")
                .hint(format!("'{behaviour}' is stop or hibernate there")));
        }
        Some(_) => {}
        None if hibernates => {}
        None => options[behaviour] = json!("stop"),
    }
    let life = spec.max_lifetime.and_then(|life| SignedDuration::try_from(life).ok());
    if let Some(end) = life.and_then(|life| now.checked_add(life).ok())
        && members::time(&options["ValidUntil"]).is_none_or(|until| until > end)
    {
        options["ValidUntil"] = json!(format!("{end:.0}"));
    }
    request.insert("InstanceInitiatedShutdownBehavior".to_owned(), json!("stop"));
    Ok(())
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Usage, why).operation("ask AWS for a spot instance")
}
