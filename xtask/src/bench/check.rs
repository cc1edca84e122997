//! Whether a result is right, and how good it is. Nothing is held in memory: a program that is
//! started from a large process would be said to be as large.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::case::Io;
use super::data::files_below;
use super::picture::HEADER;

/// How a result is checked.
#[derive(Debug)]
pub(super) enum Check {
    /// It is not.
    Nothing,
    /// `gzip` makes the source of it.
    Gzip,
    /// It is equal to this file.
    Equal(PathBuf),
    /// `tar` makes this directory of it; its files have so many bytes.
    Tar { directory: PathBuf, bytes: u64 },
    /// Both have the same bytes.
    Agree,
    /// Both have the same 64 hexadecimal digits, or the same several times in turn.
    Digests,
    /// `gzip` makes each file of the source directory of one that is called like it, with `.gz` behind.
    Files,
    /// It has this length.
    Length(u64),
    /// `djpeg` makes a picture of it that is like this one.
    Picture(PathBuf),
}

/// How good a result is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quality {
    /// There is only one result.
    None,
    /// How many times smaller than the source it is.
    Ratio(f64),
    /// Peak signal-to-noise ratio in dB over all samples, and the length of the file.
    Picture { psnr: f64, bytes: u64 },
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Ratio(ratio) => write!(f, "{ratio:.3}"),
            Self::Picture { psnr, bytes } => {
                write!(f, "{psnr:.2} dB, {:.2} MB", *bytes as f64 / 1e6)
            }
        }
    }
}

impl Check {
    /// Checks the result of one program.
    pub(super) fn check(&self, io: &Io) -> Result<Quality> {
        let (src, dst) = (&io.src, &io.dst);
        match self {
            Self::Nothing | Self::Agree | Self::Digests => {}
            Self::Gzip => {
                shell("gzip -dc \"$1\" | cmp - \"$2\"", &[dst, src])?;
                return Ok(Quality::Ratio(length(src)? as f64 / length(dst)? as f64));
            }
            Self::Equal(original) => shell("cmp \"$1\" \"$2\"", &[dst, original])?,
            Self::Tar { directory, bytes } => {
                let unpacked = dst.with_extension("unpacked");
                let line = "rm -rf \"$2\" && mkdir \"$2\" && tar -xizf \"$1\" -C \"$2\" && \
                            diff -r \"$2\"/* \"$3\"; status=$?; rm -rf \"$2\"; exit $status";
                shell(line, &[dst, &unpacked, directory])?;
                return Ok(Quality::Ratio(*bytes as f64 / length(dst)? as f64));
            }
            Self::Files => {
                let unpacked = dst.with_extension("unpacked");
                let line = "export LC_ALL=C; (cd \"$1\" && find . -type f -name '*.gz' | sort | \
                            xargs gzip -dc) > \"$2\" && (cd \"$3\" && find . -type f | sort | \
                            xargs cat) | cmp - \"$2\"; status=$?; rm \"$2\"; exit $status";
                shell(line, &[dst, &unpacked, src])?;
                let ((files, bytes), (results, packed)) =
                    (files_below(src, "")?, files_below(dst, ".gz")?);
                if files != results {
                    bail!("{results} results of {files} files");
                }
                return Ok(Quality::Ratio(bytes as f64 / packed as f64));
            }
            Self::Length(expected) => {
                let length = length(dst)?;
                if length != *expected {
                    bail!("{length} bytes instead of {expected}");
                }
            }
            Self::Picture(original) => {
                let decoded = dst.with_extension("decoded");
                shell("djpeg -bmp -outfile \"$2\" \"$1\"", &[dst, &decoded])?;
                let psnr = psnr(original, &decoded)?;
                std::fs::remove_file(&decoded)?;
                if psnr < 25.0 {
                    bail!("{psnr:.1} dB: it is another picture");
                }
                return Ok(Quality::Picture { psnr, bytes: length(dst)? });
            }
        }
        Ok(Quality::None)
    }

    /// Whether it is about two results.
    pub(super) fn is_of_both(&self) -> bool {
        matches!(self, Self::Agree | Self::Digests)
    }

    /// Whether two results that must be equal are.
    pub(super) fn agree(&self, ours: &Path, theirs: &Path) -> Result<bool> {
        Ok(match self {
            Self::Agree => shell("cmp \"$1\" \"$2\"", &[ours, theirs]).is_ok(),
            Self::Digests => digests(ours)? == digests(theirs)?,
            _ => true,
        })
    }
}

fn length(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("no {}", path.display()))?.len())
}

fn shell(line: &str, arguments: &[&Path]) -> Result<()> {
    let output = Command::new("sh").args(["-c", line, "sh"]).args(arguments).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        })
        .into_owned();
        bail!("{}", text.lines().next().unwrap_or("the check failed"));
    }
    Ok(())
}

fn digests(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    let words = text.split(|character: char| !character.is_ascii_hexdigit());
    let digests: Vec<_> =
        words.filter(|word| word.len() == 64).map(str::to_ascii_lowercase).collect();
    match digests.is_empty() {
        true => bail!("there is no digest in the output"),
        false => Ok(digests),
    }
}

/// Compares the pixels of two pictures of the form that `picture` writes and `djpeg -bmp` too.
fn psnr(original: &Path, decoded: &Path) -> Result<f64> {
    if length(original)? != length(decoded)? {
        bail!("the pictures have other sizes");
    }
    let open = |path: &Path| -> Result<_> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(HEADER as u64))?;
        Ok(BufReader::with_capacity(1 << 20, file))
    };
    let (mut sum, mut count) = (0u64, 0u64);
    let mut decoded = open(decoded)?.bytes();
    for expected in open(original)?.bytes() {
        let decoded = decoded.next().context("the picture is cut off")??;
        sum += u64::from(expected?.abs_diff(decoded)).pow(2);
        count += 1;
    }
    Ok(10.0 * (255.0 * 255.0 * count as f64 / sum.max(1) as f64).log10())
}
