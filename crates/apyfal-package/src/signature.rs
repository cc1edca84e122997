//! Signatures in the format of minisign: `FILE.minisig` beside `FILE`.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek};

use apyfal_core::{Error, ErrorKind, Result, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign::{SecretKey, SecretKeyBox, SignatureBox};

/// The length of a secret key in its file, in bytes: what it is for and how it is encrypted, the key,
/// and a checksum of it.
const SECRET: usize = 158;
const CHECKSUM: usize = 32;

/// What the name of a signature ends with.
pub const SUFFIX: &str = ".minisig";

/// Whose signatures are good.
#[derive(Clone, PartialEq)]
pub struct PublicKey(minisign::PublicKey);

impl PublicKey {
    /// Reads a key: the line of letters and digits, or the whole file of `minisign -G`.
    ///
    /// # Errors
    /// It is no key.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(str::trim);
        let key = lines.rfind(|line| !line.is_empty() && !line.contains(':'));
        let key = minisign::PublicKey::from_base64(key.unwrap_or_default());
        key.map(Self).map_err(|_| {
            Error::new(ErrorKind::Configuration, "it is no public key of minisign")
                .hint("it is the second line of minisign.pub, and begins with 'RW'")
        })
    }

    fn id(&self) -> String {
        id(self.0.keynum())
    }
}

/// As [`parse`](PublicKey::parse) reads it.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_base64())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id()).finish()
    }
}

/// The number of a key, as minisign shows it.
fn id(number: &[u8]) -> String {
    number.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

/// Checks that one of the keys signed what a file has. Returns that key.
///
/// # Errors
/// None did, or the file changed since.
pub fn verify<'k>(
    file: &mut File,
    signature: &str,
    keys: &'k [PublicKey],
) -> Result<&'k PublicKey> {
    let refused = |why: String| Error::new(ErrorKind::Security, why);
    let signature = SignatureBox::from_string(signature)
        .map_err(|_| refused("its signature is none of minisign".to_owned()))?;
    if !signature.is_prehashed() {
        return Err(refused("its signature is of a form that minisign no longer makes".to_owned())
            .hint("have it signed anew"));
    }
    let Some(key) = keys.iter().find(|key| key.0.keynum() == signature.keynum()) else {
        let known: Vec<_> = keys.iter().map(PublicKey::id).collect();
        return Err(refused(format!(
            "it is signed with the key {}, which is not trusted",
            id(signature.keynum())
        ))
        .hint(format!("trusted: {}", known.join(", "))));
    };
    file.rewind()?;
    minisign::verify(&key.0, &signature, file, true, false, false).map_err(|_| {
        refused("its signature is not of these bytes: one of them changed".to_owned())
            .hint("get both again, from who made them")
    })?;
    Ok(key)
}

/// Whether the public half of a secret key is that of its secret half. Minisign 0.11 writes no checksum
/// into keys without a password, so that nothing else tells that one is damaged.
fn is_pair(key: &SecretKey) -> bool {
    let public = minisign::PublicKey::from_secret_key(key);
    public.is_ok_and(|public| minisign::sign(Some(&public), key, io::empty(), None, None).is_ok())
}

/// Signs files.
pub struct Signer(SecretKey);

impl Signer {
    /// Reads a secret key as `minisign -G` made it.
    ///
    /// # Errors
    /// It is no key, it is damaged, or its password is missing or wrong.
    pub fn parse(text: &str, password: Option<&Secret>) -> Result<Self> {
        let refused = |why: &str| Error::new(ErrorKind::Configuration, why);
        let bytes = STANDARD.decode(text.lines().nth(1).unwrap_or_default().trim());
        let bytes = bytes.ok().filter(|bytes| bytes.len() == SECRET && bytes.starts_with(b"Ed"));
        let Some(bytes) = bytes else {
            return Err(refused("it is no secret key of minisign")
                .hint("it is the file that 'minisign -G -s FILE' writes, with two lines"));
        };
        let boxed = || SecretKeyBox::from(text.to_owned());
        let has_checksum = bytes[SECRET - CHECKSUM..] != [0; CHECKSUM];
        let key = match (&bytes[2..4], password) {
            ([0, 0], _) if has_checksum => boxed().into_unencrypted_secret_key().ok(),
            ([0, 0], _) => SecretKey::from_bytes(&bytes).ok().filter(is_pair),
            (b"Sc", Some(password)) => {
                let key = boxed().into_secret_key(Some(password.expose().to_owned()));
                return key.map(Self).map_err(|_| {
                    refused("its password is another one, or it is damaged")
                        .hint("--password_file names the file with the password of this key")
                });
            }
            (b"Sc", None) => {
                return Err(refused("it has a password")
                    .hint("name the file with the password: --password_file FILE"));
            }
            _ => return Err(refused("it is encrypted in a way that is not known")),
        };
        key.map(Self).ok_or_else(|| {
            refused("it is damaged: bytes of it changed")
                .hint("get it again from where you keep it")
        })
    }

    /// Makes the signature of what a file has. `name` is what it is called in it.
    ///
    /// # Errors
    /// Reading failed.
    pub fn sign(&self, file: &mut File, name: &str) -> Result<String> {
        file.rewind()?;
        let trusted = format!("file:{name}");
        let signed =
            minisign::sign(None, &self.0, file, Some(&trusted), Some("signature of apyfal pack"));
        let signed = signed.map_err(|error| Error::new(ErrorKind::Storage, error.to_string()))?;
        Ok(signed.into_string())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&id(self.0.keynum())).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use minisign::KeyPair;

    use super::*;

    fn file(content: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    pub(crate) fn keys() -> (PublicKey, Signer) {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let secret = pair.sk.to_box(None).unwrap().into_string();
        let public = pair.pk.to_box().unwrap().into_string();
        (PublicKey::parse(&public).unwrap(), Signer::parse(&secret, None).unwrap())
    }

    #[test]
    fn only_what_a_trusted_key_signed_is_good() {
        let ((ours, signer), (theirs, _)) = (keys(), keys());
        let signature = signer.sign(&mut file("package"), "a-1.0.0.apyfal").unwrap();
        verify(&mut file("package"), &signature, &[theirs.clone(), ours.clone()]).unwrap();
        let told = |content: &str, signature: &str, keys: &[PublicKey]| {
            let error = verify(&mut file(content), signature, keys).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Security);
            error.to_string()
        };
        assert!(told("package", &signature, &[theirs]).contains("not trusted"));
        assert!(told("packagf", &signature, std::slice::from_ref(&ours)).contains("changed"));
        let other = signature.replace("file:a-1", "file:a-2");
        assert!(told("package", &other, std::slice::from_ref(&ours)).contains("changed"));
        assert!(told("package", "nonsense", &[ours]).contains("none of minisign"));
    }

    #[test]
    fn keys_are_read_as_minisign_writes_them() {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let line = pair.pk.to_base64();
        assert_eq!(PublicKey::parse(&line).unwrap().0.keynum(), pair.pk.keynum());
        assert!(PublicKey::parse("RWnonsense").is_err() && PublicKey::parse("").is_err());
        let error = Signer::parse("nonsense", None).unwrap_err();
        assert!(error.hints()[0].contains("minisign -G"), "{error:?}");
        let public = pair.pk.to_box().unwrap().into_string();
        assert!(Signer::parse(&public, None).unwrap_err().message().contains("no secret key"));
        // A key of minisign's own documentation, for the format.
        let known = "untrusted comment: minisign public key 9CDE7DF6B4FF5D9\n\
                     RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";
        assert!(format!("{:?}", PublicKey::parse(known).unwrap()).starts_with("PublicKey("));
    }

    #[test]
    fn a_key_without_checksum_is_good_where_its_halves_are_a_pair() {
        // As minisign 0.11 writes it without a password, made of bytes for this test.
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let mut bytes = pair.sk.to_bytes();
        bytes[SECRET - CHECKSUM..].fill(0);
        let text = |bytes: &[u8]| format!("untrusted comment: x\n{}\n", STANDARD.encode(bytes));
        let signer = Signer::parse(&text(&bytes), None).unwrap();
        let signature = signer.sign(&mut file("x"), "x").unwrap();
        verify(&mut file("x"), &signature, &[PublicKey(pair.pk)]).unwrap();
        // Damaged, with and without a checksum: in the secret half, and in the public one.
        for index in [70, 120] {
            for bytes in [&bytes, &pair.sk.to_bytes()] {
                let mut bytes = bytes.clone();
                bytes[index] ^= 1;
                let error = Signer::parse(&text(&bytes), None).unwrap_err();
                assert!(error.message().contains("damaged"), "{error}");
                assert!(!error.hints()[0].contains("password"), "{error:?}");
            }
        }
        bytes[2..4].copy_from_slice(b"??");
        assert!(Signer::parse(&text(&bytes), None).unwrap_err().message().contains("not known"));
    }

    #[test]
    fn a_key_with_a_password_needs_it() {
        let pair = KeyPair::generate_encrypted_keypair(Some("secret".into())).unwrap();
        let text = pair.sk.to_box(None).unwrap().into_string();
        let error = Signer::parse(&text, None).unwrap_err();
        assert!(error.hints()[0].contains("--password_file"), "{error}");
        let error = Signer::parse(&text, Some(&Secret::new("wrong"))).unwrap_err();
        assert!(error.message().contains("its password is another one"), "{error}");
        let signer = Signer::parse(&text, Some(&Secret::new("secret"))).unwrap();
        let signature = signer.sign(&mut file("x"), "x").unwrap();
        verify(&mut file("x"), &signature, &[PublicKey(pair.pk)]).unwrap();
    }

    #[test]
    fn any_text_is_no_signature_of_ours() {
        let (key, _) = keys();
        let keys = [key];
        let file = std::panic::AssertUnwindSafe(std::cell::RefCell::new(file("content")));
        bolero::check!().with_iterations(2_000).with_max_len(1024).for_each(|bytes: &[u8]| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let error = verify(&mut file.borrow_mut(), text, &keys).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Security, "{error}");
            let _ = PublicKey::parse(text);
        });
    }
}
