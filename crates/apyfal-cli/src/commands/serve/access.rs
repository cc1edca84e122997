//! Who may use a host, and how it proves that it is itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use apyfal::{Configuration, Error, KnownHosts, Result};
use apyfal_core::Secret;
use apyfal_machine::private;
use apyfal_server::Listen;
use apyfal_tls::{Identity, token};

use super::own_address;

/// Who may use the host, and how it proves that it is itself.
pub(super) struct Access {
    pub(super) token: Option<Secret>,
    pub(super) identity: Option<Identity>,
    /// Whether the user named them, so that they count on loopback too.
    is_chosen_token: bool,
    is_chosen_tls: bool,
    /// Whether they were made just now.
    pub(super) is_new: bool,
}

impl Access {
    /// As the configuration says. What it does not name is in the directory `data_dir`, and made
    /// when it is first needed: not where the host `is_open` to all who reach it.
    pub(super) fn of(
        token_file: Option<PathBuf>,
        configuration: &Configuration,
        data_dir: &Path,
        is_open: bool,
    ) -> Result<Self> {
        let section = configuration.section("serve");
        let mut is_new = false;
        let given = token_file.or(section.get("token_file")?.map(PathBuf::from));
        let (token, is_chosen_token) = match (given, section.get("token")?) {
            (Some(path), _) => (Some(token::load(&path)?), true),
            (None, Some(text)) => (Some(Secret::new(text)), true),
            (None, None) if is_open => (None, false),
            (None, None) => {
                let path = data_dir.join("token");
                is_new = !path.exists();
                make_private(data_dir)?;
                (Some(token::load_or_generate(&path)?), false)
            }
        };
        let certificate = section.get("ssl_cert_crt")?.map(PathBuf::from);
        let key = section.get("ssl_cert_key")?.map(PathBuf::from);
        let (identity, is_chosen_tls) = match (certificate, key) {
            (Some(certificate), Some(key)) => (Some(Identity::load(&certificate, &key)?), true),
            (None, None) if is_open => (None, false),
            (None, None) => {
                let (certificate, key) = (data_dir.join("host.crt"), data_dir.join("host.key"));
                make_private(data_dir)?;
                (Some(Identity::load_or_generate(&certificate, &key)?), false)
            }
            _ => {
                return Err(section
                    .error("ssl_cert_crt", "a certificate needs its key, and a key its certificate")
                    .hint("set both ssl_cert_crt and ssl_cert_key"));
            }
        };
        Ok(Self { token, identity, is_chosen_token, is_chosen_tls, is_new })
    }

    /// Where the host listens. What it made by itself is asked for off loopback only.
    pub(super) fn listen(&self, addresses: &[SocketAddr]) -> Vec<Listen> {
        let listen = |&address: &SocketAddr| {
            let is_outside = !address.ip().is_loopback();
            Listen {
                address,
                tls: self.identity.is_some() && (self.is_chosen_tls || is_outside),
                token: self.token.is_some() && (self.is_chosen_token || is_outside),
            }
        };
        addresses.iter().map(listen).collect()
    }

    /// What to paste on a client.
    pub(super) fn line(&self, addresses: &[SocketAddr]) -> String {
        let outside = addresses.iter().find(|address| !address.ip().is_loopback());
        let mut address = *outside.or(addresses.first()).unwrap_or(&([127, 0, 0, 1], 8000).into());
        if address.ip().is_unspecified() {
            address.set_ip(own_address::instead_of(address.ip()));
        }
        let mut line = format!("apyfal host add {} ", own_name());
        let scheme = if self.identity.is_some() { "https" } else { "http" };
        line += &format!("{scheme}://{address}");
        if let Some(token) = &self.token {
            line += &format!(" --token {}", token.expose());
        }
        if let Some(identity) = &self.identity {
            line += &format!(" --fingerprint {}", identity.fingerprint());
        }
        line
    }
}

/// What this machine may be called by others.
fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    KnownHosts::name_for(name.trim())
}

/// Makes a directory that is this user's alone.
pub(crate) fn make_private(directory: &Path) -> Result<()> {
    private::make_directory(directory).map_err(|error| {
        Error::from(error).operation(format!("make the directory '{}'", directory.display()))
    })
}
