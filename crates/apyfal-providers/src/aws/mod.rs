//! Hosts on AWS: machines of EC2.
//!
//! What a host needs around it is looked up or made first ([`prepare`]), then the exact request is
//! settled ([`request`]), which is sent as often as need be. All else here are single calls.

mod api;
mod bucket;
mod call;
mod caller;
#[cfg(test)]
mod cloud;
mod console;
mod element;
mod failure;
mod host_tags;
mod http;
mod images;
mod instance_types;
mod instances;
mod keys;
mod launch_template;
mod members;
mod merge;
mod network;
mod prepare;
mod quota;
mod request;
mod rights;
mod settings;
mod spot;
mod spot_requests;
mod tags;
#[cfg(test)]
mod testing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apyfal_aws::{Credentials, Http, Settings};
use apyfal_core::{Configuration, Environment, Error, ErrorKind, Image, Result};
use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

pub use settings::AwsSettings;

use api::{Api, Params};
use caller::Caller;
use element::Element;
use instance_types::InstanceTypes;

use crate::provider::{HostFilter, Instance, InstanceId, Provider, ProviderInfo};
use crate::spec::{AtShutdown, HostSpec, Prepared, Request, Token};

/// How long EC2 may take until what was made is found by every call. Source: EC2 API reference,
/// "Eventual consistency"; five minutes are the most that it advises to wait.
const SETTLES: Duration = Duration::from_secs(300);

/// How often a machine is looked for that AWS knows when it is to end it.
const LOOKS: u32 = 30;

/// Makes hosts out of machines of EC2, in one region.
#[derive(Debug)]
pub struct Aws {
    info: ProviderInfo,
    settings: AwsSettings,
    api: Api,
    /// Where private keys are kept.
    ssh: PathBuf,
    /// Who asks, once that was asked, and by which key.
    caller: Mutex<Option<(String, Caller)>>,
    /// What types of machines run, as far as that was asked.
    instance_types: InstanceTypes,
}

impl Aws {
    /// What users call it.
    pub const NAME: &str = "AWS";

    /// The account and region that a configuration says, or an environment as the tools of AWS read it;
    /// another region where one is named. Nobody is asked for anything yet.
    ///
    /// # Errors
    /// The configuration is wrong, or names no region.
    pub fn new(
        configuration: &Configuration,
        environment: &Environment,
        region: Option<&str>,
    ) -> Result<Self> {
        let settings = AwsSettings::read(configuration)?;
        let environment = settings.environment(environment);
        let account = Arc::new(Settings::read(&environment)?);
        let region = match region {
            Some(region) => region.to_owned(),
            None => settings::account::region(&account)?,
        };
        let http = http::client(&account, &environment, &settings.client)?;
        let credentials = Arc::new(Credentials::new(&account, Http(http.clone()))?);
        let home = environment.home.clone().unwrap_or_default();
        let info = ProviderInfo {
            region: Some(region.clone()),
            settles: SETTLES,
            runs_scripts: true,
            gives_rights: settings.gives_rights(),
            user_script: settings.user_script().map(str::to_owned),
            warnings: settings.warnings().to_vec(),
            ..ProviderInfo::new(Self::NAME)
        };
        let api = Api::new(account, credentials, http, region);
        let (ssh, caller) = (home.join(".ssh"), Mutex::default());
        let instance_types = InstanceTypes::default();
        Ok(Self { info, settings, api, ssh, caller, instance_types })
    }

    /// Who asks. AWS tells it once for each key: others may be of another account.
    async fn caller(&self) -> Result<Caller> {
        let mut known = self.caller.lock().await;
        let key = self.api.credential().await?.access_key_id;
        if let Some((of, caller)) = &*known
            && *of == key
        {
            return Ok(caller.clone());
        }
        let caller = Caller::of(&self.api).await?;
        // Where the key was refused meanwhile, another one may have asked.
        if self.api.credential().await?.access_key_id == key {
            *known = Some((key, caller.clone()));
        }
        Ok(caller)
    }

    /// An action on one machine.
    async fn on(&self, action: &str, id: &InstanceId, more: &[(&str, &str)]) -> Result<Element> {
        let mut params = vec![("InstanceId.1".to_owned(), id.0.clone())];
        params.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.api.ec2(action, &params).await.map_err(|error| error.context("instance", id))
    }

    /// All machines that filters leave, those that ended lately included.
    async fn described(&self, params: &Params) -> Result<Vec<Element>> {
        let sets = self.api.ec2_all("DescribeInstances", params, "reservationSet").await?;
        Ok(sets.into_iter().flat_map(|set| set.into_items("instancesSet")).collect())
    }

    async fn find(&self, id: &InstanceId) -> Result<Option<Element>> {
        match self.described(&vec![("InstanceId.1".to_owned(), id.0.clone())]).await {
            Ok(found) => Ok(found.into_iter().next()),
            Err(error) if is_unknown(&error) => Ok(None),
            Err(error) => Err(error.operation(format!("look at the instance '{id}'"))),
        }
    }

    fn instance(&self, item: &Element) -> Result<Instance> {
        instances::instance(item, self.settings.use_private_ip)
    }
}

#[async_trait]
impl Provider for Aws {
    fn info(&self) -> &ProviderInfo {
        &self.info
    }

    async fn prepare(&self, spec: &HostSpec, held: &[String]) -> Result<Prepared> {
        let prepared = prepare::prepare(self, spec, held).await;
        prepared.map_err(|error| error.operation("make a host on AWS"))
    }

    async fn architecture(
        &self,
        instance_type: Option<&str>,
        image: Option<&Image>,
    ) -> Result<Option<String>> {
        let told = prepare::architecture(self, instance_type, image).await;
        told.map(Some).map_err(|error| error.operation("make a host on AWS"))
    }

    async fn image_id(&self, image: &Image) -> Result<String> {
        Ok(images::find(&self.api, image).await?.id)
    }

    async fn create(&self, request: &Request, token: &Token) -> Result<InstanceId> {
        let request = request::with_token(request.read::<Value>()?, token);
        let made = self.api.ec2("RunInstances", &members::flatten(&request)).await;
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                let error = instance_types::with_free_ones(&self.api, error).await;
                return Err(refused(error, &request));
            }
        };
        let id = made.items("instancesSet").next().and_then(|item| item.text("instanceId"));
        id.map(|id| InstanceId(id.to_owned())).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "the answer names no instance")
                .operation("make a host on AWS")
                .retryable()
        })
    }

    async fn account(&self) -> Result<Option<String>> {
        Ok(Some(self.caller().await?.account))
    }

    async fn admit(&self, installation: &str) -> Result<()> {
        let wishes = prepare::network_wishes(&self.settings, installation, None);
        let surroundings = network::look_up(&self.api, &wishes).await?;
        surroundings.let_in(&self.api, &wishes).await.map(drop)
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        self.find(id).await?.map(|item| self.instance(&item)).transpose()
    }

    async fn list(&self, filter: &HostFilter) -> Result<Vec<Instance>> {
        let token = filter.token.as_ref().map(|token| &token.0);
        let tags =
            [(host_tags::INSTALLATION, filter.installation.as_ref()), (host_tags::TOKEN, token)];
        let meant =
            |(tag, value): (&str, Option<&String>)| Some((format!("tag:{tag}"), value?.clone()));
        let mut filters: Vec<_> = tags.into_iter().filter_map(meant).collect();
        // Whatever is none of ours is nobody's here.
        if filters.is_empty() {
            filters.push(("tag-key".to_owned(), host_tags::INSTALLATION.to_owned()));
        }
        let filters = filters.into_iter().zip(1..).flat_map(|((name, value), at)| {
            [(format!("Filter.{at}.Name"), name), (format!("Filter.{at}.Value.1"), value)]
        });
        let whole_pages = ("MaxResults".to_owned(), "1000".to_owned());
        let found = self.described(&filters.chain([whole_pages]).collect()).await;
        let found = found.map_err(|error| error.operation("list the hosts on AWS"))?;
        found.iter().map(|item| self.instance(item)).collect()
    }

    async fn start(&self, id: &InstanceId) -> Result<()> {
        let started = self.on("StartInstances", id, &[]).await;
        started.map(drop).map_err(|error| error.operation(format!("start the instance '{id}'")))
    }

    async fn stop(&self, id: &InstanceId) -> Result<()> {
        let stopped = self.on("StopInstances", id, &[]).await;
        stopped.map(drop).map_err(|error| {
            let error = error.operation(format!("stop the instance '{id}'"));
            match failure::code(&error) {
                Some("UnsupportedOperation") => error
                    .hint("AWS stops no machine of a one-time spot request")
                    .hint("make it with stop_mode = stop, or end it: apyfal stop --stop_mode term"),
                _ => error,
            }
        })
    }

    async fn withdraw(&self, request: &Request, token: &Token) -> Result<()> {
        let request: Map<String, Value> = request.read()?;
        if !spot::is_persistent(&request) {
            return Ok(());
        }
        let withdrawn = spot_requests::cancel_all(&self.api, token).await;
        withdrawn.map_err(|error| error.operation("take back a request for a host on AWS"))
    }

    async fn terminate(&self, id: &InstanceId) -> Result<()> {
        let ending = async {
            // An open request for spare capacity would make another one, with the same user data.
            let found = self.find(id).await?;
            if let Some(item) = &found {
                spot_requests::cancel(&self.api, item).await?;
            }
            // One that is not found may be there all the same.
            match self.on("TerminateInstances", id, &[]).await {
                Err(error) if is_unknown(&error) => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) if found.is_some() => return Ok(()),
                Ok(_) => {}
            }
            for _ in 0..LOOKS {
                if let Some(item) = self.find(id).await? {
                    return spot_requests::cancel(&self.api, &item).await;
                }
                tokio::time::sleep(self.api.pace).await;
            }
            let why =
                "it was not found, so whether AWS makes another one in its place is not known";
            Err(Error::new(ErrorKind::Unavailable, why).retryable())
        };
        ending.await.map_err(|error| error.operation(format!("end the instance '{id}'")))
    }

    async fn set_at_shutdown(&self, id: &InstanceId, mode: AtShutdown) -> Result<()> {
        let changing = async {
            // One that AWS would replace stops, and is deleted by whoever cancels its request.
            let replaced = match self.find(id).await? {
                Some(item) => spot_requests::would_replace(&self.api, &item).await?,
                None => false,
            };
            let mode = if replaced { AtShutdown::Stop } else { mode };
            let params = [
                ("InstanceId", id.0.as_str()),
                ("InstanceInitiatedShutdownBehavior.Value", at_shutdown(mode)),
            ];
            let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
            self.api.ec2("ModifyInstanceAttribute", &params.into()).await.map(drop)
        };
        changing.await.map_err(|error| {
            error.operation(format!("say what becomes of '{id}' when it shuts down"))
        })
    }

    async fn console(&self, id: &InstanceId) -> Result<Option<String>> {
        console::of(&self.api, id).await
    }
}

/// What AWS calls it.
fn at_shutdown(mode: AtShutdown) -> &'static str {
    match mode {
        AtShutdown::Terminate => "terminate",
        AtShutdown::Stop => "stop",
    }
}

/// Whether there is no such machine, or not yet, or no more.
fn is_unknown(error: &Error) -> bool {
    failure::code(error) == Some("InvalidInstanceID.NotFound")
}

fn is_about_profile(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("iaminstanceprofile") || message.contains("iam instance profile")
}

/// What is to be thought of a request that AWS refused.
fn refused(error: Error, request: &Value) -> Error {
    let wants = |what: &str| request[what].as_str().unwrap_or("?").to_owned();
    let error = match failure::code(&error) {
        // What its token made has ended.
        Some("IdempotentInstanceTerminated") => error.with_kind(ErrorKind::NotFound),
        // What was made just now is not known to all of EC2 yet: "Invalid IAM Instance Profile name", or
        // one that "has no associated IAM Roles".
        Some("InvalidParameterValue") if is_about_profile(error.message()) => error.retryable(),
        Some("InvalidKeyPair.NotFound" | "InvalidGroup.NotFound") => {
            error.with_kind(ErrorKind::Configuration).retryable()
        }
        _ if error.kind() == ErrorKind::NotFound => error.with_kind(ErrorKind::Configuration),
        _ => error,
    };
    // Whatever it says, it says nothing about the request whose answer got lost.
    let error = match failure::is_after_lost(&error) && error.kind() != ErrorKind::NotFound {
        true => error.with_kind(ErrorKind::Unavailable),
        false => error,
    };
    error
        .operation("make a host on AWS")
        .context("instance type", wants("InstanceType"))
        .context("image", wants("ImageId"))
}
