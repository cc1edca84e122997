//! The settings of a host that is made for one command: `--host_type AWS --region eu-west-1`.

use apyfal::{Configuration, Error, ErrorKind, Registry, Result};
use apyfal_core::config::schema;
use apyfal_core::nearest;
use clap::Args;

use crate::commands::Context;

const SECTION: &str = "host";

/// The host to make, in commands without a name.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct MadeHostArguments {
    /// Make a host of this type for it, which ends with it: AWS, or sim, a process of this machine. Every
    /// further setting of hosts is an option too, such as --region and --instance_type.
    #[arg(long = "host_type", alias = "host-type", value_name = "TYPE")]
    host_type: Option<String>,
    /// What becomes of that host at the end: term (it is deleted), stop or keep.
    #[arg(long = "stop_mode", alias = "stop-mode", value_name = "MODE")]
    stop_mode: Option<String>,
    /// A setting of the host, also one that is called like a parameter of the accelerator.
    #[arg(long = "host", value_name = "KEY=VALUE", value_parser = setting)]
    host: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a '=' is missing")?;
    match is_setting(key) {
        true => Ok((key.to_owned(), value.to_owned())),
        false => Err(format!("hosts have no setting '{key}'")),
    }
}

impl MadeHostArguments {
    /// Sets what was given over what the configuration says, where a host is made. Settings of hosts are
    /// taken out of the parameters then.
    ///
    /// # Errors
    /// One is a parameter of the accelerator too, as far as that is known here.
    pub(crate) fn apply(
        &self,
        accelerator: &str,
        configuration: &mut Configuration,
        context: &mut Context<'_>,
    ) -> Result<()> {
        configuration.set(SECTION, "host_type", self.host_type.as_deref());
        configuration.set(SECTION, "stop_mode", self.stop_mode.as_deref());
        for (key, value) in &self.host {
            configuration.set(SECTION, key, Some(value));
        }
        // Elsewhere they can only be parameters: the accelerators of hosts are not known here.
        let host_type = configuration.section(SECTION).get("host_type")?.unwrap_or_default();
        let has_host = configuration.host(&host_type).get("host_ip")?.is_some();
        if has_host || !apyfal::hosts::is_made(&host_type) {
            return Ok(());
        }
        let settings = context.parameters.take(is_setting).literal(is_text);
        let registry = context.surroundings.registry(configuration)?;
        for (key, value) in settings {
            if is_parameter(&registry, accelerator, &key) {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("it is a parameter of {accelerator} and a setting of hosts"),
                )
                .operation(format!("use '--{key}'"))
                .hint(format!("for the accelerator: --set {key}=VALUE"))
                .hint(format!("for the host: --host {key}=VALUE")));
            }
            configuration.set_value(SECTION, &key, &value);
        }
        Ok(())
    }
}

fn is_parameter(registry: &Registry, accelerator: &str, key: &str) -> bool {
    let found = registry.find(accelerator);
    found.is_ok_and(|engine| engine.info().params.iter().any(|spec| spec.name == key))
}

/// Refuses what is no setting of hosts.
///
/// # Errors
/// One is none, such as a slip: a host would be made that is another one.
pub(crate) fn check<'k>(keys: impl IntoIterator<Item = &'k String>) -> Result<()> {
    // The original took its account by options of this kind.
    let is_known = |key: &str| is_setting(key) || key.starts_with("accelize_");
    let Some(unknown) = keys.into_iter().find(|key| !is_known(key)) else { return Ok(()) };
    let keys = schema::section(SECTION).map(|section| section.keys).unwrap_or_default();
    let error = Error::new(ErrorKind::Usage, "hosts have no such setting")
        .operation(format!("use '--{unknown}'"));
    Err(match nearest(unknown, keys.iter().map(|spec| spec.name)) {
        Some(near) => error.hint(format!("did you mean '--{near}'?")),
        None => error.hint("docs/reference/configuration.md lists them in section [host]"),
    })
}

/// Whether hosts have a setting of this name.
fn is_setting(key: &str) -> bool {
    schema::section(SECTION).is_some_and(|section| section.keys.iter().any(|spec| spec.name == key))
}

/// Whether the value of a setting is taken as it is written: an id of digits is text.
pub(crate) fn is_text(key: &str) -> bool {
    is_setting(key) && schema::form(SECTION, key) == schema::Form::Text
}
