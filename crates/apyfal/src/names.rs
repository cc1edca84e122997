//! What is remembered between invocations: one name, one accelerator.
//!
//! ```text
//! ~/.apyfal/command_line/accelerators/NAME.json   the record
//! ~/.apyfal/command_line/accelerators/NAME/       its session
//! ~/.apyfal/command_line/accelerators/NAME.lock   shared by commands that use the name, held
//!                                                 alone by one that changes it
//! ```
//! Records are written atomically and, like all below, readable by their owner alone.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind as Io;
use std::path::{Component, Path, PathBuf};

use apyfal_core::{Cancel, Configuration, Error, ErrorKind, Result};
use apyfal_machine::lock::{Lock, Mode};
use apyfal_machine::{file_name, private};
use serde_json::{Map, Value, json};

use crate::configuration::forget_other_hosts;
use crate::{Accelerator, AcceleratorBuilder, Surroundings};

/// All names.
#[derive(Clone, Debug)]
pub struct Names {
    folder: PathBuf,
}

/// What is remembered of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The accelerator.
    pub accelerator: String,
    /// The configuration file that was named, as an absolute path or URL.
    pub config: Option<String>,
    /// What else `create` was given.
    pub host: Map<String, Value>,
    /// What the open session is taken up by, as [`Accelerator::session`] tells.
    pub session: Option<String>,
}

/// What became of names that were to be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// How many were forgotten.
    pub forgotten: usize,
    /// Those that a command uses, and which are as they were.
    pub in_use: Vec<String>,
}

impl Record {
    /// The hosts that `create` was given, by name or address.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let hosts = self.host.get("host_ip").and_then(Value::as_str).unwrap_or_default();
        hosts.split(',').map(str::trim).filter(|host| !host.is_empty())
    }
}

impl Names {
    /// The names below a home directory.
    pub fn below(home: &Path) -> Self {
        Self { folder: home.join(".apyfal/command_line/accelerators") }
    }

    /// Begins the accelerator of a name: with what is remembered of it set over what its configuration
    /// says, and its session taken up.
    ///
    /// # Errors
    /// The configuration cannot be interpolated.
    pub fn builder(
        &self,
        name: &str,
        record: &Record,
        mut configuration: Configuration,
        surroundings: Surroundings,
    ) -> Result<AcceleratorBuilder> {
        if let Some(address) = record.host.get("host_ip").and_then(Value::as_str) {
            forget_other_hosts(&mut configuration, address)?;
        }
        for (key, value) in &record.host {
            configuration.set_value("host", key, value);
        }
        let builder = Accelerator::builder(&record.accelerator)
            .configuration(configuration)
            .surroundings(surroundings)
            .root(self.root(name))
            .named(name);
        Ok(match &record.session {
            Some(session) => builder.session(session),
            None => builder,
        })
    }

    /// Lets one process change a name while no other uses it; waits for those to end.
    ///
    /// # Errors
    /// It cannot be locked, or is cancelled.
    pub async fn lock(&self, name: &str, cancel: &Cancel) -> Result<Lock> {
        Lock::take(&self.lock_path(name)?, Mode::Exclusive, cancel).await
    }

    /// Keeps a name as it is while a process uses it; waits while another one changes it.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub async fn lock_shared(&self, name: &str, cancel: &Cancel) -> Result<Lock> {
        Lock::take(&self.lock_path(name)?, Mode::Shared, cancel).await
    }

    /// As [`lock`](Self::lock) without waiting: none where another process uses the name.
    ///
    /// # Errors
    /// It cannot be locked.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>> {
        Lock::try_take(&self.lock_path(name)?, Mode::Exclusive)
    }

    /// The file that is locked, in a directory that is there.
    fn lock_path(&self, name: &str) -> Result<PathBuf> {
        private::make_directory(&self.folder).map_err(|error| {
            Error::from(error).operation(format!("make the directory '{}'", self.folder.display()))
        })?;
        Ok(self.folder.join(file_name::encode(name) + ".lock"))
    }

    /// Where the session of a name lives.
    pub fn root(&self, name: &str) -> PathBuf {
        self.folder.join(file_name::encode(name))
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.folder.join(file_name::encode(name) + ".json")
    }

    /// What is remembered of a name, or nothing.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn read(&self, name: &str) -> Result<Option<Record>> {
        let path = self.record_path(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == Io::NotFound => return Ok(None),
            Err(error) => return Err(Error::from(error).operation(reading(&path))),
        };
        let value: Value = serde_json::from_slice(&text).map_err(|error| {
            Error::new(ErrorKind::Conflict, format!("it is damaged: {error}"))
                .operation(reading(&path))
                .hint("create the accelerator again")
        })?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Some(Record {
            accelerator: text("accelerator").unwrap_or_default(),
            config: text("config"),
            host: value.get("host").and_then(Value::as_object).cloned().unwrap_or_default(),
            session: text("session"),
        }))
    }

    /// Remembers a name, all of it or nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, record: &Record) -> Result<()> {
        let path = self.record_path(name);
        let text = json!({
            "version": 1,
            "accelerator": record.accelerator,
            "config": record.config,
            "host": record.host,
            "session": record.session,
        });
        let write = || -> std::io::Result<()> {
            private::make_directory(&self.folder)?;
            private::replace(&path, format!("{text:#}\n").as_bytes())
        };
        write().map_err(|error| {
            Error::from(error)
                .operation(format!("remember the accelerator in '{}'", path.display()))
        })
    }

    /// All names, in alphabetical order, each with what is remembered of it.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<(String, Result<Record>)>> {
        let names = self.all()?.into_iter();
        // One may have been forgotten meanwhile.
        let found = names.filter_map(|name| {
            let record = self.read(&name).transpose()?;
            Some((name, record))
        });
        Ok(found.collect())
    }

    /// Forgets a name and removes what its session has on disk.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn forget(&self, name: &str) -> Result<()> {
        remove(|| fs::remove_file(self.record_path(name)))?;
        remove(|| fs::remove_dir_all(self.root(name)))
    }

    /// Removes what is here of a session that is of no use any more.
    pub fn remove_session(&self, name: &str, session: &str) {
        // The id may be one that a host gave, and then it may be anything.
        let mut parts = Path::new(session).components();
        if parts.next() == Some(Component::Normal(session.as_ref())) && parts.next().is_none() {
            // What cannot be removed goes with the name.
            let _ = fs::remove_dir_all(self.root(name).join(session));
        }
    }

    /// Forgets all names but those that are kept, and those that a command uses at present, which are
    /// told.
    ///
    /// # Errors
    /// Something cannot be read or removed.
    pub fn clear(&self, kept: &[String]) -> Result<Cleared> {
        let mut cleared = Cleared::default();
        for name in self.all()?.into_iter().filter(|name| !kept.contains(name)) {
            match self.try_lock(&name)? {
                None => cleared.in_use.push(name),
                Some(_lock) => {
                    let is_remembered = self.record_path(&name).exists();
                    self.forget(&name)?;
                    cleared.forgotten += usize::from(is_remembered);
                }
            }
        }
        Ok(cleared)
    }

    /// All names that have something here, in alphabetical order: also what a command left behind that
    /// was killed before it remembered the name.
    fn all(&self) -> Result<BTreeSet<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == Io::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(Error::from(error).operation(reading(&self.folder))),
        };
        let name_of = |entry: fs::DirEntry| {
            let file = entry.file_name();
            let file = file.to_str()?;
            // The files that are locked stay: who waits for one would lock what is not there any more.
            (!file.ends_with(".lock"))
                .then(|| file_name::decode(file.strip_suffix(".json").unwrap_or(file)))?
        };
        Ok(entries.flatten().filter_map(name_of).collect())
    }
}

fn reading(path: &Path) -> String {
    format!("read '{}'", path.display())
}

fn remove(remove: impl FnOnce() -> std::io::Result<()>) -> Result<()> {
    match remove() {
        Err(error) if error.kind() != Io::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_equal_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let names = Names::below(home.path());
        let record = Record {
            accelerator: "gzip".into(),
            config: Some("/etc/accelerator.conf".into()),
            host: json!({"region": "here", "spot": true}).as_object().unwrap().clone(),
            session: None,
        };
        names.write("a/b", &record).unwrap();
        assert_eq!(names.read("a/b").unwrap(), Some(record));
        let mode = fs::metadata(names.record_path("a/b")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names.clear(&[]).unwrap().forgotten, 1);
        assert_eq!(names.read("a/b").unwrap(), None);
        assert_eq!(names.clear(&[]).unwrap(), Cleared::default());
    }

    #[tokio::test]
    async fn a_name_in_use_is_not_cleared() {
        let home = tempfile::tempdir().unwrap();
        let names = Names::below(home.path());
        for name in ["used", "unused", "kept"] {
            names.write(name, &Record::default()).unwrap();
            fs::create_dir_all(names.root(name).join("session")).unwrap();
        }
        // Left by a command that was killed.
        fs::create_dir_all(names.root("left")).unwrap();
        let used = names.lock_shared("used", &Cancel::default()).await.unwrap();
        let cleared = names.clear(&["kept".to_owned()]).unwrap();
        assert_eq!(cleared, Cleared { forgotten: 1, in_use: vec!["used".to_owned()] });
        assert!(names.root("used").join("session").exists());
        for (name, is_there) in [("used", true), ("unused", false), ("kept", true)] {
            assert_eq!(names.read(name).unwrap().is_some(), is_there, "{name}");
        }
        assert!(!names.root("left").exists());
        // Who holds the lock holds that of everybody.
        assert!(names.try_lock("used").unwrap().is_none());
        drop(used);
        assert_eq!(names.clear(&[]).unwrap().forgotten, 2);
    }

    #[test]
    fn an_id_leads_nowhere_else() {
        let home = tempfile::tempdir().unwrap();
        let names = Names::below(home.path());
        let (keep, session) = (home.path().join("keep"), names.root("x").join("session-a"));
        for folder in [&keep, &session] {
            fs::create_dir_all(folder).unwrap();
        }
        let absolute = keep.to_str().unwrap();
        for id in [absolute, "../../../../keep", "session-a/../../x", "", ".", ".."] {
            names.remove_session("x", id);
        }
        assert!(keep.exists() && session.exists());
        names.remove_session("x", "session-a");
        assert!(!session.exists());
    }

    #[test]
    fn what_earlier_versions_remembered_is_read() {
        let home = tempfile::tempdir().unwrap();
        let names = Names::below(home.path());
        fs::create_dir_all(&names.folder).unwrap();
        for name in ["here", "pool"] {
            let file = format!("{}/tests/earlier/{name}.json", env!("CARGO_MANIFEST_DIR"));
            fs::copy(file, names.record_path(name)).unwrap();
        }
        let builder = |name: &str| {
            let record = names.read(name).unwrap().unwrap();
            let none = (Configuration::default(), Surroundings::default());
            (names.builder(name, &record, none.0, none.1).unwrap(), record)
        };
        let (here, record) = builder("here");
        assert_eq!(here.build().unwrap().session(), record.session);
        assert_eq!((&*record.accelerator, record.host.len()), ("sha3", 0));
        let (pool, record) = builder("pool");
        assert_eq!(record.hosts().collect::<Vec<_>>(), ["127.0.0.1:8001", "127.0.0.1:8002"]);
        let pool = pool.build().unwrap();
        assert_eq!(pool.hosts().len(), 2);
        let ids = record.session.unwrap();
        let (one, two) = ids.split_once(',').unwrap();
        let taken_up = format!(r#"[["127.0.0.1:8001","{one}"],["127.0.0.1:8002","{two}"]]"#);
        assert_eq!(pool.session(), Some(taken_up));
    }
}
