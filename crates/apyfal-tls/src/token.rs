//! Bearer tokens: what a client shows to prove that it may use a host.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use apyfal_core::{Error, ErrorKind, Result, Secret};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::certificate::read;
use crate::private_file::{Maker, PRIVATE};

/// What tokens begin with, so that people and scanners of source code know one when they see it.
const PREFIX: &str = "apyfal_";
/// So many characters of 6 bits each are 258 bits.
const LEN: usize = 43;
/// Shorter ones, written by people, can be guessed.
const SHORTEST: usize = 20;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A new token: `apyfal_` and 43 random characters that need no quotes in URLs, headers and shells.
///
/// # Errors
/// The system gives no random numbers.
pub fn generate() -> Result<Secret> {
    let mut random = [0; LEN];
    SystemRandom::new().fill(&mut random).map_err(|_| {
        Error::new(ErrorKind::Internal, "the system gives no random numbers")
            .operation("make a token")
    })?;
    let characters = random.map(|byte| char::from(ALPHABET[usize::from(byte & 63)]));
    Ok(Secret::new(PREFIX.chars().chain(characters).collect::<String>()))
}

/// Reads a token from a file.
///
/// # Errors
/// The file cannot be read, or what it holds is no token: it has spaces or is too short.
pub fn load(path: &Path) -> Result<Secret> {
    let text = String::from_utf8(read(path)?).unwrap_or_default();
    // Editors of Windows put a mark before the text.
    let token = text.trim_start_matches('\u{feff}').trim();
    let wrong = |why: String| {
        Error::new(ErrorKind::Configuration, why)
            .operation(format!("read the token '{}'", path.display()))
            .hint("remove the file to have a new one made")
    };
    if token.len() < SHORTEST {
        return Err(wrong(format!("it has fewer than {SHORTEST} characters")));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("it has characters that cannot be sent".to_owned()));
    }
    Ok(Secret::new(token))
}

/// Reads a token from a file, or makes one there. Of several processes that do so at a time one
/// makes it, and all get the same.
///
/// # Errors
/// As [`load`], or it cannot be written.
pub fn load_or_generate(path: &Path) -> Result<Secret> {
    let maker = Maker::at(path)?;
    if path.exists() {
        return load(path);
    }
    let token = generate()?;
    maker.create(path, format!("{}\n", token.expose()).as_bytes(), PRIVATE)?;
    Ok(token)
}

/// What a host keeps of a token: enough to know it again, too little to show it.
///
/// A plain SHA-256 will do, since tokens are random and too long to be tried one after the other.
/// Displayed, and read, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &Secret) -> Self {
        Self::of_bytes(token.expose().as_bytes())
    }

    /// Whether this is the token that a client presented. It takes the same time whichever byte
    /// differs.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.is(&Self::of_bytes(presented))
    }

    /// Whether both are of one token. It takes the same time whichever byte differs.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The hash of what a client presented.
    pub fn of_bytes(token: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(bytes)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({self})")
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HEXLOWER.encode_display(&self.0))
    }
}

impl FromStr for TokenHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hash = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        hash.and_then(|hash| hash.try_into().ok()).map(Self).ok_or_else(|| {
            Error::new(ErrorKind::InvalidData, "it is not 64 hexadecimal digits")
                .operation("read the hash of a token")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn tokens_are_new_each_time_and_need_no_quotes() {
        let tokens: BTreeSet<_> =
            (0..100).map(|_| generate().unwrap().expose().to_owned()).collect();
        assert_eq!(tokens.len(), 100);
        let mut used = BTreeSet::new();
        for token in &tokens {
            assert_eq!(token.len(), PREFIX.len() + LEN);
            let random = token.strip_prefix(PREFIX).unwrap();
            assert!(random.bytes().all(|byte| ALPHABET.contains(&byte)), "{token}");
            used.extend(random.bytes());
        }
        assert_eq!(used.len(), 64, "every character comes up");
    }

    #[test]
    fn a_hash_knows_its_token_alone() {
        let token = generate().unwrap();
        let hash = TokenHash::of(&token);
        assert!(hash.matches(token.expose().as_bytes()));
        let longer = format!("{}x", token.expose());
        for other in [&b""[..], b"apyfal_", longer.as_bytes(), &token.expose().as_bytes()[1..]] {
            assert!(!hash.matches(other));
        }
        assert_eq!(hash.to_string().parse::<TokenHash>().unwrap(), hash);
        for text in ["", "ab", &"é".repeat(32), &"a".repeat(65), &"g".repeat(64)] {
            assert_eq!(text.parse::<TokenHash>().unwrap_err().kind(), ErrorKind::InvalidData);
        }
        assert!(!format!("{token:?} {hash:?}").contains(token.expose()));
    }

    #[test]
    fn a_file_keeps_it_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/token");
        let made = load_or_generate(&path).unwrap();
        assert_eq!(load_or_generate(&path).unwrap().expose(), made.expose());
        assert_eq!(load(&path).unwrap().expose(), made.expose());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let folder_mode = fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(folder_mode & 0o777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else stays");
        // As an editor of Windows writes it.
        fs::write(&path, format!("\u{feff}{}\r\n", made.expose())).unwrap();
        assert_eq!(load(&path).unwrap().expose(), made.expose());
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for text in
            ["", "  \n", "hunter2", "hunter2 hunter2 hunter2 hunter2", "hunter2hunter2é12345"]
        {
            fs::write(&path, text).unwrap();
            let error = load_or_generate(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(error.to_string().contains("token'"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
