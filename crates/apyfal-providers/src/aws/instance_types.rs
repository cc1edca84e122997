//! Kinds of machines.

use std::collections::BTreeMap;

use apyfal_core::{Error, Result};
use tokio::sync::Mutex;

use super::api::{Api, Params};
use super::failure;

/// What is known of types of machines, each of which is asked for once.
#[derive(Debug, Default)]
pub(crate) struct InstanceTypes(Mutex<BTreeMap<String, Vec<String>>>);

impl InstanceTypes {
    /// The architectures whose programs an instance type runs: `x86_64`, `arm64`.
    ///
    /// # Errors
    /// There is no such type in the region.
    pub(crate) async fn architectures(&self, api: &Api, name: &str) -> Result<Vec<String>> {
        let mut known = self.0.lock().await;
        if let Some(known) = known.get(name) {
            return Ok(known.clone());
        }
        let told = architectures(api, name).await?;
        known.insert(name.to_owned(), told.clone());
        Ok(told)
    }
}

async fn architectures(api: &Api, name: &str) -> Result<Vec<String>> {
    let params = vec![("InstanceType.1".to_owned(), name.to_owned())];
    let types = api.ec2_all("DescribeInstanceTypes", &params, "instanceTypeSet").await;
    let types = types.map_err(|error| {
        let error = error.operation(format!("use instance type '{name}'"));
        let is_unknown = failure::code(&error) == Some("InvalidInstanceType");
        if is_unknown {
            return error
                .hint(format!("it is no type of machine that {} offers", api.region()))
                .hint("name another: instance_type in section [host.AWS]");
        }
        error
    })?;
    let of = |path| types.iter().flat_map(move |found| found.items(path));
    let names = of("processorInfo/supportedArchitectures").filter_map(|item| item.own_text());
    Ok(names.map(str::to_owned).collect())
}

/// Adds to an error the types that an account on the free plan may use, where it is refused for that.
pub(crate) async fn with_free_ones(api: &Api, error: Error) -> Error {
    if !failure::is_of_free_plan(&error) {
        return error;
    }
    let params: Params = [("Filter.1.Name", "free-tier-eligible"), ("Filter.1.Value.1", "true")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let Ok(types) = api.ec2_all("DescribeInstanceTypes", &params, "instanceTypeSet").await else {
        return error;
    };
    let mut names: Vec<_> = types.iter().filter_map(|found| found.text("instanceType")).collect();
    names.sort_unstable();
    match names.is_empty() {
        true => error,
        false => error.hint(format!("the free plan has: {}", names.join(", "))),
    }
}
