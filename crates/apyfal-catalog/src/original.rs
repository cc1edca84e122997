//! The catalog as the original's clients get it: host type, accelerator, region, values.

use serde_json::{Map, Value, json};

use crate::requirements::{EVERY_REGION, Requirements};
use crate::{Accelerator, Catalog, Image};

/// The regions of AWS that need no request to be used, and some that do. An entry for every region
/// is written out for these, as the original's clients look their own up by name.
///
/// It is a list of its own: which regions an account has from its start (`OPEN_TO_ALL` of the provider) is
/// another question, whose answer changes with AWS alone, and here each more is one more that clients find.
const AWS_REGIONS: [&str; 22] = [
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-south-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "me-central-1",
    "me-south-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

impl Catalog {
    /// The catalog in the form of the original's server. What cannot be said in it is left out: an
    /// image that is known by its name only.
    pub fn to_original(&self) -> Value {
        let mut hosts = Map::new();
        for (name, accelerator) in &self.accelerators {
            for (host_type, regions) in &accelerator.hosts {
                let offered = match hosts.entry(host_type.clone()).or_insert_with(|| json!({})) {
                    Value::Object(offered) => offered,
                    _ => continue,
                };
                let mut written = Map::new();
                if let Some(all) = regions.get(EVERY_REGION) {
                    let everywhere: &[&str] = match host_type.eq_ignore_ascii_case("AWS") {
                        true => &AWS_REGIONS,
                        false => &[EVERY_REGION],
                    };
                    for region in everywhere {
                        written.insert((*region).to_owned(), values(all));
                    }
                }
                for (region, requirements) in
                    regions.iter().filter(|(name, _)| *name != EVERY_REGION)
                {
                    written.insert(region.clone(), values(requirements));
                }
                offered.insert(name.clone(), Value::Object(written));
            }
        }
        Value::Object(hosts)
    }

    /// Reads what a server of the original answers. What has another form is passed over.
    pub fn from_original(answer: &Value) -> Self {
        let mut catalog = Self::default();
        for (host_type, accelerators) in entries(answer) {
            for (name, regions) in entries(accelerators) {
                let accelerator: &mut Accelerator =
                    catalog.accelerators.entry(name.clone()).or_default();
                let read = entries(regions)
                    .filter_map(|(region, values)| Some((region.clone(), requirements(values)?)));
                accelerator.hosts.entry(host_type.clone()).or_default().extend(read);
            }
        }
        catalog
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn values(requirements: &Requirements) -> Value {
    let mut values = requirements.environment.clone();
    let Requirements { image, instancetype, fpgaimage, .. } = requirements;
    for (key, value) in [
        ("image", image.as_ref().and_then(Image::as_id)),
        ("instancetype", instancetype.clone()),
        ("fpgaimage", fpgaimage.clone()),
    ] {
        if let Some(value) = value {
            values.insert(key.to_owned(), value.into());
        }
    }
    Value::Object(values)
}

fn requirements(values: &Value) -> Option<Requirements> {
    let mut environment = values.as_object()?.clone();
    let mut word = |key: &str| match environment.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let image = word("image").map(|id| match id.strip_prefix("resolve:ssm:") {
        Some(ssm) => Image::Parameter { ssm: ssm.to_owned() },
        None => Image::Id(id),
    });
    let (instancetype, fpgaimage) = (word("instancetype"), word("fpgaimage"));
    Some(Requirements { image, instancetype, fpgaimage, environment, ..Requirements::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_original_can_say_comes_back() {
        let answer = json!({"AWS": {"mine": {"eu-west-1": {
            "image": "ami-1", "instancetype": "f2.6xlarge", "fpgaimage": "agfi-1", "port": 5,
        }}}, "OpenStack": {"mine": {"nova": {"image": "resolve:ssm:/x"}}}});
        let catalog = Catalog::from_original(&answer);
        assert_eq!(catalog.to_original(), answer);
        let there = catalog.requirements("AWS", "mine").unwrap();
        let there = there.region(Some("eu-west-1")).unwrap();
        assert_eq!(there.environment, json!({"port": 5}).as_object().unwrap().clone());
        assert_eq!(Catalog::from_original(&json!(["?", {"AWS": 1}])), Catalog::default());
    }

    #[test]
    fn every_region_is_written_out() {
        let text = "[accelerator.gzip.AWS.'*']\nimage = {ssm = '/x'}\n\
                    [accelerator.gzip.AWS.us-east-1]\nimage = 'ami-2'\n";
        let original = Catalog::parse(text, "c").unwrap().to_original();
        let regions = original["AWS"]["gzip"].as_object().unwrap();
        assert_eq!(regions.len(), AWS_REGIONS.len());
        assert_eq!(regions["eu-west-3"]["image"], "resolve:ssm:/x");
        assert_eq!(regions["us-east-1"]["image"], "ami-2", "what is named goes first");
    }
}
