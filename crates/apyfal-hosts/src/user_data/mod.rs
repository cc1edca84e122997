//! User data: the script that makes any stock Linux machine a host when it first starts.

mod init_script;

use std::time::Duration;

use apyfal_catalog::Artifact;
use apyfal_core::{Configuration, Error, ErrorKind, Result};
use apyfal_providers::LONGEST_USER_DATA;

use crate::FirstContact;

/// How long the machine has to become a host, before it ends itself again: with a lease or without.
const ARM: Duration = Duration::from_secs(20 * 60);
/// Installs the tools of AWS FPGAs where an image lacks them: a release of the SDK by its name, so
/// that it is the one that this was written for. Its own script does not bear `set -u`.
const AWS_SDK: &str = "command -v fpga-load-local-image >/dev/null || (
    set +u
    if command -v apt-get >/dev/null; then
        apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y git gcc make
    elif command -v dnf >/dev/null; then
        dnf install -y git gcc make
    fi
    cd /opt && git clone --depth 1 --branch v2.0.4 https://github.com/aws/aws-fpga.git &&
    cd aws-fpga && . ./sdk_setup.sh
) || fail 'cannot install the tools of the FPGA'
";

const SCRIPT: &str = include_str!("user_data.sh");
/// What ends the machine with its lease, from its first start on. Without one it ends a machine that
/// becomes no host.
const ENDING: [(&str, &str); 3] = [
    ("/usr/local/lib/apyfal/apyfal-end.sh", include_str!("../../../../deploy/apyfal-end.sh")),
    (
        "/etc/systemd/system/apyfal-end.service",
        include_str!("../../../../deploy/apyfal-end.service"),
    ),
    ("/etc/systemd/system/apyfal-end.timer", include_str!("../../../../deploy/apyfal-end.timer")),
];

/// What a machine is told when it first starts.
#[derive(Clone, Debug)]
pub struct UserData {
    /// The accelerator of clients that name none.
    pub accelerator: String,
    /// The agent: the binary `apyfal`.
    pub agent: Artifact,
    /// The accelerator's package, where it is not built in.
    pub package: Option<Artifact>,
    /// How the host first talks with its owner, who then gives it what is secret.
    pub first_contact: FirstContact,
    /// Where to listen.
    pub listen: String,
    /// How long it lives without jobs and clients, and in all.
    pub idle_timeout: Option<Duration>,
    /// How long it lives in all.
    pub max_lifetime: Option<Duration>,
    /// What ends the machine.
    pub shutdown_command: Vec<String>,
    /// Whether the machine has rights at its provider, which the host then uses for jobs. Else nothing that
    /// the host runs may ask for what the machine is told: its user data, and rights that it may get.
    pub has_role: bool,
    /// The FPGA image of AWS, whose tools are then installed where they are missing.
    pub fpgaimage: Option<String>,
    /// Scripts of the user's own, run last, one after the other: by the program on the first line of
    /// each, else by bash.
    pub init_scripts: Vec<Vec<u8>>,
}

impl UserData {
    /// The script, for bash.
    ///
    /// # Errors
    /// It is longer than what clouds take, or the configuration cannot be written.
    pub fn script(&self) -> Result<String> {
        let configuration = put("/etc/apyfal/new.conf", &self.served_configuration().write()?);
        let contact = self.first_contact.files();
        let contact = contact.map(|(name, text)| put(&format!("/var/lib/apyfal/{name}"), &text));
        let contact = contact.concat();
        let id = self.first_contact.id();
        let shutdown: Vec<_> = self.shutdown_command.iter().map(|word| quoted(word)).collect();
        let shutdown = shutdown.join(" ");
        if shutdown.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "no command is named that ends the machine")
                .operation("write user data"));
        }
        let (arm, install) = (ARM.as_secs().to_string(), self.install());
        let ending: String = ENDING.iter().map(|(path, text)| put(path, text)).collect();
        let metadata = if self.has_role { String::new() } else { no_metadata() };
        let (url, sha256) = (quoted(&self.agent.url), quoted(&self.agent.sha256));
        let mut script = filled(|name| {
            Some(match name {
                "VERSION" => env!("CARGO_PKG_VERSION"),
                "SHUTDOWN" => &shutdown,
                "ARM" => &arm,
                "AGENT_URL" => &url,
                "AGENT_SHA256" => &sha256,
                "PACKAGE" => &install,
                "DEVICE" => self.device(),
                "METADATA" => &metadata,
                "DEVICES" => {
                    if self.device().is_empty() {
                        ""
                    } else {
                        " --devices"
                    }
                }
                "CONFIGURATION" => &configuration,
                "FIRST_CONTACT" => &contact,
                "CONTACT" => &id,
                "END" => &ending,
                _ => return None,
            })
        });
        for own in &self.init_scripts {
            script += &init_script::lines(own)?;
        }
        if script.len() > LONGEST_USER_DATA {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("it has {} bytes, and clouds take {LONGEST_USER_DATA}", script.len()),
            )
            .operation("write user data")
            .hint("have init_script fetch what is long"));
        }
        Ok(script)
    }

    /// What the host needs to serve. The rest it gets with its first contact.
    fn served_configuration(&self) -> Configuration {
        let mut configuration = Configuration::default();
        let mut set = |key: &str, value: &str| configuration.set("serve", key, Some(value));
        set("listen", &self.listen);
        set("data_dir", "/var/lib/apyfal");
        set("accelerator", &self.accelerator);
        // It goes before the package's own.
        if let Some(image) = self.agfi() {
            set("fpgaimage", image);
        }
        for (key, time) in
            [("idle_timeout", self.idle_timeout), ("max_lifetime", self.max_lifetime)]
        {
            if let Some(time) = time {
                set(key, &format!("{}s", time.as_secs_f64()));
            }
        }
        configuration
    }

    fn install(&self) -> String {
        self.package.as_ref().map_or_else(String::new, |Artifact { url, sha256 }| {
            let (url, sha256) = (quoted(url), quoted(sha256));
            format!(
                "\"$APYFAL\" install --config \"$CONFIG\" --sha256 {sha256} -- {url} || fail 'cannot \
                 install the package'\n"
            )
        })
    }

    /// The image, where AWS keeps it.
    fn agfi(&self) -> Option<&str> {
        self.fpgaimage.as_deref().filter(|image| image.starts_with("agfi-"))
    }

    fn device(&self) -> &'static str {
        self.agfi().map_or("", |_| AWS_SDK)
    }
}

/// The lines that keep what the host runs from the services by which machines of clouds learn what they
/// are told. Sources: AWS, "Instance metadata"; Alibaba Cloud, "Instance metadata".
fn no_metadata() -> String {
    let unit = "[Service]\nIPAddressDeny=169.254.169.254 fd00:ec2::254 100.100.100.200\n";
    let folder = "/etc/systemd/system/apyfal.service.d";
    format!("mkdir -p {folder}\n{}", put(&format!("{folder}/metadata.conf"), unit))
}

/// The lines that write a file.
fn put(path: &str, content: &str) -> String {
    format!("put {path} <<'{END}'\n{}\n{END}\n", content.trim_end_matches('\n'))
}

/// What ends a file within the script.
const END: &str = "APYFAL_END";

/// The keys of `[host…]` that name what is secret, or are part of it.
const PRIVATE: [&str; 5] = ["catalog", "client_id", "token_file", "ssl_cert_key", "init_script"];

/// Whether a key of `[host…]` holds a secret. Arguments for a cloud's own library may.
fn is_secret(key: &str) -> bool {
    matches!(key, "secret_id" | "token") || key.ends_with("_kwargs")
}

/// A configuration without the keys of clouds, hosts and the catalog: a host needs neither those of
/// the cloud that made it nor those of other hosts.
pub fn without_secrets(configuration: &Configuration) -> Configuration {
    let mut safe = configuration.clone();
    for section in private_sections(configuration) {
        for key in configuration.section(&section).keys() {
            if is_secret(key) || PRIVATE.contains(&key) {
                safe.unset(&section, key);
            }
        }
    }
    safe
}

/// The secrets that a configuration holds, by the names of their keys: `[host.AWS] secret_id`.
pub fn secrets(configuration: &Configuration) -> Vec<String> {
    let mut names = Vec::new();
    for section in private_sections(configuration) {
        let keys = configuration.section(&section).keys();
        names.extend(
            keys.into_iter().filter(|key| is_secret(key)).map(|key| format!("[{section}] {key}")),
        );
    }
    names
}

fn private_sections(configuration: &Configuration) -> Vec<String> {
    let names = configuration.section_names().into_iter();
    let is_private =
        |name: &&str| matches!(*name, "host" | "accelize" | "csp") || name.starts_with("host.");
    names.filter(is_private).map(str::to_owned).collect()
}

/// The script with values in place of `@NAME@`. What a value has of that kind stays.
fn filled<'v>(value: impl Fn(&str) -> Option<&'v str>) -> String {
    let (mut script, mut rest) = (String::new(), SCRIPT);
    while let Some((before, after)) = rest.split_once('@') {
        script += before;
        let found = after.split_once('@');
        match found.and_then(|(name, rest)| Some((value(name)?, rest))) {
            Some((value, behind)) => {
                script += value;
                rest = behind;
            }
            None => {
                script.push('@');
                rest = after;
            }
        }
    }
    script + rest
}

/// A word for bash.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests;
