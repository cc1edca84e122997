//! The first contact with a new host, before which it serves nobody.
//!
//! What a machine was started with may be read by whoever may describe it, and by its own programs.
//! So that has only the hash of a token and a certificate for this one exchange, over which the
//! host's owner, who alone has that token, gives it a token and a certificate of its own. Then what
//! it was started with opens nothing any more.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apyfal_api::v2;
use apyfal_core::{Error, ErrorKind, Result, Secret};
use apyfal_machine::private;
use apyfal_net::{Accepting, Connection, Service};
use apyfal_tls::token::TokenHash;
use apyfal_tls::{Identity, server_config};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Ending;
use crate::answer::{Refusal, Routed};
use crate::draining::Draining;
use crate::lease::Lease;
use crate::logs::Logs;

/// Where the directory of a host has what it knows of its first contact, until that is made.
const DIRECTORY: &str = "first-contact";
/// What is sent may be so long.
const LIMIT: usize = 1 << 20;
/// So many clients are served at a time.
const CONNECTIONS: usize = 64;

/// A host that waits for its first contact.
#[derive(Debug)]
pub struct FirstContact {
    data_dir: PathBuf,
    token: TokenHash,
    identity: Identity,
}

/// What a host takes up from its first contact on, in its directory.
#[derive(Debug)]
struct Taking {
    data_dir: PathBuf,
    token: TokenHash,
    /// What was taken. The same once more is fine: an answer may be lost.
    taken: Mutex<Option<v2::FirstContact>>,
    done: watch::Sender<bool>,
}

impl FirstContact {
    /// What is put into the directory of a host that is to wait for it.
    pub const FILES: [&str; 4] = [
        DIRECTORY,
        "first-contact/token.sha256",
        "first-contact/host.crt",
        "first-contact/host.key",
    ];

    /// Whether a host that has this directory waits for its first contact.
    pub fn is_awaited(data_dir: &Path) -> bool {
        data_dir.join(DIRECTORY).exists()
    }

    /// The configuration that the first contact brought, where it did: it goes under the one that the
    /// host was started with.
    pub fn configuration(data_dir: &Path) -> PathBuf {
        data_dir.join("configuration")
    }

    /// What the host of this directory waits for; none where it was contacted, or needs not be.
    ///
    /// # Errors
    /// What was put there cannot be read.
    pub fn of(data_dir: &Path) -> Result<Option<Self>> {
        if !Self::is_awaited(data_dir) {
            return Ok(None);
        }
        let directory = data_dir.join(DIRECTORY);
        let path = directory.join("token.sha256");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::from(error).operation(format!("read '{}'", path.display())))?;
        let identity = Identity::load(&directory.join("host.crt"), &directory.join("host.key"))?;
        Ok(Some(Self { data_dir: data_dir.to_owned(), token: text.trim().parse()?, identity }))
    }

    /// What its owner knows it by until then.
    pub fn fingerprint(&self) -> apyfal_tls::Fingerprint {
        self.identity.fingerprint()
    }

    /// Waits for it at these addresses, which `listening` is told. Returns why the host is to end
    /// without it, where it is.
    ///
    /// # Errors
    /// An address is taken.
    pub async fn wait(
        self,
        addresses: &[SocketAddr],
        lease: &Lease,
        listening: impl FnOnce(&[SocketAddr]) -> Result<()>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Option<Ending>> {
        let tls = server_config(&self.identity, &[b"http/1.1"])?;
        let done = watch::Sender::new(false);
        let mut is_done = done.subscribe();
        let taking = Arc::new(Taking {
            data_dir: self.data_dir,
            token: self.token,
            taken: Mutex::default(),
            done,
        });
        let mut accepting = Accepting::new(CONNECTIONS);
        let mut bound = Vec::new();
        for address in addresses {
            let listener = apyfal_net::bind(*address).await?;
            bound.push(listener.local_addr()?);
            accepting.add(listener, Some(tls.clone()), Waiting(taking.clone()));
        }
        listening(&bound)?;
        let (draining, logs) = (Draining::default(), Logs::new());
        let ending = tokio::select! {
            _ = is_done.wait_for(|done| *done) => None,
            () = shutdown => Some(Ending::Asked),
            () = lease.ended(|| false, &draining, &logs) => Some(Ending::LeaseEnded),
        };
        // The answer is on its way still.
        accepting.end().await;
        match ending {
            None => lease.used(),
            Some(Ending::Asked) => lease.rest(),
            Some(Ending::LeaseEnded) => {}
        }
        Ok(ending)
    }
}

/// What answers at an address meanwhile.
#[derive(Clone)]
struct Waiting(Arc<Taking>);

impl Service for Waiting {
    type Body = Body;

    async fn answer(self, connection: Connection, request: Request<Incoming>) -> Response {
        let answered = match (request.method(), request.uri().path()) {
            (&Method::GET, "/healthz") => Ok(StatusCode::OK.into_response()),
            (&Method::POST, v2::FirstContact::PATH) => self.0.contacted(&connection, request).await,
            _ => Err(Error::new(ErrorKind::Unavailable, "it waits for its first contact")
                .operation("use this host")
                .hint("who started its machine makes it: 'apyfal host add', as 'user-data' said")
                .into()),
        };
        answered.unwrap_or_else(IntoResponse::into_response)
    }
}

impl Taking {
    async fn contacted(
        &self,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Routed<Response> {
        self.check(request.headers())?;
        connection.welcome();
        let body = Limited::new(request.into_body(), LIMIT).collect().await;
        let body = body.map_err(|error| wrong(&error.to_string()))?.to_bytes();
        let contact: v2::FirstContact =
            serde_json::from_slice(&body).map_err(|error| wrong(&error.to_string()))?;
        self.take(contact)?;
        self.done.send_replace(true);
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(header::AUTHORIZATION).map(|given| given.as_bytes());
        let given = given.and_then(|given| given.strip_prefix(b"Bearer "));
        match given.is_some_and(|given| self.token.matches(given)) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Authentication, "it is not by who started it")
                .operation("contact this host for the first time")
                .into()),
        }
    }

    /// Writes down what is the host's own from now on. The directory that says what it waits for goes
    /// last: until then all of it may be done again.
    fn take(&self, contact: v2::FirstContact) -> Result<()> {
        let mut taken = self.taken.lock();
        match &*taken {
            Some(before) if *before == contact => return Ok(()),
            Some(_) => {
                return Err(Error::new(ErrorKind::Conflict, "another one just did")
                    .operation("contact this host for the first time")
                    .hint("end its machine: it is not yours alone"));
            }
            None => {}
        }
        let v2::FirstContact { token, certificate, key, configuration } = &contact;
        Identity::from_pem(
            certificate.clone(),
            Secret::new(key.as_str()),
            "the certificate that was sent",
            "the key that was sent",
        )?;
        let files = [
            (self.data_dir.join("token"), Some(token)),
            (self.data_dir.join("host.crt"), Some(certificate)),
            (self.data_dir.join("host.key"), Some(key)),
            (FirstContact::configuration(&self.data_dir), configuration.as_ref()),
        ];
        for (path, text) in files {
            if let Some(text) = text {
                private::replace(&path, text.as_bytes()).map_err(|error| {
                    Error::from(error).operation(format!("write '{}'", path.display()))
                })?;
            }
        }
        let directory = self.data_dir.join(DIRECTORY);
        let spent = self.data_dir.join("first-contact.made");
        std::fs::rename(&directory, &spent).map_err(|error| {
            Error::from(error).operation(format!("remove '{}'", directory.display()))
        })?;
        // What is in it opens nothing any more.
        let _ = std::fs::remove_dir_all(&spent);
        *taken = Some(contact);
        Ok(())
    }
}

fn wrong(why: &str) -> Refusal {
    Error::new(ErrorKind::Usage, why).operation("contact this host for the first time").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(token: &str) -> (v2::FirstContact, Identity) {
        let own = Identity::generate().unwrap();
        let contact = v2::FirstContact {
            token: token.to_owned(),
            certificate: own.certificate_pem().to_owned(),
            key: own.key_pem().expose().to_owned(),
            configuration: Some("[serve]\n".to_owned()),
        };
        (contact, own)
    }

    fn waiting() -> (tempfile::TempDir, Taking) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(DIRECTORY)).unwrap();
        let taking = Taking {
            data_dir: folder.path().to_owned(),
            token: TokenHash::of(&Secret::new("of the first contact")),
            taken: Mutex::default(),
            done: watch::Sender::new(false),
        };
        (folder, taking)
    }

    #[test]
    fn it_is_by_who_has_the_token_and_not_by_who_has_its_hash() {
        let (_folder, taking) = waiting();
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            taking.check(&headers).is_ok()
        };
        assert!(check("Bearer of the first contact"));
        assert!(!check(&format!("Bearer {}", taking.token)));
        assert!(!check("of the first contact") && !check("Bearer "));
        assert!(taking.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn what_it_brings_is_the_hosts_own_and_taken_once() {
        let (folder, taking) = waiting();
        assert!(FirstContact::is_awaited(folder.path()));
        let (first, own) = contact("apyfal_of_this_host_alone");
        let broken = v2::FirstContact { key: "no key".into(), ..first.clone() };
        assert!(taking.take(broken).is_err());
        assert!(FirstContact::is_awaited(folder.path()), "nothing came of it");
        taking.take(first.clone()).unwrap();
        taking.take(first).unwrap();
        let error = taking.take(contact("apyfal_of_another_one").0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(FirstContact::of(folder.path()).unwrap().is_none());
        let file = |name: &str| folder.path().join(name);
        let identity = Identity::load(&file("host.crt"), &file("host.key")).unwrap();
        assert_eq!(identity.fingerprint(), own.fingerprint());
        let token = apyfal_tls::token::load(&file("token")).unwrap();
        assert_eq!(token.expose(), "apyfal_of_this_host_alone");
        assert!(!file("first-contact.made").exists());
    }
}
