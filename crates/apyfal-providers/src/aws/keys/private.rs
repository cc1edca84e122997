//! Private keys: one is made, and of others the public part is read.

use apyfal_core::{Error, ErrorKind, Result, Secret};
use data_encoding::BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa::PublicKeyComponents;
use ring::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData, RsaPublicKey};
use ssh_key::{LineEnding, Mpint, PrivateKey};
use zeroize::Zeroizing;

/// Makes a private key of Ed25519, in the form of OpenSSH: all its versions since 2014 read it, and EC2
/// takes it for all systems but Windows.
///
/// # Errors
/// The system gives no random bytes.
pub(super) fn make(comment: &str) -> Result<(Secret, KeyData)> {
    let failed = |why: String| Error::new(ErrorKind::Internal, why).operation("make a private key");
    let mut seed = Zeroizing::new([0; Ed25519PrivateKey::BYTE_SIZE]);
    SystemRandom::new()
        .fill(&mut *seed)
        .map_err(|_| failed("the system gives no random bytes".to_owned()))?;
    let private = Ed25519PrivateKey::from_bytes(&seed);
    let pair =
        Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|error| failed(error.to_string()))?;
    let public = pair.public_key().as_ref().try_into();
    let public =
        Ed25519PublicKey(public.map_err(|_| failed("its public key is too long".to_owned()))?);
    let pair = KeypairData::Ed25519(Ed25519Keypair { public, private });
    let key = PrivateKey::new(pair, comment).map_err(|error| failed(error.to_string()))?;
    let text = key.to_openssh(LineEnding::LF).map_err(|error| failed(error.to_string()))?;
    Ok((Secret::new(text.as_str()), KeyData::Ed25519(public)))
}

/// The public part of a private key, and whether a passphrase is needed to use it. None where it is no
/// key, or one that EC2 does not take.
pub(super) fn public_of(text: &str) -> Option<(KeyData, bool)> {
    if let Some(key) = of_openssh(text) {
        let public = key.public_key().key_data().clone();
        let is_taken = public.is_rsa() || public.is_ed25519();
        return is_taken.then(|| (public, key.is_encrypted()));
    }
    // As EC2 makes them, and openssl.
    let public = match PrivateKeyDer::from_pem_slice(text.as_bytes()).ok()? {
        PrivateKeyDer::Pkcs1(key) => rsa(&RsaKeyPair::from_der(key.secret_pkcs1_der()).ok()?)?,
        PrivateKeyDer::Pkcs8(key) => match RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()) {
            Ok(pair) => rsa(&pair)?,
            Err(_) => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
                let public = pair.ok()?.public_key().as_ref().try_into().ok()?;
                KeyData::Ed25519(Ed25519PublicKey(public))
            }
        },
        _ => return None,
    };
    Some((public, false))
}

/// A private key in the form of OpenSSH, whose lines may have any length: not all programs that write it
/// break them where OpenSSH does.
fn of_openssh(text: &str) -> Option<PrivateKey> {
    const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
    const END: &str = "-----END OPENSSH PRIVATE KEY-----";
    let body = text.split_once(BEGIN)?.1.split_once(END)?.0;
    let body = Zeroizing::new(body.split_whitespace().collect::<String>());
    PrivateKey::from_bytes(&Zeroizing::new(BASE64.decode(body.as_bytes()).ok()?)).ok()
}

fn rsa(pair: &RsaKeyPair) -> Option<KeyData> {
    let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
    let number = |bytes: &[u8]| Mpint::from_positive_bytes(bytes).ok();
    Some(KeyData::Rsa(RsaPublicKey { e: number(&e)?, n: number(&n)? }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use apyfal_machine::private::create_read_only;
    use ssh_key::PublicKey;

    use super::*;

    fn run(program: &str, arguments: &[&str], file: &Path) -> String {
        let output = Command::new(program).args(arguments).arg(file).output();
        let output = output.unwrap_or_else(|error| panic!("install {program}: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn key_data(line: &str) -> KeyData {
        PublicKey::from_openssh(line.trim()).unwrap().key_data().clone()
    }

    #[test]
    fn ssh_takes_what_is_made() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key.pem");
        let (text, public) = make("my key").unwrap();
        create_read_only(&path, text.expose().as_bytes()).unwrap();
        let line = run("ssh-keygen", &["-y", "-f"], &path);
        assert!(line.starts_with("ssh-ed25519 ") && line.ends_with("my key\n"), "{line}");
        assert_eq!(key_data(&line), public);
        assert_eq!(public_of(text.expose()), Some((public.clone(), false)));
        assert_ne!(make("my key").unwrap().1, public);
    }

    #[test]
    fn the_public_part_of_any_is_what_ssh_says() {
        let home = tempfile::tempdir().unwrap();
        let kinds: [(&[&str], bool); 6] = [
            (&["-t", "ed25519", "-N", ""], false),
            (&["-t", "ed25519", "-N", "a passphrase"], true),
            (&["-t", "rsa", "-b", "2048", "-N", ""], false),
            (&["-t", "rsa", "-b", "2048", "-N", "a passphrase"], true),
            (&["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""], false),
            (&["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""], false),
        ];
        for (number, (kind, is_encrypted)) in kinds.into_iter().enumerate() {
            let path = home.path().join(number.to_string());
            run("ssh-keygen", &[&["-q"], kind, &["-f"]].concat(), &path);
            let line = fs::read_to_string(path.with_extension("pub")).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(public_of(&text), Some((key_data(&line), is_encrypted)), "{kind:?}");
        }
        let path = home.path().join("ecdsa");
        run("ssh-keygen", &["-q", "-t", "ecdsa", "-N", "", "-f"], &path);
        let (text, public) = make("").unwrap();
        // The lines of the base64 in between have no dashes.
        let lines = text.expose().split_inclusive('\n');
        let unbroken: String = lines
            .map(
                |line| {
                    if line.contains('-') { line.to_owned() } else { line.trim_end().to_owned() }
                },
            )
            .collect();
        assert_eq!(public_of(&unbroken), Some((public, false)));
        for other in [&*fs::read_to_string(&path).unwrap(), "", "-----BEGIN RSA PRIVATE KEY-----\n"]
        {
            assert_eq!(public_of(other), None);
        }
    }
}
