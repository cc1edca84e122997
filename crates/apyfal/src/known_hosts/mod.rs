//! The hosts that this user was paired with, which are known until they are removed.
//!
//! ```text
//! ~/.apyfal/known_hosts/NAME.json   where a host is, and what proves each to the other
//! ~/.apyfal/known_hosts/.lock       held while a host is added or removed
//! ```
//! Files are written as a whole and readable by their owner alone, since they hold tokens.

mod name;
mod pairing;

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

use apyfal_client::Address;
use apyfal_core::{Cancel, Error, ErrorKind, Result, nearest};
use apyfal_machine::lock::Lock;
use apyfal_machine::{file_name, private};
use serde_json::Value;

pub use pairing::{Certificate, Pairing};

/// More names than these are no help.
const NAMED: usize = 20;

/// The hosts that are known.
#[derive(Clone, Debug)]
pub struct KnownHosts {
    folder: PathBuf,
}

/// A host that is known.
#[derive(Clone, Debug)]
pub struct KnownHost {
    /// What it is called; `host:port` where nobody gave it a name.
    pub name: String,
    /// Where it is, and what proves each to the other.
    pub pairing: Pairing,
}

impl KnownHosts {
    /// The hosts that are known to the user of a home directory.
    pub fn below(home: &Path) -> Self {
        Self { folder: home.join(".apyfal/known_hosts") }
    }

    /// What a host may be called whose machine is called so.
    ///
    /// ```
    /// assert_eq!(apyfal::KnownHosts::name_for("gpu1.example.org"), "gpu1");
    /// ```
    pub fn name_for(text: &str) -> String {
        name::name_for(text)
    }

    /// Makes a host known by a name. The one that is known by this name already must be at the same
    /// address; it is paired anew.
    ///
    /// # Errors
    /// The text is no name or the name of another host, the host is known by another name, its
    /// address is none, or what is known cannot be written.
    pub fn add(&self, name: &str, pairing: Pairing, cancel: &Cancel) -> Result<KnownHost> {
        let adding = |error: Error| error.operation(format!("call a host '{name}'"));
        if let Some(why) = name::problem(name) {
            return Err(adding(
                Error::new(ErrorKind::Usage, why)
                    .hint("a name has letters, digits, '-' and '_', such as gpu1"),
            ));
        }
        let address = known_address(&pairing)?;
        let _lock = self.lock(cancel)?;
        let mut unnamed = None;
        for (known, host) in self.list()? {
            let is_there = match &host {
                Ok(host) => known_address(&host.pairing).is_ok_and(|at| at.is_same_place(&address)),
                // Whatever it was, it is written anew.
                Err(_) => known.eq_ignore_ascii_case(name),
            };
            match (known.eq_ignore_ascii_case(name), is_there) {
                (false, false) | (true, true) => {}
                (false, true) if name::problem(&known).is_some() => unnamed = Some(known),
                (false, true) => {
                    let why = format!("the host at {address} is known as '{known}'");
                    return Err(adding(
                        Error::new(ErrorKind::Conflict, why)
                            .hint(format!("to call it otherwise: apyfal host remove {known}")),
                    ));
                }
                (true, false) => {
                    let at = host.map(|host| host.pairing.url).unwrap_or_default();
                    let why = format!("that is the host at {at}");
                    return Err(adding(
                        Error::new(ErrorKind::Conflict, why)
                            .hint("choose another name")
                            .hint(format!("or forget that one: apyfal host remove {known}")),
                    ));
                }
            }
        }
        let host = self.write(name, Pairing { url: address.to_string(), ..pairing })?;
        if let Some(unnamed) = unnamed {
            self.forget(&unnamed)?;
        }
        Ok(host)
    }

    /// Makes a host known that nobody gave a name: it is called by its address. Where it is known
    /// already it keeps its name, and what is known of it is what is given now.
    ///
    /// # Errors
    /// Its address is none, or what is known cannot be written.
    pub fn remember(&self, pairing: Pairing, cancel: &Cancel) -> Result<KnownHost> {
        let address = known_address(&pairing)?;
        let _lock = self.lock(cancel)?;
        let known = self.at(&address)?;
        let name = known.map_or_else(|| address.place(), |known| known.name);
        self.write(&name, Pairing { url: address.to_string(), ..pairing })
    }

    /// All hosts that are known, in alphabetical order. One whose file is damaged is an error for who
    /// asks for it, and for no other.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<(String, Result<KnownHost>)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            // Who runs as another user without a home of his own knows nobody.
            Err(error) if matches!(error.kind(), Io::NotFound | Io::PermissionDenied) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(Error::from(error).operation(reading(&self.folder))),
        };
        let files = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut files: Vec<_> = files.filter(|file| file.ends_with(".json")).collect();
        files.sort();
        let mut hosts = Vec::new();
        for file in files {
            let called = file_name::decode(file.trim_end_matches(".json")).unwrap_or_default();
            match self.read(&self.folder.join(&file)) {
                Ok(Some(host)) => hosts.push((host.name.clone(), Ok(host))),
                // It was removed meanwhile.
                Ok(None) => {}
                Err(error) => hosts.push((called, Err(error))),
            }
        }
        Ok(hosts)
    }

    /// The host that a text means: its name, or its address. None where that is not known.
    ///
    /// # Errors
    /// What is known of it cannot be read.
    pub fn find(&self, text: &str) -> Result<Option<KnownHost>> {
        self.find_at(text, |address| self.at(address))
    }

    /// The same where `at` finds what is at an address.
    fn find_at(
        &self,
        text: &str,
        at: impl Fn(&Address) -> Result<Option<KnownHost>>,
    ) -> Result<Option<KnownHost>> {
        let text = text.trim();
        if let Some(host) = self.read(&self.path(text)).or_else(unreadable_is_unknown)? {
            return Ok(Some(host));
        }
        let Ok(address) = Address::parse(text, |_| false) else { return Ok(None) };
        // A scheme that is written is meant.
        let is_meant = |host: &KnownHost| {
            !text.contains("://")
                || known_address(&host.pairing).is_ok_and(|at| at.tls == address.tls)
        };
        let mut found = at(&address)?;
        if found.is_none() && !text.contains("://") {
            // Hosts in clouds are where web servers are.
            let Ok(address) = Address::parse(&format!("https://{text}"), |_| false) else {
                return Ok(None);
            };
            found = at(&address)?;
        }
        Ok(found.filter(is_meant))
    }

    /// What is given of a host, and what is known of it beside that. Its address may be its name.
    ///
    /// # Errors
    /// What is known of it cannot be read.
    pub fn completed(&self, given: Pairing) -> Result<Pairing> {
        Ok(match self.find(&given.url)? {
            Some(known) => given.or(known.pairing),
            None => given,
        })
    }

    /// Forgets the host that a text means.
    ///
    /// # Errors
    /// None is known by it, or it cannot be forgotten.
    pub fn remove(&self, text: &str, cancel: &Cancel) -> Result<()> {
        let _lock = self.lock(cancel)?;
        let name = match self.find(text) {
            Ok(Some(host)) => host.name,
            Ok(None) => return Err(self.unknown(text)),
            // Its file is damaged.
            Err(_) => text.to_owned(),
        };
        self.forget(&name)
    }

    /// What to say of a text that is neither name nor address of a host that is known.
    pub fn unknown(&self, text: &str) -> Error {
        let error = Error::new(ErrorKind::NotFound, format!("no host is known as '{text}'"));
        match self.advice(text) {
            Some(advice) => error.hint(advice),
            None => error.hint("to make one known, paste what 'apyfal serve' printed there"),
        }
    }

    /// The name that was meant, or those that there are.
    fn advice(&self, text: &str) -> Option<String> {
        let names: Vec<_> = self.list().ok()?.into_iter().map(|(name, _)| name).collect();
        advice(text, &names)
    }

    /// All of them read once, to be asked for many.
    pub(crate) fn all(&self) -> Result<AllKnown<'_>> {
        let (mut names, mut at) = (Vec::new(), HashMap::new());
        for (name, host) in self.list()? {
            names.push(name);
            if let Ok(host) = host
                && let Ok(address) = known_address(&host.pairing)
            {
                at.entry(address.place().to_ascii_lowercase()).or_insert(host);
            }
        }
        Ok(AllKnown { known: self, names, at })
    }

    /// Whether a host may be called so. So may a machine of the same network.
    pub(crate) fn is_name(text: &str) -> bool {
        name::problem(text).is_none()
    }

    /// The host at an address, whatever its scheme.
    fn at(&self, address: &Address) -> Result<Option<KnownHost>> {
        let is_at = |host: &KnownHost| {
            known_address(&host.pairing).is_ok_and(|at| at.is_same_place(address))
        };
        Ok(self.list()?.into_iter().filter_map(|(_, host)| host.ok()).find(is_at))
    }

    fn lock(&self, cancel: &Cancel) -> Result<Lock> {
        private::make_directory(&self.folder).map_err(|error| {
            Error::from(error).operation(format!("make the directory '{}'", self.folder.display()))
        })?;
        Lock::wait(&self.folder.join(".lock"), cancel)
    }

    /// Where a host is kept. Names are the same in any case.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(file_name::encode(&name.to_ascii_lowercase()) + ".json")
    }

    fn write(&self, name: &str, pairing: Pairing) -> Result<KnownHost> {
        let path = self.path(name);
        let mut kept = pairing.to_json();
        kept.insert("version".to_owned(), 1.into());
        kept.insert("name".to_owned(), name.into());
        let text = format!("{:#}\n", Value::Object(kept));
        private::replace(&path, text.as_bytes()).map_err(|error| {
            Error::from(error).operation(format!("remember the host in '{}'", path.display()))
        })?;
        Ok(KnownHost { name: name.to_owned(), pairing })
    }

    fn read(&self, path: &Path) -> Result<Option<KnownHost>> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), Io::NotFound | Io::InvalidFilename) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::from(error).operation(reading(path))),
        };
        let damaged = |why: String| {
            Error::new(ErrorKind::Conflict, format!("it is damaged: {why}"))
                .operation(reading(path))
                .hint("add the host again, or remove it: apyfal host remove")
        };
        // An error of the parser would show where it is, not what is there.
        let kept: Value =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let name = kept.get("name").and_then(Value::as_str).unwrap_or_default();
        let pairing = Pairing::from_json(&kept).map_err(|error| damaged(error.to_string()))?;
        Ok(Some(KnownHost { name: name.to_owned(), pairing }))
    }

    fn forget(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == Io::NotFound => Err(self.unknown(name)),
            Err(error) => {
                Err(Error::from(error)
                    .operation(format!("forget the host in '{}'", path.display())))
            }
            Ok(()) => Ok(()),
        }
    }
}

/// All hosts that are known, as they were when they were read.
#[derive(Debug)]
pub(crate) struct AllKnown<'a> {
    known: &'a KnownHosts,
    names: Vec<String>,
    /// By `host:port`.
    at: HashMap<String, KnownHost>,
}

impl AllKnown<'_> {
    /// As [`KnownHosts::completed`].
    pub(crate) fn completed(&self, given: Pairing) -> Result<Pairing> {
        let at =
            |address: &Address| Ok(self.at.get(&address.place().to_ascii_lowercase()).cloned());
        Ok(match self.known.find_at(&given.url, at)? {
            Some(known) => given.or(known.pairing),
            None => given,
        })
    }

    /// The name that was meant, or those that there are.
    pub(crate) fn advice(&self, text: &str) -> Option<String> {
        advice(text, &self.names)
    }
}

/// The name that was meant, or those that there are.
fn advice(text: &str, names: &[String]) -> Option<String> {
    match nearest(text, names.iter().map(String::as_str)) {
        Some(near) => Some(format!("did you mean the host '{near}'?")),
        None if names.is_empty() => None,
        None if names.len() > NAMED => {
            Some("to see which hosts are known: apyfal host list".to_owned())
        }
        None => Some(format!("hosts that are known: {}", names.join(", "))),
    }
}

/// The address by which a host is known, with the scheme that is used there.
fn known_address(pairing: &Pairing) -> Result<Address> {
    let has_token = pairing.token.is_some() || pairing.token_file.is_some();
    let is_trusted =
        pairing.fingerprint.is_some() || matches!(pairing.certificate, Some(Certificate::File(_)));
    let is_plain = pairing.certificate == Some(Certificate::None);
    Address::of(&pairing.url, has_token, is_trusted, is_plain)
}

fn reading(path: &Path) -> String {
    format!("read '{}'", path.display())
}

/// Who may not look knows nobody.
fn unreadable_is_unknown(error: Error) -> Result<Option<KnownHost>> {
    if error.kind() == ErrorKind::Security { Ok(None) } else { Err(error) }
}

#[cfg(test)]
mod tests;
