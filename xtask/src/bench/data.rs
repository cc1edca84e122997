//! The data: made once, kept below `target`, and copied to memory for a run.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::picture;

/// Counts up when the data is made in another way.
const VERSION: u32 = 3;

/// Where Debian has English text that compresses as books do: the documentation of perl and its
/// modules. Documentation at large repeats the same licences.
const TEXTS: [&str; 2] = ["/usr/share/perl", "/usr/share/common-licenses"];

/// Found text shorter than this is not typical enough to be repeated.
const ENOUGH_TEXT: u64 = 4_000_000;

/// Beginnings of the text.
const SLICES: [(&str, u64); 3] =
    [("slice.text", 64 << 10), ("small-slice.text", 16 << 10), ("kibibyte.text", 1 << 10)];

/// Name, width, height and bits for a pixel.
const PICTURES: [(&str, u32, u32, u32); 5] = [
    ("8k.bmp", 7680, 4320, 24),
    ("4k.bmp", 3840, 2160, 24),
    ("4k-32.bmp", 3840, 2160, 32),
    ("1080p.bmp", 1920, 1080, 24),
    ("1080p-32.bmp", 1920, 1080, 32),
];

/// Room for pictures, and for 100,000 files with their results.
const BESIDE_TEXT: u64 = 1_200_000_000;

/// As many words as the original accelerator took.
const CORPUS: usize = 2500;

/// Corpora of other lengths: the most frequent words as far as there are so many, and made-up ones.
const OTHER_CORPORA: [usize; 3] = [10, 100_000, 400_000];

/// The files that jobs read.
#[derive(Debug)]
pub(super) struct Data {
    directory: TempDir,
    bytes: u64,
}

impl Data {
    /// Makes what `cache` does not have and copies it to memory, or to a directory in `place`.
    pub(super) fn new(cache: &Path, place: Option<&Path>, megabytes: u64) -> Result<Self> {
        let bytes = megabytes * 1_000_000;
        let kept = cache.join(format!("{megabytes}-v{VERSION}"));
        if !kept.is_dir() {
            fs::create_dir_all(cache)?;
            let made = TempDir::new_in(cache)?;
            make(made.path(), bytes).context("cannot make the data")?;
            fs::rename(made.keep(), &kept)?;
        }
        // The data, and the results of two programs and of a check.
        let place = place.map_or_else(|| fast_place(8 * bytes + BESIDE_TEXT), Path::to_owned);
        let directory = tempfile::Builder::new().prefix("apyfal-bench-").tempdir_in(place)?;
        copy_all(&kept, directory.path())?;
        Ok(Self { directory, bytes })
    }

    /// Where the files are, and where there is room for results.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// How long the text is, and all files of the tree together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn text(&self) -> PathBuf {
        self.directory().join("text")
    }

    /// The first 64 KiB of the text.
    pub(super) fn slice(&self) -> PathBuf {
        self.directory().join("slice.text")
    }

    /// The first 16 KiB of the text.
    pub(super) fn small_slice(&self) -> PathBuf {
        self.directory().join("small-slice.text")
    }

    /// The first KiB of the text.
    pub(super) fn kibibyte(&self) -> PathBuf {
        self.directory().join("kibibyte.text")
    }

    /// The text as a directory of files.
    pub(super) fn tree(&self) -> PathBuf {
        self.directory().join("tree")
    }

    /// Lines of as many bytes as the text, without a word.
    pub(super) fn wordless(&self) -> PathBuf {
        self.directory().join("wordless")
    }

    /// One of [`PICTURES`].
    pub(super) fn picture(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// What a case's `prepare` writes.
    pub(super) fn prepared(&self) -> PathBuf {
        self.directory().join("prepared")
    }

    /// So many files of 1 KiB, once they are made.
    pub(super) fn files(&self, count: usize) -> PathBuf {
        self.directory().join(format!("files-{count}"))
    }

    /// Makes these of the text, over and over, a thousand in a directory.
    pub(super) fn make_files(&self, count: usize) -> Result<()> {
        let files = self.files(count);
        if files.exists() {
            return Ok(());
        }
        let mut text = File::open(self.text())?;
        for number in 0..count {
            let directory = files.join(format!("part{:03}", number / 1000));
            if number % 1000 == 0 {
                fs::create_dir_all(&directory)?;
            }
            let mut part = [0; 1 << 10];
            if text.read_exact(&mut part).is_err() {
                text = File::open(self.text())?;
                text.read_exact(&mut part)?;
            }
            fs::write(directory.join(format!("file{number:06}.txt")), part)?;
        }
        Ok(())
    }
}

/// Memory where there is enough, else the directory for temporary files.
fn fast_place(bytes: u64) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    if free >= bytes { memory.to_owned() } else { std::env::temp_dir() }
}

/// How many files a directory has whose names end like this, and how long they are together.
pub(super) fn files_below(directory: &Path, end: &str) -> Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let (more, their_bytes) = files_below(&entry.path(), end)?;
            (count, bytes) = (count + more, bytes + their_bytes);
        } else if entry.file_name().to_string_lossy().ends_with(end) {
            (count, bytes) = (count + 1, bytes + entry.metadata()?.len());
        }
    }
    Ok((count, bytes))
}

pub(super) fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?;
            copy_all(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn make(directory: &Path, bytes: u64) -> Result<()> {
    let text = directory.join("text");
    make_text(&text, bytes)?;
    for (name, len) in SLICES {
        io::copy(&mut File::open(&text)?.take(len), &mut File::create(directory.join(name))?)?;
    }
    make_tree(&text, &directory.join("tree"))?;
    make_corpus(&text, directory)?;
    let create = |name| Ok::<_, io::Error>(BufWriter::new(File::create(directory.join(name))?));
    for (name, width, height, bits) in PICTURES {
        picture::write(create(name)?, width, height, bits)?;
    }
    let line = [b"-".repeat(71), b"\n".to_vec()].concat();
    let mut wordless = create("wordless")?;
    for start in (0..bytes).step_by(line.len()) {
        let len = (bytes - start).min(line.len() as u64) as usize;
        wordless.write_all(&line[..len])?;
    }
    Ok(wordless.flush()?)
}

/// Text files of the system in the order of their paths, over and over: repetitions are farther
/// apart than any compressor here looks.
pub(crate) fn make_text(path: &Path, bytes: u64) -> Result<()> {
    let mut files = Vec::new();
    for directory in TEXTS {
        find_texts(Path::new(directory), &mut files);
    }
    let mut out = BufWriter::new(File::create(path)?);
    let mut written = 0;
    while written < bytes {
        let before = written;
        for file in &files {
            // A file that cannot be read is passed over.
            if let Ok(file) = File::open(file) {
                written += io::copy(&mut file.take(bytes - written), &mut out)?;
            }
        }
        if written - before < ENOUGH_TEXT.min(bytes) {
            written += io::copy(&mut Prose::new().take(bytes - written), &mut out)?;
        }
    }
    Ok(out.flush()?)
}

fn find_texts(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| !path.is_symlink()) {
        if path.is_dir() {
            find_texts(path, files);
        } else if is_text(path) {
            files.push(path.clone());
        }
    }
}

/// By its name and its first bytes. Large files are tables.
fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    let mut start = [0; 512];
    matches!(extension, None | Some("pod" | "pm" | "txt"))
        && path.metadata().is_ok_and(|metadata| metadata.len() < 500_000)
        && File::open(path).and_then(|mut file| file.read(&mut start)).is_ok_and(|len| {
            start[..len].iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 32..=126))
        })
}

/// Sentences of made-up words, as often as words are in English (Zipf's law).
struct Prose {
    random: Random,
    ready: Vec<u8>,
}

impl Prose {
    fn new() -> Self {
        Self { random: Random(11), ready: Vec::new() }
    }

    fn sentence(&mut self) {
        let words = 4 + self.random.below(16);
        for _ in 0..words {
            // The rank of a word is spread evenly over its logarithm, up to 16384 words.
            let octave = self.random.below(14);
            let rank = (1 << octave) + self.random.below(1 << octave);
            let mut spelling = Random(rank + 1);
            for _ in 0..1 + octave.div_ceil(4) {
                self.ready.push(b"tnshrdlcmwfgypbvk"[spelling.below(17) as usize]);
                self.ready.push(b"eaoiu"[spelling.below(5) as usize]);
                self.ready.extend_from_slice([&b""[..], b"n", b"r"][spelling.below(3) as usize]);
            }
            self.ready.push(b' ');
        }
        self.ready.pop();
        self.ready.extend_from_slice(if self.random.below(5) == 0 { b".\n" } else { b". " });
    }
}

impl Read for Prose {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.len() < buffer.len().min(4096) {
            self.sentence();
        }
        let len = buffer.len().min(self.ready.len());
        buffer[..len].copy_from_slice(&self.ready[..len]);
        self.ready.drain(..len);
        Ok(len)
    }
}

/// Files of 1 KiB to 1 MiB, most of them small.
fn make_tree(text: &Path, tree: &Path) -> Result<()> {
    let mut random = Random(5);
    let mut text = BufReader::new(File::open(text)?);
    for number in 0.. {
        let directory = tree.join(format!("part{:03}", number / 100));
        fs::create_dir_all(&directory)?;
        let size = 1 << (10 + random.below(11));
        let path = directory.join(format!("file{number:05}.txt"));
        let size = size + random.below(size);
        if io::copy(&mut (&mut text).take(size), &mut File::create(&path)?)? == 0 {
            fs::remove_file(path)?;
            break;
        }
    }
    Ok(())
}

/// Every other one of the most frequent words, so that about half of a text is found; the same as
/// a script for sed; and a program for perl. No replacement is a word of the corpus. Beside it corpora of other
/// lengths, and one of words that never occur.
fn make_corpus(text: &Path, directory: &Path) -> Result<()> {
    let mut sample = Vec::new();
    File::open(text)?.take(2_000_000).read_to_end(&mut sample)?;
    let mut counts: HashMap<&[u8], usize> = HashMap::new();
    for word in sample.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_') {
        if (1..=36).contains(&word.len()) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut words: Vec<_> = counts.into_iter().collect();
    words.sort_by(|(word, count), (other, others)| others.cmp(count).then(word.cmp(other)));
    let words: Vec<_> = words.iter().map(|(word, _)| word).step_by(2).take(CORPUS).collect();
    if words.len() < CORPUS {
        bail!("the text has {} different words, too few", 2 * words.len());
    }
    let mut csv = BufWriter::new(File::create(directory.join("corpus.csv"))?);
    let mut sed = BufWriter::new(File::create(directory.join("corpus.sed"))?);
    for (number, word) in words.iter().enumerate() {
        let word = std::str::from_utf8(word)?;
        writeln!(csv, "{word},qz{number}")?;
        writeln!(sed, "s/\\<{word}\\>/qz{number}/g")?;
    }
    csv.flush()?;
    sed.flush()?;
    for count in OTHER_CORPORA {
        let mut csv = BufWriter::new(File::create(directory.join(format!("corpus-{count}.csv")))?);
        for number in 0..count {
            match words.get(number) {
                Some(word) => csv.write_all(word)?,
                None => write!(csv, "qx{number}")?,
            }
            writeln!(csv, ",qz{number}")?;
        }
        csv.flush()?;
    }
    let mut csv = BufWriter::new(File::create(directory.join("corpus-never.csv"))?);
    for number in 0..CORPUS {
        writeln!(csv, "qx{number},qz{number}")?;
    }
    csv.flush()?;
    fs::write(
        directory.join("corpus.pl"),
        "my %words;\nopen my $corpus, '<', shift;\n\
         while (<$corpus>) { chomp; my ($word, $with) = split /,/; $words{$word} = $with }\n\
         while (<>) { s/([A-Za-z0-9_]+)/$words{$1} \\/\\/ $1/ge; print }\n",
    )?;
    Ok(())
}

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}
