//! What is written down of a lease: for an agent that starts again, and for `apyfal-end`, which ends
//! the machine where no agent can.
//!
//! It is text of one length, which is written over: moving an end needs no room on a full disk.
//! `deploy/apyfal-end.sh` reads it too. Times are in milliseconds; 0 stands for none.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The length of the file, in bytes.
const LENGTH: usize = 512;

/// A lease as it is written down. Ends are times since the system was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The start of the system that the ends belong to.
    pub(super) boot: String,
    /// The agent that holds it; 0 once that was told to end.
    pub(super) agent: u64,
    /// How long the host may be without jobs and clients.
    pub(super) idle_timeout: u64,
    /// How long it may live in all.
    pub(super) max_lifetime: u64,
    /// When it has been idle for too long.
    pub(super) idle_ends: u64,
    /// When its life is over.
    pub(super) life_ends: u64,
    /// Until when a client extended it, whatever the use.
    pub(super) extended: u64,
}

impl Record {
    /// What a file says, if it is a record.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok().filter(|text| text.len() == LENGTH)?;
        let mut record = Self::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let place = match key {
                "boot" => {
                    value.trim_matches('-').clone_into(&mut record.boot);
                    continue;
                }
                "agent" => &mut record.agent,
                "idle_timeout" => &mut record.idle_timeout,
                "max_lifetime" => &mut record.max_lifetime,
                "idle_ends" => &mut record.idle_ends,
                "life_ends" => &mut record.life_ends,
                "extended" => &mut record.extended,
                _ => continue,
            };
            *place = value.parse().ok()?;
        }
        Some(record)
    }

    /// Writes it over what is there, in one call of the system. With `durable` it is on disk then.
    pub(super) fn write(&self, path: &Path, durable: bool) -> io::Result<()> {
        let text = self.text();
        let mut options = OpenOptions::new();
        // The directory may be that of another user, whose links root does not follow.
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(flags).open(path)?;
        file.write_all_at(text.as_bytes(), 0)?;
        if durable { file.sync_data() } else { Ok(()) }
    }

    fn text(&self) -> String {
        let Self { boot, agent, idle_timeout, max_lifetime, idle_ends, life_ends, extended } = self;
        // Each line has two words.
        let boot = if boot.is_empty() { "-" } else { boot };
        let mut text = format!(
            "boot {boot}\nagent {agent}\nidle_timeout {idle_timeout}\nmax_lifetime {max_lifetime}\n\
             idle_ends {idle_ends}\nlife_ends {life_ends}\nextended {extended}\n"
        );
        text.extend(std::iter::repeat_n('\n', LENGTH.saturating_sub(text.len())));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_equal_and_has_one_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lease");
        assert_eq!(Record::read(&path), None);
        let longest = Record {
            boot: "01234567-0123-0123-0123-0123456789ab".to_owned(),
            agent: u64::MAX,
            idle_timeout: u64::MAX,
            max_lifetime: u64::MAX,
            idle_ends: u64::MAX,
            life_ends: u64::MAX,
            extended: u64::MAX,
        };
        for record in [longest, Record { idle_timeout: 5, ..Record::default() }] {
            record.write(&path, true).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), LENGTH as u64);
            assert_eq!(Record::read(&path), Some(record));
        }
        // What was cut off, or is something else, is none.
        for wrong in ["", "boot x\n", &"idle_ends x\n\n\n\n".repeat(LENGTH / 16)] {
            std::fs::write(&path, wrong).unwrap();
            assert_eq!(Record::read(&path), None, "{wrong}");
        }
    }
}
