//! The account of S3 that the tools of AWS would use, for mounts without keys of their own.

use std::sync::Arc;

use apyfal_aws::{Credentials, Http, Settings};
use apyfal_core::{Environment, Error, ErrorKind, Result};

use crate::mount::MountOptions;
use crate::transport::Transport;

/// What the tools of AWS know.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) settings: Settings,
    /// None for public buckets.
    pub(crate) credentials: Option<Arc<Credentials>>,
}

impl Account {
    /// Reads the settings, and gets the credentials once, so that why there are none is told here.
    pub(crate) async fn open(
        options: &MountOptions,
        environment: &Environment,
        transport: &Transport,
    ) -> Result<Self> {
        let settings = Settings::read(environment).map_err(of_aws)?;
        if options.anonymous {
            return Ok(Self { settings, credentials: None });
        }
        let http = Http(transport.client().clone());
        let credentials = Credentials::new(&settings, http).map_err(of_aws)?;
        if credentials.get().await.map_err(of_aws)?.is_none() {
            return Err(Error::new(
                ErrorKind::StorageAuthentication,
                "no usable credentials were found",
            )
            .operation("connect to s3://")
            .hint("set client_id and secret_id in section [storage.AWS] of the configuration")
            .hint("or tell the tools of AWS: aws configure"));
        }
        Ok(Self { settings, credentials: Some(Arc::new(credentials)) })
    }
}

/// An error of AWS's settings as one of the storage that they are for.
pub(crate) fn of_aws(error: Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::Authentication => ErrorKind::StorageAuthentication,
        _ => ErrorKind::StorageConfiguration,
    };
    error.with_kind(kind).operation("connect to s3://")
}
