//! Buckets and how they are reached: S3, OSS and Swift through OpenDAL.

use apyfal_core::{Error, ErrorKind, Result};
use opendal::Operator;
use opendal::layers::RetryLayer;
use opendal::services::{Oss, S3, Swift};
use reqsign_core::ProvideCredentialChain;

use crate::account::{Account, of_aws};
use crate::error::object_error;
use crate::keystone::Token;
use crate::location::ObjectLocation;
use crate::mount::{MountOptions, StorageType, server_url};
use crate::object::{FIRST_PAUSE, RETRIES};
use crate::transport::Transport;

/// The region of S3 unless another is set.
const REGION: &str = "us-east-1";

/// A bucket and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    operator: Operator,
    /// The server, and the proxy if there is one, for errors.
    route: Vec<(&'static str, String)>,
}

impl Bucket {
    /// Connects to a bucket. `account` is there for S3 without keys of its own, `token` for Swift.
    pub(crate) fn connect(
        options: &MountOptions,
        container: &str,
        account: Option<&Account>,
        token: Option<&Token>,
        transport: &Transport,
    ) -> Result<Self> {
        match (&options.client_id, &options.secret_id) {
            (Some(_), None) => return Err(missing("secret_id", options)),
            (None, Some(_)) => return Err(missing("client_id", options)),
            _ => {}
        }
        let (server, operator) = match options.storage_type {
            StorageType::S3 => {
                let (server, region) = s3_server(options, account)?;
                let s3 = s3(options, container, account, &server, &region);
                (server, Operator::new(s3))
            }
            StorageType::Oss => {
                let server = oss_server(options)?;
                let oss = oss(options, container, &server);
                (server, Operator::new(oss))
            }
            StorageType::Swift => {
                let token = token.ok_or_else(|| missing("auth_url", options))?;
                (token.endpoint.clone(), Operator::new(swift(container, token)))
            }
        };
        let connecting = |error: Error| {
            error.operation(format!("connect to '{}://{container}'", options.storage_type))
        };
        let operator = operator.map_err(|error| {
            connecting(Error::new(ErrorKind::StorageConfiguration, error.message().to_owned()))
        })?;
        let retry =
            RetryLayer::new().with_min_delay(FIRST_PAUSE).with_max_times(RETRIES).with_jitter();
        let operator = operator
            .with_context(transport.context())
            .layer(retry.with_notify(|_: opendal::layers::RetryEvent<'_>| {}));
        Ok(Self { operator, route: transport.route(&server).map_err(connecting)? })
    }

    /// What an error of OpenDAL means.
    pub(crate) fn error(
        &self,
        error: opendal::Error,
        verb: &str,
        location: &ObjectLocation,
    ) -> Error {
        let has_changed = error.kind() == opendal::ErrorKind::ConditionNotMatch;
        let error = object_error(error, verb, location);
        if error.kind() != ErrorKind::Storage || has_changed {
            return error;
        }
        self.route.iter().fold(error, |error, (what, name)| error.context(*what, name))
    }

    pub(crate) fn operator(&self) -> &Operator {
        &self.operator
    }
}

/// The server of S3 and its region: those of the options, else what the tools of AWS would use.
fn s3_server(options: &MountOptions, account: Option<&Account>) -> Result<(String, String)> {
    let named = account.and_then(|account| account.settings.region());
    let region = options.region.as_deref().or(named).unwrap_or(REGION).to_owned();
    let endpoint = match (account, &options.endpoint) {
        (Some(account), None) => account.settings.endpoint("s3").map_err(of_aws)?,
        _ => None,
    };
    let server = match (endpoint, account) {
        // Who names a server of plain HTTP to the tools of AWS means it.
        (Some(endpoint), _) => {
            server_url(endpoint, true).map_err(|error| error.operation("connect to s3://"))?
        }
        (None, Some(account)) => options.server(&account.settings.server("s3", &region).name)?,
        (None, None) => options.server(&format!("s3.{region}.amazonaws.com"))?,
    };
    Ok((server, region))
}

fn s3(
    options: &MountOptions,
    bucket: &str,
    account: Option<&Account>,
    server: &str,
    region: &str,
) -> S3 {
    // Nothing is left for the client library to look up.
    let mut s3 = S3::default().bucket(bucket).region(region).endpoint(server);
    s3 = s3.disable_config_load().disable_ec2_metadata();
    if let (Some(id), Some(secret)) = (&options.client_id, &options.secret_id) {
        s3 = s3.access_key_id(id).secret_access_key(secret.expose());
        if let Some(token) = &options.session_token {
            s3 = s3.session_token(token.expose());
        }
    } else if let Some(credentials) = account.and_then(|account| account.credentials.clone()) {
        s3 = s3.credential_provider_chain(ProvideCredentialChain::new().push(credentials));
    }
    if options.anonymous { s3.skip_signature() } else { s3 }
}

fn oss_server(options: &MountOptions) -> Result<String> {
    let default = match (&options.endpoint, &options.region) {
        (None, None) => return Err(missing("region", options)),
        (_, region) => format!("oss-{}.aliyuncs.com", region.as_deref().unwrap_or_default()),
    };
    options.server(&default)
}

fn oss(options: &MountOptions, bucket: &str, server: &str) -> Oss {
    let mut oss = Oss::default().bucket(bucket).endpoint(server);
    if let (Some(id), Some(secret)) = (&options.client_id, &options.secret_id) {
        oss = oss.access_key_id(id).access_key_secret(secret.expose());
        if let Some(token) = &options.session_token {
            oss = oss.security_token(token.expose());
        }
    }
    if options.anonymous { oss.skip_signature() } else { oss }
}

fn swift(container: &str, token: &Token) -> Swift {
    Swift::default().endpoint(&token.endpoint).container(container).token(token.secret.expose())
}

/// The error for an option that this kind of store cannot do without.
pub(crate) fn missing(key: &str, options: &MountOptions) -> Error {
    let kind = options.storage_type;
    Error::new(ErrorKind::StorageConfiguration, format!("'{key}' is not set"))
        .operation(format!("connect to {kind}://"))
        .hint(format!("set it in section [storage.{}] of the configuration", kind.host_type()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use apyfal_core::{Environment, Secret};

    use super::*;

    fn options(kind: StorageType) -> MountOptions {
        let mut options = MountOptions::new(kind);
        options.client_id = Some("AKID".into());
        options.secret_id = Some(Secret::new("hunter2"));
        options
    }

    fn connect(options: &MountOptions) -> Result<Bucket> {
        let transport = Transport::new(&Environment::default())?;
        Bucket::connect(options, "bucket", None, None, &transport)
    }

    /// Where a request for `a b` in `bucket` would go.
    async fn url(options: &MountOptions) -> String {
        let bucket = connect(options).unwrap();
        let request = bucket.operator.presign_read("a b", Duration::from_secs(60)).await.unwrap();
        let url = request.uri().to_string();
        assert!(url.contains("AKID") && !url.contains("hunter2"), "{url}");
        url.split('?').next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn options_decide_where_requests_go() {
        let mut s3 = options(StorageType::S3);
        assert_eq!(url(&s3).await, "https://s3.us-east-1.amazonaws.com/bucket/a%20b");
        s3.region = Some("eu-west-1".into());
        assert_eq!(url(&s3).await, "https://s3.eu-west-1.amazonaws.com/bucket/a%20b");
        s3.unsecure = true;
        assert_eq!(url(&s3).await, "http://s3.eu-west-1.amazonaws.com/bucket/a%20b");
        s3.endpoint = Some("minio.example:9000".into());
        assert_eq!(url(&s3).await, "http://minio.example:9000/bucket/a%20b");

        let mut oss = options(StorageType::Oss);
        oss.region = Some("cn-hangzhou".into());
        assert_eq!(url(&oss).await, "https://bucket.oss-cn-hangzhou.aliyuncs.com/a%20b");
        oss.endpoint = Some("https://oss-cn-hangzhou-internal.aliyuncs.com".into());
        assert_eq!(url(&oss).await, "https://bucket.oss-cn-hangzhou-internal.aliyuncs.com/a%20b");
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |clear: fn(&mut MountOptions), kind| {
            let mut options = options(kind);
            clear(&mut options);
            let error = connect(&options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageConfiguration);
            error.to_string()
        };
        assert!(without(|o| o.secret_id = None, StorageType::S3).contains("'secret_id'"));
        assert!(without(|o| o.client_id = None, StorageType::S3).contains("'client_id'"));
        assert!(without(|o| o.region = None, StorageType::Oss).contains("'region'"));
        assert!(without(|_| (), StorageType::Swift).contains("'auth_url'"));
    }
}
