//! What the configuration says of hosts on AWS.

pub(crate) mod account;
pub(crate) mod client;
mod documents;
mod keywords;

use apyfal_core::config::Section;
use apyfal_core::{Configuration, Environment, Image, Literal, Result, read_value};
use serde_json::Value;

use super::merge::Overrides;
use account::Account;
use client::ClientOptions;
use keywords::Keywords;

/// What Apyfal makes in an account is called so, where nobody says otherwise.
const KEY_PAIR: &str = "AccelizeAWSKeyPair";
const SECURITY_GROUP: &str = "AccelizeSecurityGroup";
const ROLE: &str = "AccelizeRole";
const POLICY: &str = "AccelizePolicy";
/// Where hosts are reached: by people, and by clients.
pub(crate) const SSH: u16 = 22;
const CLIENTS: u16 = 443;
/// The instance profile that has the role.
pub(crate) const INSTANCE_PROFILE: &str = "AccelizeLoadFPGA";

const SESSION: [&str; 5] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "region_name",
    "profile_name",
];
const CLIENT: [&str; 9] = [
    "region_name",
    "api_version",
    "use_ssl",
    "verify",
    "endpoint_url",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "config",
];

/// What the configuration says of hosts on AWS: `[host.AWS]`, then `[host]` unless that is of another
/// type. All of it has been looked through: nobody was asked for anything yet.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    account: Account,
    /// How servers are talked to.
    pub(crate) client: ClientOptions,
    /// The first part of the names of hosts.
    pub(crate) prefix: Option<String>,
    pub(crate) key_pair: String,
    /// Whether the request itself names it: then it is used as it is, whoever has its private key.
    pub(crate) names_key: bool,
    pub(crate) security_group: String,
    pub(crate) role: String,
    pub(crate) policy: String,
    /// Whether the user named role or policy: then there is one though the host needs no rights.
    pub(crate) names_role: bool,
    /// What the role may do, and who may take it up, where the user says so.
    pub(crate) policy_document: Option<Value>,
    pub(crate) trust_document: Option<Value>,
    pub(crate) buckets: Buckets,
    /// The ports at which hosts are reached.
    pub(crate) ports: Vec<u16>,
    pub(crate) use_private_ip: bool,
    pub(crate) allowed_cidr: Vec<String>,
    availability_zone: Option<String>,
    subnet_id: Option<String>,
    security_group_ids: Vec<String>,
    pub(crate) spot_instance: bool,
    pub(crate) delete_volumes: bool,
    /// What is said of the request for a machine itself.
    pub(crate) overrides: Overrides,
    warnings: Vec<String>,
}

/// The buckets of S3 that jobs of a host may reach by the rights of the host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Buckets {
    Named(Vec<String>),
    All,
}

impl AwsSettings {
    /// Reads them.
    ///
    /// # Errors
    /// A value cannot be what it is, or an argument for boto3 is unknown.
    pub fn read(configuration: &Configuration) -> Result<Self> {
        let section = configuration.host("AWS");
        let session = Keywords::read(&section, "boto3_session_kwargs", &SESSION)?;
        let client = Keywords::read(&section, "boto3_client_kwargs", &CLIENT)?;
        let text =
            |key: &str| -> Result<_> { Ok(section.get(key)?.map(|text| text.trim().to_owned())) };
        let named = |key: &str, default: &str| -> Result<_> {
            Ok(text(key)?.unwrap_or_else(|| default.to_owned()))
        };
        let truth =
            |key: &str, default| -> Result<_> { Ok(section.get_bool(key)?.unwrap_or(default)) };
        let mut warnings = Vec::new();
        if section.get_literal("spot_block_duration")?.is_some_and(|value| !value.is_null()) {
            warnings.push(
                "spot_block_duration has no effect: AWS has no spot blocks any more".to_owned(),
            );
        }
        let overrides = overrides(&section)?;
        if overrides.first_interface().is_some_and(|interface| {
            interface.get("Groups").or(interface.get("NetworkInterfaceId")).is_none()
        }) {
            warnings.push(
                "NetworkInterfaces names no Groups: the default group of the network may let \
                 nobody in"
                    .to_owned(),
            );
        }
        Ok(Self {
            account: Account::read(&section, &session, &client)?,
            client: ClientOptions::read(&client)?,
            prefix: text("host_name_prefix")?,
            names_key: overrides.member("KeyName").is_some(),
            key_pair: match overrides.member("KeyName").and_then(Value::as_str) {
                Some(name) => name.to_owned(),
                None => named("key_pair", KEY_PAIR)?,
            },
            security_group: named("security_group", SECURITY_GROUP)?,
            role: named("role", ROLE)?,
            policy: named("policy", POLICY)?,
            names_role: text("role")?.or(text("policy")?).is_some(),
            policy_document: documents::read(&section, "policy_document")?,
            trust_document: documents::read(&section, "assume_role_policy_document")?,
            buckets: Buckets::read(&section)?,
            ports: ports(&section)?,
            use_private_ip: truth("use_private_ip", false)?,
            allowed_cidr: list(&section, "allowed_cidr")?,
            availability_zone: text("availability_zone")?,
            subnet_id: text("subnet_id")?,
            security_group_ids: list(&section, "security_group_ids")?,
            spot_instance: truth("spot_instance", true)?,
            delete_volumes: truth("delete_volumes_on_termination", true)?,
            overrides,
            warnings,
        })
    }

    /// The user's own script, for hosts to run last.
    pub fn user_script(&self) -> Option<&str> {
        self.overrides.user_data()
    }

    /// What the user should know of these settings.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// An environment that says of account, region and servers what is said here, and all else as
    /// `base`.
    pub(crate) fn environment(&self, base: &Environment) -> Environment {
        let mut environment = base.clone();
        self.account.apply(&mut environment);
        self.client.apply(&mut environment);
        environment
    }

    /// Whether hosts have rights of their own in the account, or may have.
    pub(crate) fn gives_rights(&self) -> bool {
        let names_bucket = self.buckets != Buckets::Named(Vec::new());
        let has_document = self.policy_document.is_some() || self.trust_document.is_some();
        let has_profile = self.overrides.member("IamInstanceProfile").is_some();
        names_bucket || has_document || self.names_role || has_profile
    }

    /// The image of the machine's disk, where the request itself names one.
    pub(crate) fn image(&self) -> Option<Image> {
        let named = self.overridden("ImageId")?;
        Some(match named.strip_prefix("resolve:ssm:") {
            Some(parameter) => Image::Parameter { ssm: parameter.to_owned() },
            None => Image::Id(named.to_owned()),
        })
    }

    /// The kind of machine, where the request itself names one.
    pub(crate) fn instance_type(&self) -> Option<&str> {
        self.overridden("InstanceType")
    }

    /// The zone, where one is named.
    pub(crate) fn availability_zone(&self) -> Option<&str> {
        self.overridden("Placement.AvailabilityZone").or(self.availability_zone.as_deref())
    }

    /// The subnet, where one is named.
    pub(crate) fn subnet_id(&self) -> Option<&str> {
        let interface = || self.overrides.first_interface()?.get("SubnetId")?.as_str();
        self.overridden("SubnetId").or_else(interface).or(self.subnet_id.as_deref())
    }

    /// The security groups, where they are named by their ids.
    pub(crate) fn security_group_ids(&self) -> Vec<String> {
        let interface = || self.overrides.first_interface()?.get("Groups");
        let ids = self.overrides.member("SecurityGroupIds").or_else(interface);
        match ids.and_then(Value::as_array) {
            Some(ids) => ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => self.security_group_ids.clone(),
        }
    }

    fn overridden(&self, member: &str) -> Option<&str> {
        self.overrides.member(member)?.as_str()
    }
}

impl Buckets {
    fn read(section: &Section<'_>) -> Result<Self> {
        let key = "s3_buckets";
        let names = list(section, key)?;
        if names == ["all"] {
            return Ok(Self::All);
        }
        let is_plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        match names.iter().find(|name| !name.chars().all(is_plain)) {
            Some(wrong) => Err(section
                .error(key, format!("'{}' is no name of a bucket", apyfal_core::shorten(wrong)))
                .hint("write names of buckets, one on each line, or 'all'")),
            None => Ok(Self::Named(names)),
        }
    }
}

/// A list: a literal, or words that spaces, commas or lines separate.
fn list(section: &Section<'_>, key: &str) -> Result<Vec<String>> {
    let Some(text) = section.get(key)? else { return Ok(Vec::new()) };
    match read_value(&text) {
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| section.error(key, "an item of the list is no text")),
        Value::String(text) => Ok(words(&text)),
        _ => Ok(words(&text)),
    }
}

/// The ports at which hosts are reached.
fn ports(section: &Section<'_>) -> Result<Vec<u16>> {
    let key = "allow_ports";
    let Some(text) = section.get(key)? else { return Ok(vec![SSH, CLIENTS]) };
    let listed = match read_value(&text) {
        Value::Array(items) => items.iter().map(Value::to_string).collect(),
        _ => words(&text),
    };
    let port = |text: String| text.parse().ok().filter(|port| *port > 0).ok_or(text);
    let ports: Vec<u16> =
        listed.into_iter().map(port).collect::<Result<_, _>>().map_err(|text| {
            section.error(key, format!("'{}' is no port", apyfal_core::shorten(&text)))
        })?;
    match ports.contains(&CLIENTS) {
        true => Ok(ports),
        false => Err(section
            .error(key, format!("clients reach hosts at {CLIENTS}, which it lacks"))
            .hint("groups that are used as they are: security_group_ids")),
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// What is said of the request itself. A script may be given as bytes, as boto3 takes it.
fn overrides(section: &Section<'_>) -> Result<Overrides> {
    let key = "boto3_create_instances_kwargs";
    let Some(text) = section.get(key)? else { return Ok(Overrides::default()) };
    let mut value = read_value(&text);
    if value.is_null() {
        return Ok(Overrides::default());
    }
    if let Some(Literal::Dict(members)) = Literal::parse(&text) {
        for (name, member) in members {
            if let (Literal::Str(name), Literal::Bytes(bytes)) = (name, member)
                && name == "UserData"
            {
                let text = String::from_utf8(bytes).map_err(|_| {
                    section
                        .error(key, "'UserData' is no text")
                        .hint("it is run after the script of Apyfal, and so has to be a script")
                })?;
                value[name] = text.into();
            }
        }
    }
    Overrides::read(&value).map_err(|error| {
        let hints = error.hints().iter();
        hints.fold(section.error(key, error.message()), |error, hint| error.hint(hint))
    })
}

#[cfg(test)]
mod tests;
