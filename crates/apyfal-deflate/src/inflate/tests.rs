//! What comes out, and what is refused, is what zlib has it to be, in whatever pieces source and target are.

use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress, FlushDecompress, Status};

use super::*;
use crate::bits::Bits;
use crate::{Compressor, Level};

/// What a stream decompresses to and where it ends.
type Outcome = Result<(Vec<u8>, usize), Flaw>;

/// Ours by each set of instructions that there is, and zlib's.
struct Both {
    ours: [Decompressor; 2],
    theirs: flate2::Decompress,
}

impl Both {
    fn new() -> Self {
        let ours = [Path::Plain, Path::best()].map(Decompressor::with_path);
        Self { ours, theirs: flate2::Decompress::new(false) }
    }

    /// What a stream comes to by zlib, after it was the same by ours.
    fn decompress(&mut self, source: &[u8], random: &mut Random) -> Option<(Vec<u8>, usize)> {
        let theirs = zlib(&mut self.theirs, source);
        for decompressor in &mut self.ours {
            let ours = in_pieces(decompressor, source, random);
            assert!(ours.ok() == theirs, "of {} bytes", source.len());
        }
        theirs
    }
}

/// Decompresses in pieces of the source and of the target that are as long as `random` says.
fn in_pieces(decompressor: &mut Decompressor, source: &[u8], random: &mut Random) -> Outcome {
    // Nothing stays of one stream when the next one comes.
    decompressor.restart();
    let (source_piece, target_piece) = (random.mostly_small(20), 1 + random.mostly_small(19));
    let mut written = Vec::new();
    let (mut from, mut others) = (0, random.below(100));
    if random.below(50) == 0 {
        others *= 1000;
    }
    loop {
        let piece = (LOOKAHEAD + source_piece).min(source.len() - from);
        // What is not of this stream may stand before it. The stream itself is there as far as it has to be.
        let kept = written.len().min(HISTORY);
        let mut target = vec![b'#'; others];
        target.extend_from_slice(&written[written.len() - kept..]);
        let at = target.len();
        target.resize(at + target_piece.min(4 * source.len() + 300), b'?');
        // No memory beyond the ends, so that whoever watches memory sees what is read or written there.
        let is_all = from + piece == source.len();
        let source: Box<[u8]> = source[from..from + piece].into();
        let mut target = target.into_boxed_slice();
        let progress = decompressor.decompress(&source, is_all, &mut target, at);
        let progress = progress.map_err(|invalid| {
            assert!(invalid.at <= source.len());
            invalid.flaw
        })?;
        assert!(progress.ended || progress.consumed > 0 || progress.end > at, "it does not get on");
        written.extend_from_slice(&target[at..progress.end]);
        from += progress.consumed;
        if progress.ended {
            return Ok((written, from));
        }
    }
}

fn zlib(decompress: &mut flate2::Decompress, source: &[u8]) -> Option<(Vec<u8>, usize)> {
    decompress.reset(false);
    let mut written = Vec::with_capacity(source.len() + 300);
    loop {
        let before = (decompress.total_in(), decompress.total_out());
        let rest = &source[before.0 as usize..];
        let status = decompress.decompress_vec(rest, &mut written, FlushDecompress::None).ok()?;
        if status == Status::StreamEnd {
            return Some((written, decompress.total_in() as usize));
        }
        if before == (decompress.total_in(), decompress.total_out())
            && written.len() < written.capacity()
        {
            return None;
        }
        written.reserve(written.len() + 300);
    }
}

/// Numbers that look random, the same ones for each seed (xorshift).
struct Random(u64);

impl Random {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(0x9e37_79b9_7f4a_7c15, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        }))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit.max(1)
    }

    /// One of less than so many bits, of each length as often.
    fn mostly_small(&mut self, bits: usize) -> usize {
        let bits = self.below(bits);
        self.below(1 << bits)
    }
}

/// A source of what a stream is made of, by chance: words, runs, noise.
fn source(random: &mut Random, len: usize) -> Vec<u8> {
    let mut source = Vec::with_capacity(len + 600);
    let letters = 1 + random.below(256);
    while source.len() < len {
        let count = random.mostly_small(10);
        match random.below(4) {
            0 => source.extend((0..count).map(|_| random.below(letters) as u8)),
            1 => source.extend(std::iter::repeat_n(random.next() as u8, count)),
            2 => source.extend(b"to be or not to be, that is the question".iter().take(count)),
            _ if source.is_empty() => {}
            _ => {
                let start = source.len() - 1 - random.below(source.len());
                (start..start + count).for_each(|at| source.push(source[at]));
            }
        }
    }
    source.truncate(len);
    source
}

/// A stream of one compressor or another.
fn stream(random: &mut Random, source: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::new();
    match random.below(12) {
        0 => Compressor::new(Level::Fast).compress(source, &mut deflated),
        1 => Compressor::new(Level::Default).compress(source, &mut deflated),
        level => {
            let mut compress = Compress::new(Compression::new(level as u32 - 2), false);
            let mut rest = source;
            loop {
                // Blocks end in the midst of it, some of them without anything in them.
                let (piece, behind) = rest.split_at(random.below(1 << 16).min(rest.len()));
                rest = behind;
                let flush = match random.below(4) {
                    _ if rest.is_empty() => FlushCompress::Finish,
                    0 => FlushCompress::Partial,
                    1 => FlushCompress::Sync,
                    2 => FlushCompress::Full,
                    _ => FlushCompress::None,
                };
                deflated.reserve(2 * piece.len() + 1000);
                let status = compress.compress_vec(piece, &mut deflated, flush).unwrap();
                if status == Status::StreamEnd {
                    break;
                }
            }
        }
    }
    deflated
}

/// Changes a few bits or bytes of it, or cuts it off.
fn damage(random: &mut Random, stream: &mut Vec<u8>) {
    for _ in 0..random.below(4) {
        // More often where headers are.
        let len = stream.len() >> (random.below(4) * random.below(3));
        let at = random.below(len.max(1));
        match random.below(5) {
            0 if at < stream.len() => stream[at] = random.next() as u8,
            1 => stream.truncate(at),
            2 => stream.insert(at.min(stream.len()), random.next() as u8),
            _ if at < stream.len() => stream[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
}

/// A block with codes that nobody would choose, and symbols that any of them may be.
fn odd_block(random: &mut Random) -> Vec<u8> {
    let mut bits = Bits::new();
    bits.restart(4000);
    bits.put(0b101, 3);
    let (symbols, distances) = (random.below(32), random.below(32));
    bits.put(symbols as u64, 5);
    bits.put(distances as u64, 5);
    // Nearly always a code that is whole: two of each length but the last, in some order.
    let count = 5 + random.below(15);
    bits.put(count as u64 - 4, 4);
    let longest = 1 + random.below(7).min(count - 2);
    let mut lengths = vec![0; count];
    for length in 1..=longest {
        for _ in 0..if length == longest { 2 } else { 1 } {
            let at = (0..count).cycle().skip(random.below(count)).find(|at| lengths[*at] == 0);
            lengths[at.unwrap()] = length as u64;
        }
    }
    lengths.iter().for_each(|length| bits.put(*length, 3));
    (0..random.below(400)).for_each(|_| bits.put(random.next() >> 40 & random.next(), 24));
    bits.finish().to_vec()
}

/// Tries a stream of each kind, whole and damaged.
fn round(both: &mut Both, random: &mut Random, longest: u32) {
    let len = random.mostly_small(longest as usize);
    let source = source(random, len);
    let mut stream = stream(random, &source);
    let len = stream.len();
    stream.extend((0..random.below(3)).map(|_| 0x55));
    let whole = both.decompress(&stream, random);
    assert!(whole == Some((source, len)), "{len} bytes were changed or refused");
    damage(random, &mut stream);
    both.decompress(&stream, random);
    both.decompress(&odd_block(random), random);
}

#[test]
fn any_bytes_are_decompressed_as_zlib_does_or_refused() {
    bolero::check!().with_iterations(5_000).with_max_len(512).for_each(|bytes: &[u8]| {
        Both::new().decompress(bytes, &mut Random::of(bytes));
    });
}

#[test]
fn what_compressors_write_comes_back_and_what_is_damaged_is_refused_as_zlib_does() {
    let mut random = Random(1);
    let mut both = Both::new();
    (0..5_000).for_each(|_| round(&mut both, &mut random, 13));
    (0..100).for_each(|_| round(&mut both, &mut random, 22));
}

/// The long form: `cargo xtask soak`.
#[test]
#[ignore = "runs for APYFAL_SOAK_SECONDS"]
fn soak() {
    let seconds = std::env::var("APYFAL_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(60));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = now.as_nanos() as u64;
    println!("seed {seed}");
    let mut random = Random(seed | 1);
    let (mut both, mut streams) = (Both::new(), 0_u64);
    while Instant::now() < end {
        for _ in 0..1_000 {
            // Nearly all are short, for these are many.
            let longest = if random.below(1_000) == 0 { 21 } else { 9 };
            round(&mut both, &mut random, longest);
            streams += 3;
        }
    }
    println!("{streams} streams");
}

/// Bits as they are written in the standard: numbers with their lowest bit first.
fn bits(parts: &[(u64, u32)]) -> Vec<u8> {
    let mut bits = Bits::new();
    bits.restart(1000);
    parts.iter().for_each(|(value, count)| bits.put(*value, *count));
    bits.finish().to_vec()
}

#[test]
fn what_zlib_refuses_is_refused() {
    const DYNAMIC: (u64, u32) = (0b101, 3);
    const FIXED: (u64, u32) = (0b011, 3);
    // Lengths of codes: 0, 1 and 18 (zeros), with codes 10, 11 and 0. In the order 16, 17, 18, 0, 8, 7, 9, ..., 1.
    let zeros_and_ones: Vec<(u64, u32)> = (0..18)
        .map(|at| match at {
            2 => (1, 3),
            3 | 17 => (2, 3),
            _ => (0, 3),
        })
        .collect();
    let dynamic = |symbols: u64, distances: u64, lengths: &[(u64, u32)]| {
        let head = [DYNAMIC, (symbols, 5), (distances, 5), (14, 4)];
        bits(&[&head[..], &zeros_and_ones, lengths].concat())
    };
    let zeros = |count: u64| [(0, 1), (count - 11, 7)];
    let one = (0b11, 2);
    let zero = (0b01, 2);
    let whole = [&zeros(138)[..], &zeros(118), &[one, zero]].concat();
    for (what, source) in [
        ("a block of the fourth kind", bits(&[(0b111, 3)])),
        ("stored with a wrong length", vec![1, 1, 0, 0, 0, 7]),
        ("287 symbols", bits(&[DYNAMIC, (30, 5), (0, 5), (0, 64 - 10)])),
        ("31 distances", bits(&[DYNAMIC, (0, 5), (30, 5), (0, 54)])),
        ("no code for lengths", bits(&[DYNAMIC, (0, 5), (0, 5), (0, 4), (0, 12), (0, 40)])),
        (
            "half a code for lengths",
            bits(&[DYNAMIC, (0, 5), (0, 5), (0, 4), (1 << 6, 12), (0, 40)]),
        ),
        (
            "too many codes for lengths",
            bits(&[DYNAMIC, (0, 5), (0, 5), (0, 4), (0o111, 12), (0, 40)]),
        ),
        ("more lengths than symbols", dynamic(0, 0, &[&zeros(138)[..], &zeros(138)].concat())),
        ("no end of the block", dynamic(0, 0, &[&zeros(138)[..], &zeros(119), &[one]].concat())),
        (
            "three codes of one bit",
            dynamic(0, 0, &[&[one, one], &zeros(138)[..], &zeros(116), &[one, zero]].concat()),
        ),
        ("a symbol that has no code", bits(&[FIXED, (0b0110_0011, 8), (0, 30)])),
        (
            "a distance that has no code",
            bits(&[FIXED, (0b0000_1100, 8), (0b100_0000, 7), (0b01111, 5), (0, 30)]),
        ),
        (
            "before the stream",
            bits(&[FIXED, (0b0000_1100, 8), (0b100_0000, 7), (0b10000, 5), (0, 30)]),
        ),
    ] {
        assert_eq!(Both::new().decompress(&source, &mut Random(1)), None, "{what}");
        let ours = in_pieces(&mut Decompressor::new(), &source, &mut Random(1));
        assert_eq!(ours, Err(Flaw::Corrupt), "{what}");
    }
    // The same with nothing wrong: one code, which is the end of the block, and none for distances.
    let source = dynamic(0, 0, &[&whole[..], &[(0, 1)]].concat());
    let whole = Both::new().decompress(&source, &mut Random(1));
    assert_eq!(whole, Some((Vec::new(), source.len())));
}

#[test]
fn a_stream_that_is_cut_off_says_so() {
    let (mut decompressor, mut random) = (Decompressor::new(), Random(3));
    let source = source(&mut random, 30_000);
    for number in 0..12 {
        let mut random = Random(number + 5);
        let stream = stream(&mut random, &source);
        for end in (0..stream.len()).step_by(97).chain(stream.len() - 10..stream.len()) {
            let cut = in_pieces(&mut decompressor, &stream[..end], &mut random);
            assert_eq!(cut, Err(Flaw::CutOff), "after {end} bytes of {}", stream.len());
        }
    }
}

#[test]
fn the_end_of_a_stream_is_found() {
    let text = b"to be or not to be, to be or not to be";
    let mut stream = Vec::new();
    Compressor::new(Level::Default).compress(text, &mut stream);
    let end = stream.len();
    stream.resize(100, 0);
    let mut decompressor = Decompressor::new();
    let mut whole = |source: &[u8], target: &mut [u8]| {
        decompressor.restart();
        decompressor.decompress(source, true, target, 0)
    };
    let mut target = [0; 100];
    let found = Ok(Progress { consumed: end, end: text.len(), ended: true });
    assert_eq!(whole(&stream, &mut target), found);
    assert_eq!(&target[..text.len()], text);
    assert_eq!(whole(&stream[..end], &mut target[..text.len()]), found);
    assert!(whole(&stream[..end - 1], &mut target).is_err());
    assert!(!whole(&stream, &mut target[..text.len() - 1]).unwrap().ended);
    assert!(whole(&[], &mut target).is_err());
    assert!(whole(&[0xff; 10], &mut []).is_err());
}

#[test]
fn a_call_waits_for_more_of_the_source() {
    let mut decompressor = Decompressor::new();
    let deflated = bits(&[(0b011, 3), (0b0000_1100, 8), (0, 7)]);
    let mut target = [7; 10];
    let nothing = Progress { consumed: 0, end: 4, ended: false };
    assert_eq!(decompressor.decompress(&deflated, false, &mut target, 4), Ok(nothing));
    let all = Progress { consumed: deflated.len(), end: 5, ended: true };
    assert_eq!(decompressor.decompress(&deflated, true, &mut target, 4), Ok(all));
    assert_eq!(target[4], 0);
    assert_eq!(target[5], 7);
}

#[test]
#[should_panic(expected = "the history is missing")]
fn what_was_written_has_to_be_there() {
    let mut decompressor = Decompressor::new();
    let stored = [0, 2, 0, 0xfd, 0xff, b'a', b'b'];
    let mut target = [0; 2];
    let _ = decompressor.decompress(
        &[&stored[..], &[0; LOOKAHEAD - 2]].concat(),
        false,
        &mut target,
        0,
    );
    let _ = decompressor.decompress(&[0; LOOKAHEAD], false, &mut target, 1);
}
