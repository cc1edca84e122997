//! `gzip` and `gunzip` against each other, against other programs, and against bad data.

#![allow(clippy::unwrap_used)]

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apyfal_core::{
    Cancel, EngineJob, Error, ErrorKind, Input, JobContext, Output, Params, Progress, Result,
};
use apyfal_engines::Registry;
use apyfal_testkit::until;
use libdeflater::{CompressionLvl, Compressor};
use serde_json::{Value, json};

const BLOCK: usize = 1 << 20;

/// Where the writes of a job are kept, one by one.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

impl Writes {
    fn concat(&self) -> Vec<u8> {
        self.0.lock().unwrap().concat()
    }
}

impl Write for Writes {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(data.to_owned());
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Seeded pseudo-random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut random = Random(7);
    std::iter::repeat_with(|| random.below(256) as u8).take(len).collect()
}

/// Words of a vocabulary with the frequencies of natural text, roughly.
fn text(len: usize) -> Vec<u8> {
    let mut random = Random(42);
    let words: Vec<Vec<u8>> = (0..2000)
        .map(|_| (0..2 + random.below(8)).map(|_| b'a' + random.below(26) as u8).collect())
        .collect();
    let mut text = Vec::with_capacity(len + 10);
    while text.len() < len {
        let rank = 1 + random.below(words.len());
        text.extend(&words[random.below(rank)]);
        text.push(if random.below(12) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(len);
    text
}

fn context(threads: usize) -> JobContext {
    JobContext::new(
        Cancel::default(),
        Arc::<Progress>::default(),
        std::env::temp_dir(),
        NonZeroUsize::new(threads).unwrap(),
    )
}

fn run(engine: &str, src: Input, params: &Value, ctx: &JobContext) -> Result<Writes> {
    let found = Registry::default().find(engine)?;
    let (engine, info) = (found.best(), found.info());
    let params = Params::check(&info.name, &info.params, None, params.as_object().unwrap())?;
    let session = engine.open(None, &params, &Path::new("/nonexistent"), ctx)?;
    let writes = Writes::default();
    let job = EngineJob { src: Some(src), dst: Some(Output::stream(writes.clone())), params };
    session.process(job, ctx)?;
    Ok(writes)
}

fn gzip(data: &[u8], params: &Value) -> Vec<u8> {
    run("gzip", Input::bytes(data), params, &context(2)).unwrap().concat()
}

fn gunzip(data: &[u8]) -> Result<Vec<u8>> {
    let results = [1, 3].map(|threads| {
        Ok(run("gunzip", Input::bytes(data), &json!({}), &context(threads))?.concat())
    });
    let [one, three]: [Result<_>; 2] = results;
    if let (Ok(one), Ok(three)) = (&one, &three) {
        assert_eq!(one, three);
    }
    assert_eq!(one.as_ref().err().map(Error::kind), three.err().map(|error| error.kind()));
    one
}

/// What a program makes of its standard input.
fn peer(command: &[&str], data: &[u8]) -> Vec<u8> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("install '{}' to run this test: {error}", command[0]));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(data).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?} failed: {}", output.status);
    output.stdout
}

const PYTHON_GUNZIP: [&str; 3] = [
    "python3",
    "-c",
    "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))",
];

/// A member made by libdeflate, with these bytes as its extra field.
fn member(data: &[u8], extra: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut member = vec![0; compressor.gzip_compress_bound(data.len())];
    let len = compressor.gzip_compress(data, &mut member).unwrap();
    member.truncate(len);
    if !extra.is_empty() {
        member[3] |= 4;
        let field = [&(extra.len() as u16).to_le_bytes(), extra].concat();
        member.splice(10..10, field);
    }
    member
}

/// A member that says it is longer than it is by `lie`.
fn sized_member(data: &[u8], lie: i64) -> Vec<u8> {
    let mut member = member(data, b"IG\x04\0____");
    let size = (member.len() as i64 + lie) as u32;
    member[16..20].copy_from_slice(&size.to_le_bytes());
    member
}

fn bgzf_member(data: &[u8]) -> Vec<u8> {
    let mut member = member(data, b"BC\x02\0__");
    let size = (member.len() - 1) as u16;
    member[16..18].copy_from_slice(&size.to_le_bytes());
    member
}

fn migz_member(data: &[u8]) -> Vec<u8> {
    let mut member = member(data, b"MZ\x04\0____");
    let size = (member.len() - 20 - 8) as u32;
    member[16..20].copy_from_slice(&size.to_le_bytes());
    member
}

#[test]
fn every_size_and_kind_of_data_comes_back() {
    for (data, sizes) in [
        (text(4 * BLOCK), &[0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 12_345][..]),
        (noise(2 * BLOCK), &[1000, 2 * BLOCK]),
        (vec![0; 2 * BLOCK], &[1000, 2 * BLOCK]),
    ] {
        for &size in sizes {
            let data = &data[..size];
            let compressed = gzip(data, &json!({}));
            assert!(gunzip(&compressed).unwrap() == data, "{size} bytes");
            assert!(peer(&["gzip", "-dc"], &compressed) == data, "{size} bytes through gzip");
            assert!(peer(&["pigz", "-dc"], &compressed) == data, "{size} bytes through pigz");
            assert!(peer(&PYTHON_GUNZIP, &compressed) == data, "{size} bytes through Python");
        }
    }
}

#[test]
fn every_level_comes_back_and_more_effort_is_smaller() {
    let data = text(BLOCK + 100_000);
    let len = |level: &str| {
        let compressed = gzip(&data, &json!({ "level": level }));
        assert!(gunzip(&compressed).unwrap() == data, "level {level}");
        assert!(peer(&["gzip", "-dc"], &compressed) == data, "level {level} through gzip");
        compressed.len()
    };
    let lens: Vec<_> = (1..=9).map(|level| len(&level.to_string())).collect();
    assert!(lens.is_sorted_by(|more, less| more >= less), "{lens:?}");
    assert!(lens[8] < lens[5] && lens[5] < lens[1] && lens[1] < lens[0], "{lens:?}");
    assert_eq!([len("fast"), len("default"), len("best")], [lens[0], lens[1], lens[5]]);
}

#[test]
fn the_bytes_depend_on_the_source_and_the_level_alone() {
    /// Gives a few bytes at a time, and sometimes none yet.
    struct Hesitant(io::Cursor<Vec<u8>>, Random);
    impl Read for Hesitant {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.1.below(10_000) {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                some => {
                    let len = some.min(buffer.len());
                    self.0.read(&mut buffer[..len])
                }
            }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    for len in [1000, 2 * BLOCK, 5 * BLOCK + 1] {
        let data = text(len);
        let path = directory.path().join("source");
        std::fs::write(&path, &data).unwrap();
        for level in ["1", "6"] {
            let params = json!({ "level": level });
            let expected = gzip(&data, &params);
            for threads in [1, 2, 3, 8] {
                let stream = Input::stream(Hesitant(io::Cursor::new(data.clone()), Random(9)));
                let file = Input::file(std::fs::File::open(&path).unwrap(), &path).unwrap();
                for src in [stream, file] {
                    let result = run("gzip", src, &params, &context(threads)).unwrap();
                    assert!(result.concat() == expected, "{len} bytes, {threads} threads");
                }
                let compressed = io::Cursor::new(expected.clone());
                let src = Input::stream(Hesitant(compressed, Random(9)));
                let result = run("gunzip", src, &json!({}), &context(threads)).unwrap();
                assert!(result.concat() == data, "{len} bytes back, {threads} threads");
            }
        }
    }
}

#[test]
fn other_programs_are_read() {
    let data = text(3 * BLOCK);
    for command in [
        &["gzip", "-1", "-c"][..],
        &["gzip", "-9", "-c"],
        &["pigz", "-p", "3", "-c"],
        &["pigz", "-p", "3", "-b", "64", "-i", "-c"],
        &[
            "python3",
            "-c",
            "import gzip, sys; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))",
        ],
    ] {
        for data in [&data[..], &data[..100], b""] {
            let compressed = peer(command, data);
            assert!(gunzip(&compressed).unwrap() == data, "{command:?}, {} bytes", data.len());
        }
    }
}

#[test]
fn an_empty_source_is_one_empty_member() {
    let compressed = gzip(b"", &json!({}));
    assert!(compressed.len() < 30);
    assert_eq!(gunzip(&compressed).unwrap(), b"");
}

#[test]
fn name_and_time_are_stored_on_request_only() {
    let plain = gzip(b"hello", &json!({}));
    assert_eq!(plain[3..8], [0; 5]);
    let src = Input::bytes(*b"hello").with_name("hello.txt");
    let params = json!({ "store_name": true, "mtime": 1_000_000_000 });
    let result = run("gzip", src, &params, &context(1)).unwrap().concat();
    assert_eq!(result[3], 8);
    assert_eq!(result[4..8], 1_000_000_000u32.to_le_bytes());
    assert_eq!(&result[10..20], b"hello.txt\0");
    assert_eq!(gunzip(&result).unwrap(), b"hello");

    // Of several members only the first has them.
    let data = text(3 * BLOCK);
    let plain = gzip(&data, &json!({}));
    let named = gzip(&data, &json!({ "name": "a" }));
    assert_eq!(named.len(), plain.len() + 2);
    assert!(gunzip(&named).unwrap() == data);

    for (params, src) in [
        (json!({ "store_name": true }), Input::bytes(*b"no name")),
        (json!({ "name": "" }), Input::bytes(*b"")),
        (json!({ "name": "a/b" }), Input::bytes(*b"")),
        (json!({ "name": "a\0" }), Input::bytes(*b"")),
    ] {
        let error = run("gzip", src, &params, &context(1)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}

#[test]
fn members_and_padding_are_read_on() {
    let (first, second) = (text(500_000), noise(300_000));
    let ours = gzip(&text(2 * BLOCK + 1), &json!({}));
    let compressed = [
        &member(&first, b"")[..],
        &[0; 1000],
        &ours,
        &sized_member(b"", 0),
        &bgzf_member(&first[..60_000]),
        &bgzf_member(&second[..60_000]),
        &migz_member(&second[..60_000]),
        &member(&second, b""),
        &sized_member(&first, 0),
        &[0; 3_000_000],
    ]
    .concat();
    let expected = [
        &first[..],
        &text(2 * BLOCK + 1),
        &first[..60_000],
        &second[..60_000],
        &second[..60_000],
        &second,
        &first,
    ]
    .concat();
    assert!(gunzip(&compressed).unwrap() == expected);
}

/// However many members a block could have, as much of the source as makes a block is read, not all
/// of it, and so kept.
#[test]
fn members_of_nothing_are_read_block_by_block() {
    struct Counted(io::Cursor<Vec<u8>>, Arc<AtomicUsize>);
    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.fetch_add(count, Ordering::Relaxed);
            Ok(count)
        }
    }
    // A member without any deflate data, which is not valid but looks so from its ends.
    let mut hollow = sized_member(b"", 0);
    let deflate = 20..hollow.len() - 8;
    hollow.drain(deflate);
    hollow[16..20].copy_from_slice(&28u32.to_le_bytes());
    let read = Arc::<AtomicUsize>::default();
    let src = Counted(io::Cursor::new(hollow.repeat(1 << 20)), read.clone());
    let error = run("gunzip", Input::stream(src), &json!({}), &context(2)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(read.load(Ordering::Relaxed) < 8 << 20, "{read:?} bytes were read");
}

#[test]
fn what_follows_must_be_gzip() {
    for first in [member(b"hello", b""), sized_member(b"hello", 0), gzip(&noise(BLOCK), &json!({}))]
    {
        for rest in [&b"garbage"[..], b"\0\0x", b"\x1f", b"\x1f\x8b", b"\x1f\x8bgarbage"] {
            let error = gunzip(&[&first, rest].concat()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            let (key, at) = &error.facts()[0];
            let at: usize = at.parse().unwrap();
            assert_eq!(*key, "byte");
            assert!((first.len()..=first.len() + rest.len()).contains(&at), "{error}");
        }
    }
}

#[test]
fn what_is_not_gzip_is_refused() {
    for data in [&b""[..], b"\0", b"PK\x03\x04", b"hello, world", b"\x1f\x9d\x90", b"\x1f\x8b\x07"]
    {
        assert_eq!(gunzip(data).unwrap_err().kind(), ErrorKind::InvalidData);
    }
    let src = Input::bytes(*b"hello").with_name("hello.txt");
    let error = run("gunzip", src, &json!({}), &context(1)).err().unwrap();
    assert_eq!(error.to_string(), "cannot decompress 'hello.txt': this is not gzip data (byte 0)");
}

#[test]
fn data_that_is_cut_off_is_an_error() {
    let small = gzip(&text(3000), &json!({ "name": "three thousand" }));
    let foreign = peer(&["gzip", "-c"], &text(3000));
    for data in [small, foreign, sized_member(&text(3000), 0), bgzf_member(&text(3000))] {
        for end in 0..data.len() {
            let error = gunzip(&data[..end]).expect_err("a truncated file");
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{end} bytes");
        }
    }
    let large = gzip(&text(4 * BLOCK), &json!({}));
    let foreign = peer(&["gzip", "-1", "-c"], &text(4 * BLOCK));
    let mut random = Random(5);
    for data in [large, foreign] {
        for end in (0..20).map(|_| random.below(data.len())).chain([data.len() - 1]) {
            let error = gunzip(&data[..end]).expect_err("a truncated file");
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{end} bytes");
        }
    }
}

/// A stream that was interrupted between two writes ends where a member of it could end.
#[test]
fn no_part_of_what_was_written_is_a_valid_file() {
    let writes = run("gzip", Input::bytes(text(3 * BLOCK)), &json!({}), &context(2)).unwrap();
    let writes = writes.0.lock().unwrap();
    assert_eq!(writes.len(), 4);
    for end in 0..writes.len() {
        assert_eq!(gunzip(&writes[..end].concat()).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn a_flipped_bit_never_changes_the_result() {
    let data = text(300);
    let several: Vec<_> = data.chunks(100).flat_map(|part| sized_member(part, 0)).collect();
    for mut compressed in [gzip(&data, &json!({ "name": "x" })), several] {
        for bit in 0..8 * compressed.len() {
            compressed[bit / 8] ^= 1 << (bit % 8);
            match gunzip(&compressed) {
                Ok(result) => assert!(result == data, "bit {bit} changed the result"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData),
            }
            compressed[bit / 8] ^= 1 << (bit % 8);
        }
    }
    let data = text(3 * BLOCK);
    let mut compressed = gzip(&data, &json!({}));
    let mut random = Random(11);
    for _ in 0..20 {
        let byte = 100 + random.below(compressed.len() - 100);
        compressed[byte] ^= 0x10;
        if let Ok(result) = gunzip(&compressed) {
            assert!(result == data, "byte {byte} changed the result");
        }
        compressed[byte] ^= 0x10;
    }
}

#[test]
fn a_lie_about_the_size_does_no_harm() {
    let data = text(100_000);
    let honest = sized_member(&data, 0);
    let len = honest.len() as i64;
    for lie in [-len, 19 - len, -9, -1, 1, 2, 1000, len - 1, len + 1, 3 * len, 1 << 31] {
        // The size points to no header, so it is not believed.
        let compressed = [sized_member(&data, lie), honest.clone(), honest.clone()].concat();
        assert!(gunzip(&compressed).unwrap() == data.repeat(3), "off by {lie}");
    }
    // The size includes the members behind, which must not get lost.
    for lie in [len, 2 * len] {
        let compressed = [sized_member(&data, lie), honest.clone(), honest.clone()].concat();
        assert_eq!(gunzip(&compressed).unwrap_err().kind(), ErrorKind::InvalidData);
    }
    // The length of the result is a lie as well.
    let mut compressed = sized_member(&data, 0);
    for claimed in [0u32, 1, 99_999, 100_001, 4 << 20, u32::MAX] {
        let at = compressed.len() - 4;
        compressed[at..].copy_from_slice(&claimed.to_le_bytes());
        assert_eq!(gunzip(&compressed).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn progress_is_told_in_bytes() {
    let data = text(2 * BLOCK);
    let ctx = context(2);
    let compressed = run("gzip", Input::bytes(data.clone()), &json!({}), &ctx).unwrap().concat();
    assert_eq!(ctx.progress().total(), Some(data.len() as u64));
    assert_eq!(ctx.progress().read(), data.len() as u64);
    assert_eq!(ctx.progress().written(), compressed.len() as u64);
    let ctx = context(2);
    run("gunzip", Input::bytes(compressed.clone()), &json!({}), &ctx).unwrap();
    assert_eq!(ctx.progress().read(), compressed.len() as u64);
    assert_eq!(ctx.progress().written(), data.len() as u64);
}

#[test]
fn a_job_ends_when_it_is_cancelled() {
    /// Repeats some data without end, or has no more to give for now.
    struct Endless(io::Cursor<Vec<u8>>, bool);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 if self.1 => {
                    self.0.set_position(0);
                    self.read(buffer)
                }
                0 => {
                    std::thread::sleep(Duration::from_millis(10));
                    Err(io::ErrorKind::WouldBlock.into())
                }
                count => Ok(count),
            }
        }
    }
    let plain = text(2 * BLOCK);
    let ours = gzip(&plain, &json!({}));
    let foreign = peer(&["gzip", "-c"], &plain);
    for (engine, data, params) in [
        ("gzip", &plain, json!({ "level": 9 })),
        ("gunzip", &ours, json!({})),
        ("gunzip", &foreign, json!({})),
    ] {
        for (more, threads) in [(true, 1), (true, 2), (false, 1), (false, 2)] {
            let ctx = context(threads);
            let src = Input::stream(Endless(io::Cursor::new(data.clone()), more));
            let (cancel, progress) = (ctx.cancel().clone(), ctx.progress().clone());
            let canceller = std::thread::spawn(move || {
                until("it reads", || progress.read() > 0);
                cancel.cancel();
            });
            let error = run(engine, src, &params, &ctx).err().unwrap();
            assert!(error.is_cancelled(), "{engine}: {error}");
            canceller.join().unwrap();
        }
    }
}

/// What a cancelled job waits for is one block: where it would take long, it is small.
#[test]
fn blocks_of_few_symbols_are_small_at_slow_levels() {
    let dna: Vec<u8> = noise(BLOCK).iter().map(|byte| b"ACGT"[usize::from(byte & 3)]).collect();
    for (data, level, members) in
        [(text(BLOCK), 6, 2), (text(BLOCK), 9, 2), (dna.clone(), 6, 2), (dna, 7, 5)]
    {
        let data = [&data[..], b"more"].concat();
        let packed = gzip(&data, &json!({ "level": level }));
        let starts = packed.windows(4).filter(|bytes| *bytes == b"\x1f\x8b\x08\x04").count();
        assert_eq!(starts, members, "level {level}");
        assert!(gunzip(&packed).unwrap() == data);
    }
}

#[test]
fn plain_software_does_the_same() {
    let ctx = context(1);
    let data = text(100_000);
    let mut result = data.clone();
    for engine in ["cast_gzip", "cast_gunzip"] {
        let engine = Registry::default().find(engine).unwrap().best().clone();
        let params =
            Params::check("it", &engine.accelerator().params, None, &Default::default()).unwrap();
        let session = engine.open(None, &params, &Path::new("/nonexistent"), &ctx).unwrap();
        let writes = Writes::default();
        let job = EngineJob {
            src: Some(Input::bytes(result.clone())),
            dst: Some(Output::stream(writes.clone())),
            params,
        };
        session.process_in_software(job, &ctx).unwrap().unwrap();
        assert_ne!(writes.concat(), result);
        result = writes.concat();
    }
    assert_eq!(result, data);
}
