//! Crates that do the work of an engine, each as a whole process, so that the benchmark can pair
//! them with engines as it pairs commands. They read and write blocks as an engine does.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use aho_corasick::{AhoCorasick, MatchKind};
use anyhow::{Context, Result, anyhow, bail};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use clap::Subcommand;
use daachorse::{DoubleArrayAhoCorasick, DoubleArrayAhoCorasickBuilder};
use rustc_hash::FxHashMap;
use sha3::Digest;

const BLOCK: usize = 256 << 10;

/// What runs as a peer.
#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// Crate daachorse: find and replace whole words.
    Daachorse { corpus: PathBuf, src: PathBuf, dst: PathBuf },
    /// Crate aho-corasick: find and replace whole words.
    AhoCorasick { corpus: PathBuf, src: PathBuf, dst: PathBuf },
    /// A byte loop and rustc-hash's map: find and replace whole words.
    Tokenizer { corpus: PathBuf, src: PathBuf, dst: PathBuf },
    /// Crate flate2 on zlib-rs: compress.
    ZlibGzip { level: u32, src: PathBuf, dst: PathBuf },
    /// Crate flate2 on zlib-rs: decompress.
    ZlibGunzip { src: PathBuf, dst: PathBuf },
    /// Crate sha3: SHA3-256.
    Sha3 { src: PathBuf },
    /// Crate jpeg-encoder: quality 75, 4:2:0.
    JpegEncoder { src: PathBuf, dst: PathBuf },
    /// Crate hyper: a server that sends back what it is sent.
    Echo,
    /// Crate hyper: a host of REST v1.0 that does nothing.
    IdleHost,
    /// Crate hyper: an object store in memory.
    ObjectStore,
    /// Crate chacha20: random bytes.
    Chacha20 { bytes: u64, dst: PathBuf },
}

/// Runs one.
pub(crate) fn run(peer: Peer) -> Result<()> {
    match peer {
        Peer::Daachorse { corpus, src, dst } => daachorse(&corpus, &src, &dst),
        Peer::AhoCorasick { corpus, src, dst } => aho_corasick(&corpus, &src, &dst),
        Peer::Tokenizer { corpus, src, dst } => tokenizer(&corpus, &src, &dst),
        Peer::ZlibGzip { level, src, dst } => {
            let level = flate2::Compression::new(level);
            let mut encoder = flate2::write::GzEncoder::new(File::create(dst)?, level);
            for_blocks(&src, |block| Ok(encoder.write_all(block)?))?;
            encoder.finish()?;
            Ok(())
        }
        Peer::ZlibGunzip { src, dst } => {
            let mut decoder = flate2::write::MultiGzDecoder::new(File::create(dst)?);
            for_blocks(&src, |block| Ok(decoder.write_all(block)?))?;
            decoder.finish()?;
            Ok(())
        }
        Peer::Sha3 { src } => {
            let mut hash = sha3::Sha3_256::new();
            for_blocks(&src, |block| {
                hash.update(block);
                Ok(())
            })?;
            let digest = hash.finalize();
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(writeln!(std::io::stdout(), "{digest}")?)
        }
        Peer::JpegEncoder { src, dst } => jpeg_encoder(&src, &dst),
        Peer::Echo => crate::echo::run(),
        Peer::IdleHost => crate::idle_host::run(),
        Peer::ObjectStore => crate::object_store::run(),
        Peer::Chacha20 { bytes, dst } => {
            let mut random = ChaCha20Rng::from_seed([7; 32]);
            let mut dst = File::create(dst)?;
            let mut block = vec![0; BLOCK];
            let mut left = bytes;
            while left > 0 {
                let len = left.min(BLOCK as u64) as usize;
                random.fill_bytes(&mut block[..len]);
                dst.write_all(&block[..len])?;
                left -= len as u64;
            }
            Ok(())
        }
    }
}

fn for_blocks(src: &Path, mut work: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut src = File::open(src)?;
    let mut block = vec![0; BLOCK];
    loop {
        match src.read(&mut block)? {
            0 => return Ok(()),
            len => work(&block[..len])?,
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Gives blocks that end after a byte that is of no word.
fn for_word_blocks(
    src: &Path,
    dst: &Path,
    mut replace: impl FnMut(&[u8], &mut Vec<u8>),
) -> Result<()> {
    let mut dst = File::create(dst)?;
    let (mut text, mut output) = (Vec::new(), Vec::new());
    let mut work = |text: &[u8]| -> Result<()> {
        output.clear();
        replace(text, &mut output);
        Ok(dst.write_all(&output)?)
    };
    for_blocks(src, |block| {
        text.extend_from_slice(block);
        let end = text.iter().rposition(|byte| !is_word(*byte)).map_or(0, |last| last + 1);
        work(&text[..end])?;
        text.drain(..end);
        Ok(())
    })?;
    work(&text)
}

/// The benchmark's own corpus has no quotes.
fn read_corpus(path: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .map(|line| {
            let (word, replacement) = line.split_once(',').context("a line without a comma")?;
            Ok((word.to_owned(), replacement.to_owned()))
        })
        .collect()
}

/// Replaces those matches that are whole words.
fn splice<'a>(
    text: &[u8],
    matches: impl Iterator<Item = (Range<usize>, &'a str)>,
    output: &mut Vec<u8>,
) {
    let mut from = 0;
    for (found, replacement) in matches {
        let starts = found.start == 0 || !is_word(text[found.start - 1]);
        let ends = text.get(found.end).is_none_or(|byte| !is_word(*byte));
        if starts && ends {
            output.extend_from_slice(&text[from..found.start]);
            output.extend_from_slice(replacement.as_bytes());
            from = found.end;
        }
    }
    output.extend_from_slice(&text[from..]);
}

fn daachorse(corpus: &Path, src: &Path, dst: &Path) -> Result<()> {
    let corpus = read_corpus(corpus)?;
    let automaton: DoubleArrayAhoCorasick<u32> = DoubleArrayAhoCorasickBuilder::new()
        .match_kind(daachorse::MatchKind::LeftmostLongest)
        .build(corpus.iter().map(|(word, _)| word))
        .map_err(|error| anyhow!("{error}"))?;
    for_word_blocks(src, dst, |text, output| {
        let matches = automaton.leftmost_find_iter(text);
        let matches = matches
            .map(|found| (found.start()..found.end(), corpus[found.value() as usize].1.as_str()));
        splice(text, matches, output);
    })
}

fn aho_corasick(corpus: &Path, src: &Path, dst: &Path) -> Result<()> {
    let corpus = read_corpus(corpus)?;
    let automaton = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(corpus.iter().map(|(word, _)| word))?;
    for_word_blocks(src, dst, |text, output| {
        let matches = automaton.find_iter(text);
        let matches =
            matches.map(|found| (found.range(), corpus[found.pattern().as_usize()].1.as_str()));
        splice(text, matches, output);
    })
}

fn tokenizer(corpus: &Path, src: &Path, dst: &Path) -> Result<()> {
    let corpus = read_corpus(corpus)?;
    let words: FxHashMap<&[u8], &[u8]> =
        corpus.iter().map(|(word, with)| (word.as_bytes(), with.as_bytes())).collect();
    let mut is_word_table = [false; 256];
    for byte in 0..=u8::MAX {
        is_word_table[usize::from(byte)] = is_word(byte);
    }
    for_word_blocks(src, dst, |text, output| {
        let is_word = |byte: &u8| is_word_table[usize::from(*byte)];
        let mut rest = text;
        while !rest.is_empty() {
            let gap = rest.iter().position(is_word).unwrap_or(rest.len());
            let len = rest[gap..].iter().position(|byte| !is_word(byte));
            let end = len.map_or(rest.len(), |len| gap + len);
            match words.get(&rest[gap..end]) {
                Some(replacement) => {
                    output.extend_from_slice(&rest[..gap]);
                    output.extend_from_slice(replacement);
                }
                None => output.extend_from_slice(&rest[..end]),
            }
            rest = &rest[end..];
        }
    })
}

/// Reads the benchmark's own pictures: 24 bits, bottom-up, rows of a multiple of four bytes.
fn jpeg_encoder(src: &Path, dst: &Path) -> Result<()> {
    let picture = std::fs::read(src)?;
    let number = |at: usize| -> Result<usize> {
        let bytes = picture.get(at..at + 4).context("the header is cut off")?;
        Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    let (width, height) = (number(18)?, number(22)?);
    let pixels = picture.get(number(10)?..).context("there are no pixels")?;
    if width % 4 != 0 || pixels.len() != width * height * 3 {
        bail!("this is no picture of the benchmark");
    }
    let rows: Vec<u8> = pixels.rchunks_exact(width * 3).flatten().copied().collect();
    let writer = BufWriter::new(File::create(dst)?);
    let mut encoder = jpeg_encoder::Encoder::new(writer, 75);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    encoder.encode(
        &rows,
        u16::try_from(width)?,
        u16::try_from(height)?,
        jpeg_encoder::ColorType::Bgr,
    )?;
    Ok(())
}
