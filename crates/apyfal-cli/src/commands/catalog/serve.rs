//! `apyfal catalog serve`: answer those who ask what an accelerator needs.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use apyfal::{Error, ErrorKind, Result};
use apyfal_catalog::server::{CatalogServer, Settings};
use apyfal_core::one_line;
use apyfal_tls::Identity;
use clap::Args;

use super::AccountsFile;
use crate::commands::Context;
use crate::listen::{address, url};
use crate::quantity::duration_option;

const DEFAULT_LISTEN: &str = "127.0.0.1:8001";
/// How many lines may wait to be shown, and how long one may be, in bytes.
const LINES: usize = 100;
const LONGEST: usize = 10 << 10;

/// Serve a catalog: requirements to those who have an account, as the server of the original did,
/// and the packages and agents that it names.
///
/// Catalog and accounts are read again when they change. Off loopback it needs a certificate.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The catalog file. Files that it names are looked for beside it.
    #[arg(default_value = "catalog.toml")]
    catalog: PathBuf,
    #[command(flatten)]
    file: AccountsFile,
    /// Where to listen: address:port, or just the address or port. May be given several times.
    #[arg(long, value_name = "ADDRESS", default_value = DEFAULT_LISTEN)]
    listen: Vec<String>,
    /// The server's certificate.
    #[arg(long = "ssl_cert_crt", alias = "ssl-cert-crt", value_name = "FILE")]
    ssl_cert_crt: Option<PathBuf>,
    /// The certificate's private key.
    #[arg(long = "ssl_cert_key", alias = "ssl-cert-key", value_name = "FILE")]
    ssl_cert_key: Option<PathBuf>,
    /// Serve plain HTTP off loopback too: where a proxy in front of it encrypts. All clients then
    /// come from the proxy, so it has to limit those who guess, and how many ask at a time.
    #[arg(long)]
    plain: bool,
    /// How long a token is good for: 10m, 1h.
    #[arg(long = "token_ttl", alias = "token-ttl", default_value = "10m", value_parser = duration_option)]
    token_ttl: Duration,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let identity = match (&arguments.ssl_cert_crt, &arguments.ssl_cert_key) {
        (Some(certificate), Some(key)) => Some(Identity::load(certificate, key)?),
        (None, None) => None,
        _ => {
            return Err(Error::new(
                ErrorKind::Usage,
                "a certificate needs its key, and a key its certificate",
            )
            .hint("give both --ssl_cert_crt and --ssl_cert_key"));
        }
    };
    let is_encrypted = identity.is_some();
    let listen = arguments.listen.iter().map(|text| address(text)).collect::<Result<_>>()?;
    let settings = Settings {
        listen,
        catalog: arguments.catalog,
        accounts: arguments.file.accounts,
        identity,
        plain: arguments.plain,
        token_ttl: arguments.token_ttl,
    };
    let server =
        CatalogServer::bind(settings, shown()).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => error
                .hint("a catalog begins with: apyfal requirements --accelerator gzip --format toml")
                .hint("accounts begin with: apyfal catalog account add NAME"),
            _ => error,
        })?;
    for address in server.addresses()? {
        context.printer.note(&format!("listening on {}", url(address, is_encrypted)));
    }
    server.serve(context.cancel.cancelled()).await;
    Ok(())
}

/// What shows a line, on a thread of its own: nobody waits for a standard error that takes nothing.
fn shown() -> impl Fn(&str) + Clone + Send + Sync + 'static {
    use std::io::Write;
    let (sender, lines) = mpsc::sync_channel::<String>(LINES);
    std::thread::spawn(move || {
        for line in lines {
            // Nothing can be done about a standard error that is closed.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    });
    // What finds no place is left out.
    move |line| drop(sender.try_send(one_line(line, LONGEST)))
}
