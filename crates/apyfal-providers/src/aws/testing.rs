//! What the tests of AWS share.

use std::sync::Arc;
use std::time::Duration;

use apyfal_aws::{Credentials, Http, Settings};
use apyfal_core::Environment;
use apyfal_testkit::Cloud;

use super::api::Api;
use super::http::client;
use super::settings::client::ClientOptions;

/// The region of tests.
pub(super) const REGION: &str = "eu-west-1";

/// An environment with a server for all services, and keys that nobody checks.
pub(super) fn environment(server: &str, more: &[(&str, &str)]) -> Environment {
    let usual = [
        ("AWS_ENDPOINT_URL", server),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let usual = usual.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    let variables = usual.chain(more).map(|(name, value)| (name.to_string(), value.to_string()));
    Environment { variables: variables.collect(), home: None }
}

/// Calls what an environment names, without waiting long before calls are made again.
pub(super) fn api_of(environment: &Environment) -> Api {
    let settings = Settings::read(environment).unwrap();
    let http = client(&settings, environment, &ClientOptions::default()).unwrap();
    let credentials = Credentials::new(&settings, Http(http.clone())).unwrap();
    let mut api = Api::new(Arc::new(settings), Arc::new(credentials), http, REGION.to_owned());
    api.pace = Duration::from_millis(1);
    api
}

/// Calls one server for all services.
pub(super) fn api(server: &str) -> Api {
    api_of(&environment(server, &[]))
}

/// What leads to a cloud as its owner, in the region of tests.
pub(super) fn of_cloud(cloud: &Cloud) -> Environment {
    let variables = cloud.environment().into_iter();
    Environment {
        variables: variables.map(|(name, value)| (name.to_owned(), value)).collect(),
        home: None,
    }
}
