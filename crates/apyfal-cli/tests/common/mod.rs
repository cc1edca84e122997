//! A home of its own for each test, and the built command in it.

#![allow(dead_code, unreachable_pub)] // Each test file uses its part.

pub mod bare_machine;
pub mod browser;
pub mod debian;
pub mod http;
pub mod machine;
pub mod namespaces;
pub mod page;
pub mod server;
pub mod wire;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory that is home and working directory at once.
pub struct Home(TempDir);

impl Home {
    /// What is started from now on begins with the default signals.
    pub fn new() -> Self {
        apyfal_testkit::default_signals();
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a written file");
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The command `apyfal` with these words, seeing nothing of the real environment but PATH.
    pub fn apyfal(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apyfal"));
        command
            .args(words)
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder())
            .env("TMPDIR", self.folder())
            .stdin(Stdio::null());
        command
    }

    /// Runs it, which must succeed; returns its standard output.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.apyfal(words).output().expect("apyfal runs");
        assert!(output.status.success(), "apyfal {words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs it, which must fail with this code; returns its standard error.
    pub fn fails(&self, code: i32, words: &[&str]) -> String {
        let output = self.apyfal(words).output().expect("apyfal runs");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "apyfal {words:?}: {stderr}");
        stderr
    }

    /// Runs it with data on standard input.
    pub fn piped(&self, words: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .apyfal(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("apyfal runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // The command may end before it has read everything.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("apyfal ends");
        writer.join().expect("the writer ends");
        output
    }

    /// The names of the files in the home, hidden ones included.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).expect("a readable home");
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Runs another program, which must succeed; returns its standard output.
pub fn peer(program: &str, words: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; 'cargo xtask test' installs what the tests need")
        });
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    assert!(output.status.success(), "{program} {words:?} failed");
    output.stdout
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A 24-bit bottom-up BMP of 33x21 pixels, whose rows are padded to 100 bytes.
pub fn bmp() -> Vec<u8> {
    let (width, height) = (33_u32, 21_u32);
    let row = (width * 3).div_ceil(4) * 4;
    let mut bmp = b"BM".to_vec();
    for value in [54 + row * height, 0, 54, 40, width, height] {
        bmp.extend(value.to_le_bytes());
    }
    bmp.extend([1, 0, 24, 0]);
    bmp.extend([0; 24]);
    bmp.extend((0..row * height).map(|index| (index % 251) as u8));
    bmp
}

/// English-like text, the same for the same seed.
pub fn words(len: usize, seed: u64) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "the", "of", "and", "a", "to", "in", "he", "have", "it", "that", "for", "they", "with",
        "as", "not", "on", "she", "at", "by", "this", "we", "you", "do", "but",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = Vec::with_capacity(len + 16);
    while text.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(WORDS[(state % 24) as usize].as_bytes());
        text.push(if state.is_multiple_of(97) { b'\n' } else { b' ' });
    }
    text.truncate(len);
    text
}
