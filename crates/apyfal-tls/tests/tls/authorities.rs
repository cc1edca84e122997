use std::fs;
use std::path::Path;
use std::time::SystemTime;

use apyfal_tls::{Certificates, Identity, server_config};
use tempfile::TempDir;

use super::*;

fn given(path: &Path) -> Trust {
    Trust::Certificates(Certificates::load(path).unwrap())
}

/// A certificate for `name`, signed by the authority in `by.crt`. Days may be in the past.
fn signed(folder: &TempDir, file: &str, by: &str, name: &str, days: &str) -> Identity {
    let (csr, crt, key) = (format!("{file}.csr"), format!("{file}.crt"), format!("{file}.key"));
    let extensions = format!("{file}.ext");
    fs::write(folder.path().join(&extensions), format!("subjectAltName={name}\n")).unwrap();
    #[rustfmt::skip]
    openssl::run(folder, &[
        "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-subj", &format!("/CN={file}"), "-keyout", &key, "-out", &csr,
    ]);
    #[rustfmt::skip]
    openssl::run(folder, &[
        "x509", "-req", "-in", &csr, "-CA", &format!("{by}.crt"), "-CAkey", &format!("{by}.key"),
        "-set_serial", "7", "-days", days, "-extfile", &extensions, "-out", &crt,
    ]);
    Identity::load(&folder.path().join(crt), &folder.path().join(key)).unwrap()
}

/// The original makes RSA certificates; other tools have their own habits.
#[test]
fn certificates_of_any_make_are_pinned() {
    let folder = TempDir::new().unwrap();
    for (file, kind, name) in [
        ("rsa", &["rsa:2048"][..], "*"),
        ("named", &["rsa:3072"], "host.example"),
        ("p384", &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], "*"),
        ("ed25519", &["ed25519"], "*"),
    ] {
        let (crt, key) = openssl::self_signed(&folder, file, kind, name);
        let host = Identity::load(&crt, &key).unwrap();
        let server = server_config(&host, &[]).unwrap();
        for trust in [Trust::Pinned(host.fingerprint()), given(&crt)] {
            for name in ["127.0.0.1", "other.example"] {
                meet(&server, &trusting(&trust), name).unwrap();
            }
        }
        let refused = refusal(
            &server,
            &Trust::Certificates(
                Certificates::from_pem(
                    Identity::generate().unwrap().certificate_pem().as_bytes(),
                    "x",
                )
                .unwrap(),
            ),
            "127.0.0.1",
        );
        let text = refused.to_string();
        assert!(text.contains("neither the expected one nor signed by it"), "{text}");
        assert!(text.contains(&host.fingerprint().to_string()), "{text}");
    }
    // Keys in the form that older tools write.
    let (crt, key) = openssl::self_signed(&folder, "old", &["rsa:2048"], "*");
    let old = folder.path().join("pkcs1.key");
    let (from, to) = (key.to_str().unwrap(), old.to_str().unwrap());
    openssl::run(&folder, &["rsa", "-in", from, "-traditional", "-out", to]);
    assert!(fs::read_to_string(&old).unwrap().contains("BEGIN RSA PRIVATE KEY"));
    Identity::load(&crt, &old).unwrap();
}

#[test]
fn hosts_of_an_authority_must_have_their_name() {
    let folder = TempDir::new().unwrap();
    let rsa = &["rsa:2048"];
    let (crt, _) = openssl::self_signed(&folder, "named", rsa, "authority.example");
    let host = signed(&folder, "host", "named", "DNS:host.example,IP:127.0.0.1", "10");
    let server = server_config(&host, &[]).unwrap();
    for name in ["host.example", "127.0.0.1"] {
        meet(&server, &trusting(&given(&crt)), name).unwrap();
    }
    for name in ["other.example", "127.0.0.2"] {
        let refused = refusal(&server, &given(&crt), name);
        assert!(refused.to_string().contains("for another name"), "{refused}");
        assert!(refused.to_string().contains(name), "{refused}");
    }
}

#[test]
fn hosts_under_a_wildcard_may_have_any_name() {
    let folder = TempDir::new().unwrap();
    let (crt, key) = (folder.path().join("any.crt"), folder.path().join("any.key"));
    let ours = Identity::load_or_generate(&crt, &key).unwrap();
    let host = signed(&folder, "host", "any", "DNS:host.example", "10");
    let server = server_config(&host, &[]).unwrap();
    for name in ["host.example", "other.example", "127.0.0.1"] {
        meet(&server, &trusting(&given(&crt)), name).unwrap();
    }
    // A pinned certificate stands for itself alone.
    let refused = refusal(&server, &Trust::Pinned(ours.fingerprint()), "host.example");
    assert!(refused.to_string().contains(&ours.fingerprint().to_string()), "{refused}");

    // A name that merely has an asterisk in it is a name as any other.
    let (crt, _) = openssl::self_signed(&folder, "star", &["rsa:2048"], "*.example");
    let host = signed(&folder, "below", "star", "DNS:host.example", "10");
    let server = server_config(&host, &[]).unwrap();
    meet(&server, &trusting(&given(&crt)), "host.example").unwrap();
    refusal(&server, &given(&crt), "127.0.0.1");

    // Neither is one that is `*` among others.
    let (crt, _) = openssl::self_signed(&folder, "both", &["rsa:2048"], "*,DNS:a.example");
    let host = signed(&folder, "beside", "both", "DNS:host.example", "10");
    refusal(&server_config(&host, &[]).unwrap(), &given(&crt), "127.0.0.1");
}

#[test]
fn several_authorities_stand_in_one_file() {
    let folder = TempDir::new().unwrap();
    let (one, _) = openssl::self_signed(&folder, "one", &["rsa:2048"], "one.example");
    let (two, _) = openssl::self_signed(&folder, "two", &["rsa:2048"], "*");
    let bundle = folder.path().join("bundle.crt");
    let text = [fs::read(&one).unwrap(), fs::read(&two).unwrap()].concat();
    fs::write(&bundle, text).unwrap();
    let named = signed(&folder, "a", "one", "DNS:a.example", "10");
    let any = signed(&folder, "b", "two", "DNS:b.example", "10");
    let client = trusting(&given(&bundle));
    meet(&server_config(&named, &[]).unwrap(), &client, "a.example").unwrap();
    meet(&server_config(&any, &[]).unwrap(), &client, "127.0.0.1").unwrap();
    let refused = refusal(&server_config(&named, &[]).unwrap(), &given(&bundle), "127.0.0.1");
    assert!(refused.to_string().contains("for another name"), "{refused}");
}

/// A certificate that is known by itself counts for as long as its user keeps it; he is warned. One
/// that is trusted for its signature counts as long as its signer said.
#[test]
fn expired_certificates_count_only_where_they_are_pinned() {
    let folder = TempDir::new().unwrap();
    let (crt, _) = openssl::self_signed(&folder, "any", &["rsa:2048"], "*");
    let past = signed(&folder, "past", "any", "DNS:host.example", "-1");
    let server = server_config(&past, &[]).unwrap();
    assert!(past.validity().warning(SystemTime::now()).unwrap().contains("expired on"));

    meet(&server, &trusting(&Trust::Pinned(past.fingerprint())), "host.example").unwrap();
    meet(&server, &trusting(&given(&folder.path().join("past.crt"))), "host.example").unwrap();
    let refused = refusal(&server, &given(&crt), "host.example");
    assert!(refused.to_string().contains("has expired"), "{refused}");
}
