//! What a program says while it runs, line by line.

use apyfal_core::JobLog;

/// A longer line is cut.
const LIMIT: usize = 8 << 10;

/// Cuts what a program writes into lines and hands them to the log of a job as they come. The last
/// one, where it has no end, is handed on when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Lines {
    log: JobLog,
    /// What must not be shown; of a secret of several lines each one.
    secrets: Vec<String>,
    line: Vec<u8>,
    /// Whether the line is longer than what was kept of it.
    cut: bool,
}

impl Lines {
    /// For the log of a job whose program knows these secrets.
    pub(super) fn new(log: &JobLog, secrets: &[String]) -> Self {
        if !log.is_kept() {
            return Self::default();
        }
        let secrets = secrets.iter().flat_map(|secret| secret.lines());
        let mut secrets: Vec<_> =
            secrets.filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        // One that has another in it goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { log: log.clone(), secrets, line: Vec::new(), cut: false }
    }

    /// Adds what the program wrote.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.log.is_kept() {
            return;
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end]);
            self.say();
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// Hands on what has no end yet.
    pub(super) fn finish(&mut self) {
        if !self.line.is_empty() {
            self.say();
        }
    }

    /// Keeps as much as may be shown, and the rest of a secret that begins there.
    fn keep(&mut self, bytes: &[u8]) {
        let room = (LIMIT + self.margin()).saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }

    fn say(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        let mut text = text.trim_end_matches('\r').to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, "***");
        }
        // Where the line was cut a part of a secret may stand, which nothing has masked.
        let end = if self.cut { text.len().saturating_sub(self.margin()) } else { text.len() };
        if self.cut || end > LIMIT {
            text.truncate(text.floor_char_boundary(end.min(LIMIT)));
            text.push('…');
        }
        self.log.line(&text);
        self.line.clear();
        self.cut = false;
    }

    /// How long the longest secret is.
    fn margin(&self) -> usize {
        self.secrets.first().map_or(0, String::len)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What becomes of these pieces.
    fn lines(secrets: &[&str], pieces: &[&[u8]]) -> Vec<String> {
        let said = Arc::new(Mutex::new(Vec::new()));
        let log = {
            let said = said.clone();
            JobLog::new(move |line| said.lock().unwrap().push(line.to_owned()))
        };
        let secrets: Vec<_> = secrets.iter().map(|secret| secret.to_string()).collect();
        let mut lines = Lines::new(&log, &secrets);
        pieces.iter().for_each(|piece| lines.push(piece));
        drop(lines);
        std::mem::take(&mut said.lock().unwrap())
    }

    #[test]
    fn pieces_become_lines() {
        let pieces: &[&[u8]] = &[b"one\ntw", b"o\r\n", b"\nthree\nfo", b"u\xffr"];
        assert_eq!(lines(&[], pieces), ["one", "two", "", "three", "fou\u{fffd}r"]);
    }

    #[test]
    fn secrets_are_masked_even_in_pieces() {
        let pieces: &[&[u8]] = &[b"the pass", b"word is\nkey: BEGIN\nand END\npass"];
        let secrets = ["pass", "password", "BEGIN\nEND\n"];
        assert_eq!(lines(&secrets, pieces), ["the *** is", "key: ***", "and ***", "***"]);
    }

    #[test]
    fn long_lines_are_cut_and_show_no_half_of_a_secret() {
        let secret = "0123456789".repeat(10);
        for before in LIMIT - 300..LIMIT + 300 {
            let line = "é".repeat(before / 2) + &secret + &secret + &"x".repeat(before) + "\nnext";
            let said = lines(&[&secret], &[line.as_bytes()]);
            assert_eq!(said.len(), 2);
            assert!(said[0].len() <= LIMIT + "…".len() && said[0].ends_with('…'), "{before}");
            assert!(!said[0].contains('0') && said[1] == "next", "{before}");
        }
        let line = secret.repeat(500);
        assert!(!lines(&[&secret], &[line.as_bytes()])[0].contains('0'));
        let just = "y".repeat(LIMIT);
        assert_eq!(lines(&[&secret], &[just.as_bytes()]), [just]);
    }
}
