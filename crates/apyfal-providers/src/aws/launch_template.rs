//! What a launch template that the request names says of spare capacity.
//!
//! EC2 takes that up by itself, and unseen: a persistent request would replace a machine that has ended, for
//! ever. So it is said in the request itself, which goes over the template.

use apyfal_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use super::api::{Api, Params};
use super::element::Element;
use super::settings::AwsSettings;

/// Its members, by their names on the wire.
const MEMBERS: [(&str, &str); 4] = [
    ("MaxPrice", "maxPrice"),
    ("SpotInstanceType", "spotInstanceType"),
    ("ValidUntil", "validUntil"),
    ("InstanceInterruptionBehavior", "instanceInterruptionBehavior"),
];

/// The `InstanceMarketOptions` of the launch template that a request names, where it has some.
///
/// # Errors
/// There is no such template or version, or AWS refuses to tell.
pub(crate) async fn market_options(api: &Api, settings: &AwsSettings) -> Result<Option<Value>> {
    let said = |member: &str| settings.overrides.member(&format!("LaunchTemplate.{member}"));
    if settings.overrides.member("LaunchTemplate").is_none() {
        return Ok(None);
    }
    let version = said("Version").and_then(Value::as_str).unwrap_or("$Default");
    let mut params: Params = vec![("LaunchTemplateVersion.1".to_owned(), version.to_owned())];
    let names = ["LaunchTemplateId", "LaunchTemplateName"];
    let named = names.iter().filter_map(|name| Some(((*name).to_owned(), said(name)?.as_str()?)));
    params.extend(named.map(|(name, value)| (name, value.to_owned())));
    let doing = |error: Error| error.operation("read the launch template");
    let set = "launchTemplateVersionSet";
    let found = api.ec2_all("DescribeLaunchTemplateVersions", &params, set).await.map_err(doing)?;
    let found = found.first().ok_or_else(|| {
        doing(Error::new(ErrorKind::Configuration, format!("it has no version '{version}'")))
    })?;
    Ok(found.at("launchTemplateData/instanceMarketOptions").and_then(read))
}

fn read(options: &Element) -> Option<Value> {
    let market = options.text("marketType")?;
    let told = |(name, wire): &(&str, &str)| {
        Some(((*name).to_owned(), options.text(&format!("spotOptions/{wire}"))?.into()))
    };
    let spot: Map<String, Value> = MEMBERS.iter().filter_map(told).collect();
    Some(match spot.is_empty() {
        true => json!({"MarketType": market}),
        false => json!({"MarketType": market, "SpotOptions": spot}),
    })
}

#[cfg(test)]
mod tests {
    use apyfal_core::Configuration;

    use super::*;
    use crate::aws::cloud::{Cloud, params};

    #[tokio::test]
    async fn what_a_template_says_of_spare_capacity_is_read() {
        let cloud = Cloud::start();
        let api = cloud.api();
        let data = "LaunchTemplateData.InstanceMarketOptions";
        for (name, more) in [
            ("plain", vec![]),
            (
                "persistent",
                vec![
                    (format!("{data}.MarketType"), "spot"),
                    (format!("{data}.SpotOptions.SpotInstanceType"), "persistent"),
                    (format!("{data}.SpotOptions.MaxPrice"), "0.5"),
                ],
            ),
        ] {
            let mut made = params(&[
                ("LaunchTemplateName", name),
                ("LaunchTemplateData.InstanceType", "t3.medium"),
            ]);
            made.extend(more.into_iter().map(|(name, value)| (name, value.to_owned())));
            api.ec2("CreateLaunchTemplate", &made).await.unwrap();
        }
        let told = async |template: &str| {
            let text = format!(
                "[host]\nhost_type = AWS\nboto3_create_instances_kwargs = {{{template}}}\n"
            );
            let configuration = Configuration::parse(text.as_bytes(), "a.conf").unwrap();
            market_options(&api, &AwsSettings::read(&configuration).unwrap()).await
        };
        assert_eq!(told("").await.unwrap(), None);
        let named = |name: &str| format!("'LaunchTemplate': {{'LaunchTemplateName': '{name}'}}");
        assert_eq!(told(&named("plain")).await.unwrap(), None);
        let expected = json!({"MarketType": "spot", "SpotOptions": {
            "SpotInstanceType": "persistent", "MaxPrice": "0.5"
        }});
        assert_eq!(told(&named("persistent")).await.unwrap(), Some(expected));
        let error = told(&named("none")).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot read the launch template"), "{error}");
    }
}
