//! Object stores and how to reach them.

use std::collections::BTreeMap;
use std::fmt;

use apyfal_core::{Error, ErrorKind, Result, Secret, nearest, truth_of};

use crate::location::{Location, is_scheme, split_scheme};

/// A kind of object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageType {
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Alibaba Object Storage Service.
    Oss,
    /// OpenStack Swift.
    Swift,
}

impl StorageType {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::S3, Self::Oss, Self::Swift];

    /// The scheme of its URLs: `s3`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Oss => "oss",
            Self::Swift => "swift",
        }
    }

    /// The cloud that it belongs to, as `storage_type` and `host_type` name it: `AWS`.
    pub fn host_type(self) -> &'static str {
        match self {
            Self::S3 => "AWS",
            Self::Oss => "Alibaba",
            Self::Swift => "OpenStack",
        }
    }

    /// The kind that a name means: its scheme or its cloud, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            name.eq_ignore_ascii_case(kind.scheme()) || name.eq_ignore_ascii_case(kind.host_type())
        })
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())
    }
}

/// How to reach an object store.
///
/// Without `client_id` and `secret_id` S3 and OSS look for credentials as their own tools do: the
/// environment, the profile files, the role of the machine.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// The kind of store.
    pub storage_type: StorageType,
    /// The access key, or for Swift the user's name.
    pub client_id: Option<String>,
    /// The secret key, or for Swift the user's password.
    pub secret_id: Option<Secret>,
    /// The token that goes with temporary keys of S3 and OSS.
    pub session_token: Option<Secret>,
    /// The region; for S3 `us-east-1` unless set.
    pub region: Option<String>,
    /// The server, where it is not the cloud's own: `https://minio.example:9000`.
    pub endpoint: Option<String>,
    /// Whether plain HTTP may be used.
    pub unsecure: bool,
    /// Sends requests without credentials, for public buckets of S3 and OSS.
    pub anonymous: bool,
    /// The project, for Swift.
    pub project_id: Option<String>,
    /// The identity service, for Swift.
    pub auth_url: Option<String>,
    /// The domain of the user, for Swift; `Default` unless set.
    pub user_domain_name: Option<String>,
}

impl MountOptions {
    /// The keys that [`from_map`](Self::from_map) knows.
    pub const KEYS: [&'static str; 11] = [
        "storage_type",
        "client_id",
        "secret_id",
        "session_token",
        "region",
        "endpoint",
        "unsecure",
        "anonymous",
        "project_id",
        "auth_url",
        "user_domain_name",
    ];

    /// A store of a kind with nothing else set.
    pub fn new(storage_type: StorageType) -> Self {
        Self {
            storage_type,
            client_id: None,
            secret_id: None,
            session_token: None,
            region: None,
            endpoint: None,
            unsecure: false,
            anonymous: false,
            project_id: None,
            auth_url: None,
            user_domain_name: None,
        }
    }

    /// Reads options as the configuration or the caller of `mount` writes them. An empty value
    /// counts as absent.
    ///
    /// # Errors
    /// [`ErrorKind::StorageConfiguration`]: a key is unknown, `storage_type` is missing or
    /// unknown, or a truth value is not one.
    pub fn from_map(map: &BTreeMap<String, String>) -> Result<Self> {
        for key in map.keys() {
            if !Self::KEYS.contains(&key.as_str()) {
                let error = misconfigured(format!("'{key}' is not an option"));
                return Err(match nearest(key, Self::KEYS) {
                    Some(known) => error.hint(format!("did you mean '{known}'?")),
                    None => error.hint(format!("the options are {}", Self::KEYS.join(", "))),
                });
            }
        }
        let text =
            |key: &str| map.get(key).map(|v| v.trim()).filter(|v| !v.is_empty()).map(str::to_owned);
        let truth = |key: &str| match text(key) {
            // Programs of Python write what is not there as None.
            Some(word) if !word.eq_ignore_ascii_case("none") => {
                let wrong = || format!("'{key}' must be True or False, not '{word}'");
                truth_of(&word).ok_or_else(|| misconfigured(wrong()))
            }
            _ => Ok(false),
        };
        let storage_type = text("storage_type")
            .ok_or_else(|| misconfigured("'storage_type' is missing").hint(known_types()))?;
        Ok(Self {
            storage_type: StorageType::from_name(&storage_type)
                .ok_or_else(|| unknown_type(&storage_type))?,
            client_id: text("client_id"),
            secret_id: text("secret_id").map(Secret::new),
            session_token: text("session_token").map(Secret::new),
            region: text("region"),
            endpoint: text("endpoint"),
            unsecure: truth("unsecure")?,
            anonymous: truth("anonymous")?,
            project_id: text("project_id"),
            auth_url: text("auth_url"),
            user_domain_name: text("user_domain_name"),
        })
    }

    /// The URL of the server: the configured one, else `https://` and the given name.
    ///
    /// # Errors
    /// Plain HTTP is asked for and not allowed.
    pub(crate) fn server(&self, default: &str) -> Result<String> {
        let server = self.endpoint.as_deref().unwrap_or(default);
        match split_scheme(server) {
            None if self.unsecure => Ok(format!("http://{}", server.trim_end_matches('/'))),
            _ => server_url(server, self.unsecure)
                .map_err(|error| error.operation("mount a storage")),
        }
    }
}

/// The URL of a server that is sent secrets: `https://` unless another scheme is named.
///
/// # Errors
/// Plain HTTP is named and not allowed, or another scheme.
pub(crate) fn server_url(text: &str, unsecure: bool) -> Result<String> {
    let wrong = |why: String| Error::new(ErrorKind::StorageConfiguration, why);
    let text = text.trim_end_matches('/');
    match split_scheme(text) {
        None => Ok(format!("https://{text}")),
        Some((scheme, rest)) if scheme == "https" || scheme == "http" && unsecure => {
            Ok(format!("{scheme}://{rest}"))
        }
        Some((scheme, _)) if scheme == "http" => {
            let shown = Location::parse(text).map(|location| location.to_string());
            let shown = shown.unwrap_or(scheme);
            Err(wrong(format!("'{}' is plain HTTP", shown.trim_end_matches('/')))
                .hint("use https://, or set unsecure = True to send data unprotected"))
        }
        Some((scheme, _)) => Err(wrong(format!("'{scheme}' is not http or https"))),
    }
}

/// The mounts that a configuration asks for, with their schemes.
///
/// `sections` are those named `storage`, `storage.<type>` and `storage.<type>.<name>`, with their
/// own keys alone. A key that is missing in one is looked up in `storage`, then with
/// `host(<type>, key)`, which answers from `[host.<type>]`. Each kind is mounted under its own
/// scheme even without a section, so that the stores of configured hosts are there by themselves.
///
/// # Errors
/// As [`MountOptions::from_map`], with the section's name. Unknown keys are left to whoever read
/// the configuration.
pub fn mounts_from_sections(
    sections: impl IntoIterator<Item = (String, BTreeMap<String, String>)>,
    host: impl Fn(&str, &str) -> Option<String>,
) -> Result<Vec<(String, MountOptions)>> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = sections.into_iter().collect();
    let common = sections.remove("storage").unwrap_or_default();
    // Defaults come first, so that a section for the same scheme replaces them.
    let defaults = StorageType::ALL.map(|kind| (format!("storage.{kind}"), BTreeMap::new()));
    let mut mounts = BTreeMap::new();
    for (section, own) in defaults.into_iter().chain(sections) {
        let named = section.strip_prefix("storage.").unwrap_or(&section);
        let (first, name) = match named.split_once('.') {
            Some((first, name)) => (first, Some(name)),
            None => (named, None),
        };
        let set = |key: &str| own.get(key).filter(|value| !value.trim().is_empty());
        let type_name = match StorageType::from_name(first) {
            Some(kind) => kind.scheme(),
            None => set("storage_type").map_or(first, String::as_str),
        };
        let kind = StorageType::from_name(type_name)
            .ok_or_else(|| unknown_type(type_name).context("section", format!("[{section}]")))?;
        let mut options = BTreeMap::new();
        for key in MountOptions::KEYS {
            let value = set(key)
                .cloned()
                .or_else(|| common.get(key).cloned())
                .or_else(|| host(kind.host_type(), key));
            options.extend(value.map(|value| (key.to_owned(), value)));
        }
        options.insert("storage_type".to_owned(), kind.scheme().to_owned());
        let scheme = match (name, StorageType::from_name(first)) {
            (Some(name), _) => name.to_ascii_lowercase(),
            (None, Some(kind)) => kind.scheme().to_owned(),
            (None, None) => first.to_ascii_lowercase(),
        };
        check_scheme(&scheme).map_err(|error| error.context("section", format!("[{section}]")))?;
        let options = MountOptions::from_map(&options)
            .map_err(|error| error.context("section", format!("[{section}]")))?;
        mounts.insert(scheme, options);
    }
    Ok(mounts.into_iter().collect())
}

/// Refuses a name that cannot be a scheme or already means something else.
pub(crate) fn check_scheme(name: &str) -> Result<()> {
    if !is_scheme(name) {
        return Err(misconfigured(format!("'{name}' cannot be the scheme of a URL"))
            .hint("begin with a letter and use letters, digits, '+', '-', '.' and '_' only"));
    }
    if ["file", "host", "http", "https"].contains(&name.to_ascii_lowercase().as_str()) {
        return Err(misconfigured(format!("'{name}' already means something else")));
    }
    Ok(())
}

fn unknown_type(name: &str) -> Error {
    let known = StorageType::ALL.into_iter().flat_map(|kind| [kind.scheme(), kind.host_type()]);
    let error = misconfigured(format!("'{name}' is not a storage type"));
    match nearest(name, known) {
        Some(known) => error.hint(format!("did you mean '{known}'?")),
        None => error.hint(known_types()),
    }
}

fn known_types() -> String {
    "storage_type is AWS (s3://), Alibaba (oss://) or OpenStack (swift://)".to_owned()
}

fn misconfigured(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::StorageConfiguration, message).operation("mount a storage")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn options_are_read() {
        let options = MountOptions::from_map(&map(&[
            ("storage_type", "aws"),
            ("client_id", "id"),
            ("secret_id", "hunter2"),
            ("region", ""),
            ("unsecure", "True"),
        ]))
        .unwrap();
        assert_eq!(options.storage_type, StorageType::S3);
        assert_eq!(options.secret_id.as_ref().unwrap().expose(), "hunter2");
        assert_eq!((options.region.as_deref(), options.unsecure), (None, true));
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn wrong_options_name_the_right_one() {
        for (pairs, hint) in [
            (&[("storage_type", "AWS"), ("regoin", "x")][..], "'region'"),
            (&[("storage_type", "swfit")], "'swift'"),
            (&[("region", "x")], "AWS (s3://)"),
        ] {
            let error = MountOptions::from_map(&map(pairs)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageConfiguration);
            assert!(error.hints()[0].contains(hint), "{error:?}");
        }
        let wrong = map(&[("storage_type", "AWS"), ("unsecure", "maybe")]);
        assert!(MountOptions::from_map(&wrong).is_err());
    }

    #[test]
    fn plain_http_must_be_allowed() {
        let mut options = MountOptions::new(StorageType::S3);
        assert_eq!(options.server("s3.example").unwrap(), "https://s3.example");
        options.endpoint = Some("http://127.0.0.1:9000/".into());
        assert_eq!(options.server("").unwrap_err().kind(), ErrorKind::StorageConfiguration);
        options.endpoint = Some("HTTP://127.0.0.1:9000/".into());
        assert_eq!(options.server("").unwrap_err().kind(), ErrorKind::StorageConfiguration);
        options.unsecure = true;
        assert_eq!(options.server("").unwrap(), "http://127.0.0.1:9000");
        options.endpoint = Some("HTTPS://S3.example".into());
        assert_eq!(options.server("").unwrap(), "https://S3.example");
        options.endpoint = Some("ftp://s3.example".into());
        assert!(options.server("").is_err());
        let error = server_url("Http://me:hunter2@id.example", false).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn sections_become_mounts() {
        let sections = [
            ("storage", map(&[("unsecure", "True")])),
            ("storage.s3", map(&[("region", "eu-west-1")])),
            ("storage.AWS.Archive", map(&[("client_id", "own"), ("secret_id", "")])),
            ("storage.lake", map(&[("storage_type", "Alibaba")])),
        ];
        let mounts: BTreeMap<_, _> = mounts_from_sections(
            sections.map(|(name, map)| (name.to_owned(), map)),
            |host_type, key| {
                (host_type == "AWS" && key != "storage_type").then(|| match key {
                    "unsecure" | "anonymous" => "False".into(),
                    _ => format!("host {key}"),
                })
            },
        )
        .unwrap()
        .into_iter()
        .collect();
        assert_eq!(
            mounts.keys().map(String::as_str).collect::<Vec<_>>(),
            ["archive", "lake", "oss", "s3", "swift"]
        );
        let (archive, s3) = (&mounts["archive"], &mounts["s3"]);
        assert_eq!(archive.client_id.as_deref(), Some("own"));
        assert_eq!(archive.secret_id.as_ref().unwrap().expose(), "host secret_id");
        assert_eq!(s3.region.as_deref(), Some("eu-west-1"));
        assert!(s3.unsecure && archive.unsecure, "[storage] comes before [host.AWS]");
        assert_eq!(mounts["lake"].storage_type, StorageType::Oss);
        assert_eq!(mounts["swift"].client_id, None);
    }

    #[test]
    fn a_wrong_section_is_named() {
        for section in ["storage.asw", "storage.AWS.http", "storage.s3.a b"] {
            let error =
                mounts_from_sections([(section.to_owned(), map(&[]))], |_, _| None).unwrap_err();
            assert!(error.to_string().contains(section), "{error}");
        }
    }
}
