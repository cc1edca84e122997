//! The key pair by which the user reaches a host with ssh.
//!
//! The private key is made here and never leaves this machine: it is in a file before EC2 learns of its
//! public part, so that no key pair can be there whose private key is lost.

mod file;
mod private;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use apyfal_core::{Error, ErrorKind, Result};
use data_encoding::{BASE64, HEXLOWER};
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use super::api::Api;
use super::element::Element;
use super::{failure, tags};
use file::KeyFile;

/// What the key pair is to be.
#[derive(Clone, Debug)]
pub(crate) struct KeyWishes {
    /// What it is called.
    pub(crate) name: String,
    /// Whether it is the one of exactly this name, whoever has its private key.
    pub(crate) is_given: bool,
    /// Where private keys are: `~/.ssh`.
    pub(crate) directory: PathBuf,
    /// Who asks: an installation of Apyfal, by its id.
    pub(crate) installation: String,
}

/// A key pair.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeyPair {
    /// What EC2 calls it.
    pub(crate) name: String,
    /// The file of its private key, where that is here.
    pub(crate) private_key: Option<PathBuf>,
}

/// The key pair of a name, in whatever case it is written there. Where its private key is not here, it
/// is another one, whose name ends with what tells it from all others; one that is given stays what it is.
///
/// # Errors
/// The private key cannot be kept, or AWS refuses.
pub(crate) async fn key_pair(api: &Api, wishes: &KeyWishes) -> Result<KeyPair> {
    let key_pair = async {
        let pairs = described(api).await?;
        // Afterwards: of whatever another process makes at the same time, the file is there first.
        let files = files(wishes).await?;
        if wishes.is_given {
            return given(&pairs, &files, &wishes.name);
        }
        if let Some(found) = of_both(&pairs, &files, &wishes.name) {
            return Ok(found);
        }
        let file = own_file(wishes).await?;
        let own_name = own_name(&wishes.name, &file.public);
        let mut names = vec![own_name];
        if !pairs.iter().any(|pair| pair.name.eq_ignore_ascii_case(&wishes.name)) {
            names.insert(0, wishes.name.clone());
        }
        for name in names {
            if import(api, &name, &file.public, &wishes.installation).await? {
                return Ok(KeyPair { name, private_key: Some(file.path) });
            }
        }
        Err(Error::new(ErrorKind::Conflict, "both its names were taken by others meanwhile"))
    };
    let operation = || format!("set up the key pair '{}'", wishes.name);
    key_pair.await.map_err(|error: Error| error.as_reason().operation(operation()))
}

/// A key pair of the account.
#[derive(Debug)]
struct Pair {
    name: String,
    public: Option<KeyData>,
}

/// All of the account's key pairs.
async fn described(api: &Api) -> Result<Vec<Pair>> {
    let params = vec![("IncludePublicKey".to_owned(), "true".to_owned())];
    let pairs = api.ec2_all("DescribeKeyPairs", &params, "keySet").await?;
    let pair = |pair: &Element| {
        let public = pair.text("publicKey").and_then(|key| PublicKey::from_openssh(key).ok());
        let public = public.map(|key| key.key_data().clone());
        Some(Pair { name: pair.text("keyName")?.to_owned(), public })
    };
    Ok(pairs.iter().filter_map(pair).collect())
}

/// The private keys that are here.
async fn files(wishes: &KeyWishes) -> Result<Vec<KeyFile>> {
    let directory = wishes.directory.clone();
    blocking(move || file::all(&directory)).await
}

/// A private key of this name that is here, made where there is none.
async fn own_file(wishes: &KeyWishes) -> Result<KeyFile> {
    let (directory, name) = (wishes.directory.clone(), wishes.name.clone());
    blocking(move || file::find_or_make(&directory, &name)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?
}

/// The key pair of exactly this name, with its private key where that is here.
fn given(pairs: &[Pair], files: &[KeyFile], name: &str) -> Result<KeyPair> {
    let pair = pairs.iter().find(|pair| pair.name == name).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "the account has no such key pair")
            .hint("leave KeyName out: key_pair names one that is made where there is none")
    })?;
    let file = files.iter().find(|file| pair.public.as_ref() == Some(&file.public));
    Ok(KeyPair { name: name.to_owned(), private_key: file.map(|file| file.path.clone()) })
}

/// A key pair of one of our names whose private key is here.
fn of_both(pairs: &[Pair], files: &[KeyFile], name: &str) -> Option<KeyPair> {
    pairs.iter().find_map(|pair| {
        let public = pair.public.as_ref()?;
        let is_ours =
            [name, &own_name(name, public)].iter().any(|n| pair.name.eq_ignore_ascii_case(n));
        let file = files.iter().find(|file| is_ours && file.public == *public)?;
        Some(KeyPair { name: pair.name.clone(), private_key: Some(file.path.clone()) })
    })
}

/// The name of a key pair that has this key and no other one.
fn own_name(name: &str, public: &KeyData) -> String {
    let fingerprint = public.fingerprint(HashAlg::Sha256);
    format!("{name}-{}", HEXLOWER.encode(&fingerprint.as_bytes()[..4]))
}

/// Imports a key; whether it is the one of this name now.
async fn import(api: &Api, name: &str, public: &KeyData, installation: &str) -> Result<bool> {
    let line = PublicKey::new(public.clone(), "apyfal").to_openssh();
    let line = line.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    let mut params = tags::of_new("key-pair", installation);
    params.push(("KeyName".to_owned(), name.to_owned()));
    params.push(("PublicKeyMaterial".to_owned(), BASE64.encode(line.as_bytes())));
    match api.ec2("ImportKeyPair", &params).await {
        Ok(_) => Ok(true),
        // Another process made it at the same time.
        Err(error) if failure::code(&error) == Some("InvalidKeyPair.Duplicate") => {
            let pairs = described(api).await?;
            let pair = pairs.iter().find(|pair| pair.name.eq_ignore_ascii_case(name));
            Ok(pair.is_some_and(|pair| pair.public.as_ref() == Some(public)))
        }
        Err(error) => Err(error),
    }
}
