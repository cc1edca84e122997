use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use apyfal_core::ErrorKind;
use apyfal_tls::{Certificates, Fingerprint, Identity};
use tempfile::TempDir;

use super::*;

fn pair(folder: &TempDir) -> (PathBuf, PathBuf) {
    (folder.path().join("host.crt"), folder.path().join("host.key"))
}

#[test]
fn what_is_made_is_read_again() {
    let folder = TempDir::new().unwrap();
    let (crt, key) = pair(&folder);
    let made = Identity::load_or_generate(&crt, &key).unwrap();
    for again in [Identity::load(&crt, &key), Identity::load_or_generate(&crt, &key)] {
        let again = again.unwrap();
        assert_eq!(again.fingerprint(), made.fingerprint());
        assert_eq!(again.validity(), made.validity());
        assert_eq!(again.certificate_pem(), made.certificate_pem());
    }
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&crt), mode(&key)), (0o644, 0o600));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else stays");
    let text = fs::read_to_string(&key).unwrap();
    let secret = text.lines().nth(1).unwrap();
    assert!(!format!("{made:?}").contains(secret));
}

#[test]
fn a_certificate_is_as_it_was_always_made() {
    let made = Identity::generate().unwrap();
    let validity = made.validity();
    let life = validity.not_after.duration_since(validity.not_before).unwrap();
    assert_eq!(life, Duration::from_secs(825 * 86_400));
    assert_eq!(validity.warning(SystemTime::now()), None);
    assert!(validity.warning(SystemTime::now() + life).unwrap().contains("expired"));

    let folder = TempDir::new().unwrap();
    let (crt, key) = pair(&folder);
    let made = Identity::load_or_generate(&crt, &key).unwrap();
    let crt = crt.to_str().unwrap();
    let text = openssl::run(&folder, &["x509", "-in", crt, "-noout", "-text"]);
    for expected in
        ["CA:TRUE, pathlen:0", "DNS:*\n", "prime256v1", "ecdsa-with-SHA256", "Certificate Sign"]
    {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
    assert_eq!(text.matches("DNS:").count(), 1);
    // As strict as clients of today are.
    openssl::run(
        &folder,
        &["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", crt, crt],
    );
    let shown = openssl::run(&folder, &["x509", "-in", crt, "-noout", "-fingerprint", "-sha256"]);
    assert_eq!(shown.parse::<Fingerprint>().unwrap(), made.fingerprint());
}

#[test]
fn of_many_that_start_at_once_all_get_the_same() {
    for _ in 0..5 {
        let folder = TempDir::new().unwrap();
        let crt = folder.path().join("certificates/host.crt");
        let key = folder.path().join("keys/host.key");
        let barrier = Barrier::new(8);
        let fingerprints: Vec<_> = thread::scope(|scope| {
            let start = || {
                barrier.wait();
                Identity::load_or_generate(&crt, &key).unwrap().fingerprint()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(fingerprints.iter().all(|other| *other == fingerprints[0]), "{fingerprints:?}");
        assert_eq!(Identity::load(&crt, &key).unwrap().fingerprint(), fingerprints[0]);
    }
}

#[test]
fn half_a_pair_is_named() {
    let folder = TempDir::new().unwrap();
    let (crt, key) = pair(&folder);
    Identity::load_or_generate(&crt, &key).unwrap();
    for (gone, present) in [(&crt, &key), (&key, &crt)] {
        let kept = fs::read(gone).unwrap();
        fs::remove_file(gone).unwrap();
        let error = Identity::load_or_generate(&crt, &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let text = error.to_string();
        assert!(text.contains(&format!("'{}'", gone.display())), "{text}");
        assert!(text.contains(&format!("'{}'", present.display())), "{text}");
        assert!(error.hints().concat().contains("anew"), "{error:?}");
        assert!(!gone.exists() && present.exists(), "nothing is replaced");
        let error = Identity::load(&crt, &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageNotFound, "{error}");
        fs::write(gone, kept).unwrap();
    }
}

#[test]
fn a_certificate_that_cannot_be_written_leaves_no_key() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let key = folder.path().join("host.key");
    let crt = folder.path().join("file/host.crt");
    let error = Identity::load_or_generate(&crt, &key).unwrap_err();
    assert!(error.to_string().contains("file'"), "{error}");
    assert!(!key.exists());
}

#[test]
fn damaged_and_foreign_files_are_named_and_not_shown() {
    let folder = TempDir::new().unwrap();
    let (crt, key) = pair(&folder);
    let good = Identity::load_or_generate(&crt, &key).unwrap();
    let key_text = fs::read_to_string(&key).unwrap();
    let crt_text = good.certificate_pem().to_owned();
    let secret = key_text.lines().nth(1).unwrap();
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    let other = Identity::generate().unwrap();
    for (crt_text, key_text, at_fault, reason) in [
        ("garbage".to_owned(), key_text.clone(), &crt, "no certificate in it"),
        (cut(&crt_text), key_text.clone(), &crt, "damaged"),
        (key_text.clone(), key_text.clone(), &crt, "no certificate in it"),
        (crt_text.clone(), "garbage".to_owned(), &key, "no private key"),
        (crt_text.clone(), cut(&key_text), &key, "no private key"),
        (crt_text.clone(), crt_text.clone(), &key, "no private key"),
        (crt_text.clone(), key_text.replace("MI", "AA"), &key, "damaged"),
        (crt_text.clone(), other.key_pem().expose().to_owned(), &key, "not the key"),
        (other.certificate_pem().to_owned(), key_text.clone(), &key, "not the key"),
    ] {
        fs::write(&crt, crt_text).unwrap();
        fs::write(&key, key_text).unwrap();
        let error = Identity::load_or_generate(&crt, &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("'{}'", at_fault.display())), "{text}");
        assert!(text.contains(reason), "{text}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
    let large = vec![b'\n'; 2 << 20];
    fs::write(&crt, large).unwrap();
    assert!(Certificates::load(&crt).unwrap_err().to_string().contains("too large"));
}
