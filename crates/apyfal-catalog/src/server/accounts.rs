//! Who may ask: a line for each account in a file, the secrets hashed.
//!
//! `CLIENT_ID pbkdf2-sha256$ITERATIONS$SALT$HASH CREATED`, salt and hash in base64, the time in
//! seconds since 1970. Lines that begin with `#` are comments.
//!
//! Source of the hash: RFC 8018, section 5.2; of the iterations: OWASP, "Password Storage".

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use apyfal_core::{Cancel, Error, ErrorKind, Result, Secret, nearest, unix_time};
use apyfal_machine::lock::Lock;
use apyfal_machine::private;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};

const SCHEME: &str = "pbkdf2-sha256";
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).expect("it is not 0");
const HASH: usize = 32;
const SALT: usize = 16;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it is known by.
    pub client_id: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    hash: Hash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hash {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// All accounts of a catalog server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    accounts: Vec<Account>,
}

impl Accounts {
    /// Reads the text of an accounts file; `name` is what the file is called in errors.
    ///
    /// # Errors
    /// A line is none of an account; the error has its number.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let mut accounts: Vec<Account> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let account = parse_line(line).filter(|account| {
                accounts.iter().all(|other| other.client_id != account.client_id)
            });
            accounts.push(account.ok_or_else(|| {
                // The line itself holds a hash.
                let why = format!("line {number} is no account, or one that was there before");
                Error::new(ErrorKind::Configuration, why)
                    .operation(format!("read the accounts '{name}'"))
                    .hint("'apyfal catalog account add' writes such lines")
            })?);
        }
        Ok(Self { accounts })
    }

    /// Reads an accounts file. One that is not there is empty.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or the file cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                let doing = format!("read the accounts '{}'", path.display());
                Err(Error::from(error).operation(doing))
            }
        }
    }

    /// The accounts, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter()
    }

    /// Whether there is this very account: one of its name with another secret is another one.
    pub fn has_still(&self, account: &Account) -> bool {
        self.accounts.contains(account)
    }

    /// The account of this name.
    pub fn find(&self, client_id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.client_id == client_id)
    }

    /// Whether there is an account of this name.
    pub fn has(&self, client_id: &str) -> bool {
        self.accounts.iter().any(|account| account.client_id == client_id)
    }

    /// Whether this is the secret of that account. It takes the same time whether there is such an
    /// account or not, and whatever of the secret is wrong.
    pub fn is_right(&self, client_id: &str, secret: &[u8]) -> bool {
        let account = self.accounts.iter().find(|account| account.client_id == client_id);
        let nobody = Hash { iterations: ITERATIONS, salt: vec![0; SALT], hash: vec![0; HASH] };
        let Hash { iterations, salt, hash } = account.map_or(&nobody, |account| &account.hash);
        let same =
            pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, *iterations, salt, secret, hash).is_ok();
        same && account.is_some()
    }

    /// Adds an account with this secret to a file.
    ///
    /// # Errors
    /// The name is not usable or in use, the secret is too short, or the file cannot be written.
    pub fn add(path: &Path, client_id: &str, secret: &Secret) -> Result<()> {
        let doing = || format!("add the account '{client_id}'");
        let is_good = (1..=128).contains(&client_id.len())
            && client_id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
        if !is_good {
            return Err(Error::new(ErrorKind::Usage, "its name is not usable")
                .operation(doing())
                .hint("a name has 1 to 128 letters, digits, '-', '_', '.' and '@'"));
        }
        if secret.expose().len() < 12 {
            return Err(Error::new(ErrorKind::Usage, "its secret has fewer than 12 characters")
                .operation(doing())
                .hint("leave it out to have one made"));
        }
        let created = unix_time().as_secs();
        let account = Account { client_id: client_id.to_owned(), created, hash: hash(secret)? };
        Self::change(path, |accounts| {
            if accounts.has(client_id) {
                return Err(Error::new(ErrorKind::Conflict, "there is one of that name")
                    .operation(doing())
                    .hint("remove it first to give it a new secret"));
            }
            accounts.accounts.push(account);
            Ok(())
        })
    }

    /// Removes an account from a file. Its tokens end with it.
    ///
    /// # Errors
    /// There is none of that name, or the file cannot be written.
    pub fn remove(path: &Path, client_id: &str) -> Result<()> {
        Self::change(path, |accounts| {
            if !accounts.has(client_id) {
                let known = accounts.iter().map(|account| account.client_id.as_str());
                let error = Error::new(ErrorKind::NotFound, "there is none of that name")
                    .operation(format!("remove the account '{client_id}'"));
                return Err(match nearest(client_id, known) {
                    Some(near) => error.hint(format!("did you mean '{near}'?")),
                    None => error.hint("'apyfal catalog account list' lists them"),
                });
            }
            accounts.accounts.retain(|account| account.client_id != client_id);
            Ok(())
        })
    }

    /// Changes a file as a whole. Of several who do so at a time each finds what the others wrote.
    fn change(path: &Path, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::from(error).operation(format!("write the accounts '{}'", path.display()))
        };
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let _lock = Lock::wait(Path::new(&lock), &Cancel::default())?;
        let mut accounts = Self::load(path)?;
        change(&mut accounts)?;
        private::replace(path, accounts.text().as_bytes()).map_err(failed)
    }

    fn text(&self) -> String {
        let mut text =
            String::from("# Accounts of a catalog server. 'apyfal catalog account' writes them.\n");
        for Account { client_id, created, hash } in &self.accounts {
            let Hash { iterations, salt, hash } = hash;
            let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
            // Writing to text cannot fail.
            let _ = writeln!(text, "{client_id} {SCHEME}${iterations}${salt}${hash} {created}");
        }
        text
    }
}

fn hash(secret: &Secret) -> Result<Hash> {
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt).map_err(|_| {
        Error::new(ErrorKind::Internal, "the system gives no random numbers")
            .operation("hash a secret")
    })?;
    let mut hash = [0; HASH];
    let secret = secret.expose().as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, secret, &mut hash);
    Ok(Hash { iterations: ITERATIONS, salt: salt.to_vec(), hash: hash.to_vec() })
}

fn parse_line(line: &str) -> Option<Account> {
    let mut words = line.split_ascii_whitespace();
    let (client_id, hashed, created) = (words.next()?, words.next()?, words.next()?);
    let mut parts = hashed.split('$');
    let scheme = parts.next()?;
    let iterations: NonZeroU32 = parts.next()?.parse().ok()?;
    let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let hash = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let is_whole = parts.next().is_none() && words.next().is_none();
    (scheme == SCHEME && hash.len() == HASH && is_whole).then_some(())?;
    let hash = Hash { iterations, salt, hash };
    Some(Account { client_id: client_id.to_owned(), created: created.parse().ok()?, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_again_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/accounts");
        let secret = Secret::new("correct horse battery");
        Accounts::add(&path, "alice", &secret).unwrap();
        Accounts::add(&path, "bob", &Secret::new("another secret")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("horse"));
        let accounts = Accounts::load(&path).unwrap();
        assert!(accounts.is_right("alice", b"correct horse battery"));
        assert!(!accounts.is_right("bob", b"correct horse battery"));
        assert!(!accounts.is_right("carol", b"correct horse battery"));
        assert!(!accounts.is_right("alice", b"correct horse batterx"));
        let error = Accounts::add(&path, "alice", &secret).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let error = Accounts::remove(&path, "alise").unwrap_err();
        assert_eq!(error.hints(), ["did you mean 'alice'?"]);
        Accounts::remove(&path, "alice").unwrap();
        assert!(!Accounts::load(&path).unwrap().has("alice"));
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn wrong_names_secrets_and_lines_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("accounts");
        for name in ["", "a b", "a:b", "é", &"a".repeat(129)] {
            let error = Accounts::add(&path, name, &Secret::new("long enough here")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{name}");
        }
        assert!(Accounts::add(&path, "a", &Secret::new("short")).is_err());
        assert!(!path.exists());
        let good = "a pbkdf2-sha256$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA 5";
        assert!(Accounts::parse(good, "f").is_ok());
        for bad in [
            &good[..40],
            &good.replace("sha256", "md5"),
            &format!("{good} more"),
            &format!("{good}\n{good}"),
            "a b c",
        ] {
            let error = Accounts::parse(&format!("# x\n{bad}"), "f").unwrap_err();
            assert!(error.to_string().contains("line "), "{error}");
            assert!(!error.to_string().contains("AAAA"), "{error}");
        }
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("accounts");
        std::thread::scope(|scope| {
            for number in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    Accounts::add(path, &format!("a{number}"), &Secret::new("a secret of mine"))
                        .unwrap();
                });
            }
        });
        assert_eq!(Accounts::load(&path).unwrap().iter().count(), 4);
    }
}
