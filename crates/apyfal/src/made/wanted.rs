//! A new host, as it is wanted: what its machine is, and what makes that a host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use apyfal_catalog::{Artifact, Catalog, Requirements};
use apyfal_core::{Cancel, Configuration, Error, Image, Result};
use apyfal_hosts::user_data::UserData;
use apyfal_hosts::{FirstContact, Lifecycle, StopMode, Wanted, host_name};
use apyfal_package::{Installed, archive};
use apyfal_providers::{Boot, HostSpec, ProviderInfo, Script};
use async_trait::async_trait;
use parking_lot::Mutex;

use super::agent::Agent;
use super::fetched::Fetched;
use super::settings::Settings;
use crate::catalog;
use crate::sent;
use crate::surroundings::Surroundings;

/// Where hosts of clouds listen: what networks let through, by IPv4 as well as IPv6.
const LISTEN: &str = "[::]:443";
/// What ends a machine that belongs to nobody else.
const SHUTDOWN: [&str; 3] = ["shutdown", "-P", "now"];

/// All that decides what a new host is.
#[derive(Debug)]
pub(super) struct New {
    pub(super) accelerator: String,
    pub(super) configuration: Configuration,
    pub(super) surroundings: Surroundings,
    pub(super) settings: Settings,
    /// What is to become of it, as the settings say or who uses it.
    pub(super) stop_mode: Mutex<StopMode>,
    /// What whoever uses it should know of what it is sent.
    pub(super) warnings: Mutex<Vec<String>>,
}

/// What the accelerator needs of a machine of a cloud.
#[derive(Default)]
struct Needs {
    there: Requirements,
    package: Option<Fetched>,
    /// The agents that it names, by architecture.
    agents: BTreeMap<String, Artifact>,
}

#[async_trait]
impl Wanted for New {
    async fn host(
        &self,
        lifecycle: &Lifecycle,
        cancel: &Cancel,
    ) -> Result<(HostSpec, FirstContact)> {
        let Self { accelerator, settings, .. } = self;
        let info = lifecycle.provider();
        let contact =
            FirstContact::new(settings.identity.clone(), self.sent(cancel).await?.as_ref())?;
        let needs = match info.runs_scripts {
            true => self.needs(info, cancel).await?,
            false => Needs::default(),
        };
        let there = &needs.there;
        let spec = HostSpec {
            name: host_name(settings.prefix.as_deref(), accelerator),
            accelerator: accelerator.clone(),
            installation: lifecycle.ledger().installation()?,
            instance_type: settings.instance_type.as_ref().or(there.instancetype.as_ref()).cloned(),
            image: match &settings.image {
                Some(named) => {
                    Some(there.images.get(named).cloned().unwrap_or_else(|| named_image(named)))
                }
                None => there.image.clone(),
            },
            fpga_image: there.fpgaimage.clone(),
            at_shutdown: self.stop_mode.lock().at_shutdown(),
            idle_timeout: settings.idle_timeout,
            max_lifetime: settings.max_lifetime,
            boot: Boot::Files(Vec::new()),
        };
        let boot = if info.runs_scripts {
            let kind = (spec.instance_type.as_deref(), spec.image.as_ref());
            let architecture = lifecycle.architecture(kind.0, kind.1).await?;
            Boot::Script(self.script(info, &needs, &architecture, &contact, cancel).await?)
        } else {
            Boot::Files(contact.files().map(|(name, text)| (name.to_owned(), text)).into())
        };
        Ok((HostSpec { boot, ..spec }, contact))
    }
}

impl New {
    /// The configuration that it gets: what is to be sent, and an accelerator that is configured here.
    async fn sent(&self, cancel: &Cancel) -> Result<Option<Configuration>> {
        let Self { accelerator, configuration, surroundings, settings, .. } = self;
        let named = match &settings.init_config {
            Some(named) => sent::configuration(named, configuration, surroundings, cancel).await?,
            None => None,
        };
        self.warnings.lock().extend(named.as_ref().and_then(sent::warning));
        let section = format!("accelerator.{accelerator}");
        let own = configuration.section(&section).entries()?;
        if own.is_empty() {
            return Ok(named);
        }
        let mut sent = named.unwrap_or_default();
        for (key, value) in own {
            sent.set(&section, key, Some(&value));
        }
        Ok(Some(sent))
    }

    /// What the catalog says; what it does not know runs on what built-in accelerators run on.
    async fn needs(&self, provider: &ProviderInfo, cancel: &Cancel) -> Result<Needs> {
        let Self { accelerator, surroundings, .. } = self;
        let finding = catalog::find(None, &self.configuration, &surroundings.environment);
        let found = cancel.or_cancelled(finding).await?;
        let installed = self.installed();
        let stock = Catalog::built_in([accelerator.as_str()])?;
        let is_known = found.catalog.accelerator(accelerator).is_ok();
        let is_ours = is_known || (installed.is_none() && !self.is_configured());
        // Whoever says from which image it starts knows what that has.
        if !is_known && is_ours && self.settings.image.is_some() {
            return Ok(Needs { agents: found.catalog.agents, ..Needs::default() });
        }
        // Where it is neither known nor ours, the error is the catalog's, which tells what there is.
        let catalog = if is_ours { &found.catalog } else { &stock };
        let requirements = catalog.requirements(provider.name, accelerator)?;
        let there = requirements.region(provider.region.as_deref())?.clone();
        let package = match (&catalog.accelerator(accelerator)?.1.package, installed) {
            (Some(package), _) => Some(Fetched::of(package)?),
            (None, Some(installed)) => Some(self.packed(&installed, cancel)?),
            (None, None) => None,
        };
        Ok(Needs { there, package, agents: found.catalog.agents })
    }

    /// What the catalog calls the accelerator.
    pub(super) async fn called(&self, cancel: &Cancel) -> Result<String> {
        let finding = catalog::find(None, &self.configuration, &self.surroundings.environment);
        let found = cancel.or_cancelled(finding).await?;
        Ok(found.catalog.accelerator(&self.accelerator)?.0.to_owned())
    }

    fn installed(&self) -> Option<Installed> {
        let stores = self.surroundings.packages();
        stores.iter().rev().find_map(|store| store.find(&self.accelerator).ok())
    }

    fn is_configured(&self) -> bool {
        let names = self.configuration.subsections("accelerator");
        names.iter().any(|name| name.eq_ignore_ascii_case(&self.accelerator))
    }

    /// The archive of an installed package, made anew: the same content is the same archive.
    fn packed(&self, installed: &Installed, cancel: &Cancel) -> Result<Fetched> {
        let home = self.surroundings.home().map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = home.join(".apyfal/hosts/packages");
        let make = || -> Result<Fetched> {
            apyfal_machine::private::make_directory(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            archive::pack(&installed.files, &installed.manifest, file.as_file_mut(), cancel)?;
            let path = folder.join(format!("{}.apyfal", self.accelerator));
            file.persist(&path).map_err(|error| Error::from(error.error))?;
            Fetched::file(path, cancel)
        };
        make().map_err(|error| {
            error.as_reason().operation(format!("pack {} for a new machine", self.accelerator))
        })
    }

    async fn script(
        &self,
        info: &ProviderInfo,
        needs: &Needs,
        architecture: &str,
        contact: &FirstContact,
        cancel: &Cancel,
    ) -> Result<Script> {
        let Self { settings, surroundings, .. } = self;
        let program = surroundings.program.as_deref();
        let known = needs.agents.get(architecture);
        let agent = Agent::find(settings.agent.as_ref(), known, program, architecture, cancel)?;
        let data = UserData {
            accelerator: self.accelerator.clone(),
            agent: agent.fetched.artifact(),
            package: needs.package.as_ref().map(Fetched::artifact),
            first_contact: contact.clone(),
            listen: LISTEN.to_owned(),
            idle_timeout: settings.idle_timeout,
            max_lifetime: settings.max_lifetime,
            shutdown_command: SHUTDOWN.map(str::to_owned).into(),
            has_role: info.gives_rights,
            fpgaimage: needs.there.fpgaimage.clone(),
            init_scripts: self.init_scripts(info, cancel).await?,
        };
        let fetched = [Some(&agent.fetched), needs.package.as_ref()];
        let artifacts = fetched.into_iter().flatten().filter_map(Fetched::here).cloned();
        Ok(Script { text: data.script()?, artifacts: artifacts.collect(), agent: agent.needs })
    }

    /// The user's own scripts: the one that is configured, and what the provider itself is told.
    async fn init_scripts(&self, info: &ProviderInfo, cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        let mut scripts = Vec::new();
        if let Some(named) = &self.settings.init_script {
            let (configuration, surroundings) = (&self.configuration, &self.surroundings);
            scripts.push(sent::script(named, configuration, surroundings, cancel).await?);
        }
        scripts.extend(info.user_script.clone().map(String::into_bytes));
        Ok(scripts)
    }
}

/// The image that a configuration names by itself: by its id, or by a parameter that holds it.
fn named_image(named: &str) -> Image {
    match named.strip_prefix("resolve:ssm:") {
        Some(parameter) => Image::Parameter { ssm: parameter.to_owned() },
        None => Image::Id(named.to_owned()),
    }
}
