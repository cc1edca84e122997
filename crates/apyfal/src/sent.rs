//! What a new host is sent of its owner's own: a configuration and a script, each from a path or URL.

use apyfal_core::{Cancel, Configuration, Result};
use apyfal_hosts::user_data::{secrets, without_secrets};
use apyfal_storage::Location;

use crate::surroundings::Surroundings;

/// What is longer is refused; user data, and what goes with it, has less.
const LIMIT: usize = 1 << 20;

/// The configuration that `init_config` names: by True the one that is used here, without the keys of
/// clouds, hosts and the catalog; by False none; else the one at this path or URL.
///
/// # Errors
/// It cannot be read, or is none.
pub async fn configuration(
    named: &str,
    configuration: &Configuration,
    surroundings: &Surroundings,
    cancel: &Cancel,
) -> Result<Option<Configuration>> {
    match named.to_ascii_lowercase().as_str() {
        "true" => return Ok(Some(without_secrets(configuration))),
        "false" => return Ok(None),
        _ => {}
    }
    let location = Location::parse(named)?;
    let text = read(&location, configuration, surroundings, cancel).await?;
    Configuration::parse(&text, &location.to_string()).map(Some)
}

/// What is to be told of a configuration that is sent: it has keys of clouds, hosts or the catalog, which
/// no host needs.
pub fn warning(sent: &Configuration) -> Option<String> {
    let secrets = secrets(sent);
    (!secrets.is_empty()).then(|| {
        format!(
            "what init_config names has {}: the host keeps that, and its jobs could read it; \
             'init_config = True' sends the configuration of here without such keys",
            secrets.join(", ")
        )
    })
}

/// The script that `init_script` names.
///
/// # Errors
/// It cannot be read.
pub async fn script(
    named: &str,
    configuration: &Configuration,
    surroundings: &Surroundings,
    cancel: &Cancel,
) -> Result<Vec<u8>> {
    read(&Location::parse(named)?, configuration, surroundings, cancel).await
}

async fn read(
    location: &Location,
    configuration: &Configuration,
    surroundings: &Surroundings,
    cancel: &Cancel,
) -> Result<Vec<u8>> {
    let storage = surroundings.storage(configuration)?;
    cancel.or_cancelled(storage.read(location, LIMIT)).await
}

#[cfg(test)]
mod tests {
    use apyfal_core::ErrorKind;
    use apyfal_testkit::{Answer, FaultServer};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_configuration_is_sent_from_a_path_or_a_url() {
        let text = "[host]\nclient_id = mine\n[serve]\nnames = n.example\n";
        let own = Configuration::parse(text.as_bytes(), "own.conf").unwrap();
        let web = FaultServer::start(|request| match request.path.as_str() {
            "/long" => Answer::new(200, vec![b'#'; LIMIT + 1]),
            _ => Answer::new(200, "[serve]\nnames = w.example\n"),
        })
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sent.conf");
        std::fs::write(&path, "[serve]\nnames = f.example\n").unwrap();
        let surroundings = Surroundings::default();
        let sent =
            async |named: &str| configuration(named, &own, &surroundings, &Cancel::default()).await;
        for (named, names) in [
            ("True", "n.example"),
            (path.to_str().unwrap(), "f.example"),
            (&format!("{}/c.conf", web.url()), "w.example"),
        ] {
            let found = sent(named).await.unwrap().unwrap();
            let name = found.section("serve").get("names").unwrap();
            assert_eq!(name.as_deref(), Some(names), "{named}");
            assert_eq!(found.section("host").get("client_id").unwrap(), None);
        }
        assert!(sent("False").await.unwrap().is_none());
        assert_eq!(warning(&sent("True").await.unwrap().unwrap()), None);
        std::fs::write(&path, "[host.AWS]\nclient_id = a\nsecret_id = hidden\n").unwrap();
        let told = warning(&sent(path.to_str().unwrap()).await.unwrap().unwrap()).unwrap();
        assert!(told.contains("[host.AWS] secret_id") && !told.contains("hidden"), "{told}");
        let error = sent(&format!("{}/long", web.url())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }
}
