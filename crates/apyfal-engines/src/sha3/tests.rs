use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use apyfal_core::{Cancel, Engine, Input, Progress};
use serde_json::{Map, Value, json};

use super::*;

fn context() -> JobContext {
    JobContext::new(
        Cancel::default(),
        Arc::<Progress>::default(),
        "/nonexistent",
        NonZeroUsize::MIN,
    )
}

fn job(data: &[u8], parameters: Value) -> EngineJob {
    let raw: Map<String, Value> = parameters.as_object().cloned().unwrap_or_default();
    let params = Params::check("sha3", &engine().accelerator().params, None, &raw).unwrap();
    EngineJob { src: Some(Input::bytes(data)), dst: None, params }
}

/// Hashes many messages at once, each in a context of its own.
fn hash_many(jobs: impl IntoIterator<Item = EngineJob>) -> Vec<Result<Outcome>> {
    Sha3Session.process_many(jobs.into_iter().map(|job| (job, context())).collect())
}

fn digest(outcome: Result<Outcome>) -> String {
    outcome.unwrap().specific["digest"].as_str().unwrap().to_owned()
}

fn hash(data: &[u8], parameters: Value) -> String {
    digest(Sha3Session.process(job(data, parameters), &context()))
}

/// Seeded pseudo-random bytes (xorshift64).
fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(len)
    .collect()
}

fn output_of(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed to test: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The directory of NIST's vectors in the Python package `cryptography-vectors`.
fn vectors() -> PathBuf {
    let output = Command::new("python3")
        .args(["-c", "import cryptography_vectors as v; print(v.__path__[0])"])
        .output()
        .expect("python3 is needed to find NIST's vectors");
    assert!(
        output.status.success(),
        "NIST's vectors are missing: pip install cryptography-vectors\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("hashes")
}

/// The records of a response file of NIST's validation programme: `Key = value` lines, a blank one
/// after each record, and defaults in brackets.
fn records(path: &Path) -> Vec<HashMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut defaults = HashMap::new();
    let mut records = Vec::new();
    for paragraph in text.replace('\r', "").split("\n\n") {
        let mut record = defaults.clone();
        for line in paragraph.lines() {
            let inner = line.trim_matches(['[', ']']);
            if let Some((key, value)) = inner.split_once(" = ") {
                let map = if inner == line { &mut record } else { &mut defaults };
                map.insert(key.to_owned(), value.to_owned());
            }
        }
        if record.contains_key("Msg") {
            records.push(record);
        }
    }
    assert!(!records.is_empty(), "{} has no vectors", path.display());
    assert_eq!(records.len(), text.matches("Msg = ").count(), "{}", path.display());
    records
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Message, function, output length and digest of every vector.
fn all_vectors() -> Vec<(Vec<u8>, &'static str, usize, String)> {
    let directory = vectors();
    let mut all = Vec::new();
    for function in &FUNCTIONS {
        let (folder, stem) = match function.extendable {
            true => ("SHAKE", function.name.replace("shake-", "SHAKE")),
            false => ("SHA3", function.name.replace("sha3-", "SHA3_")),
        };
        for kind in ["ShortMsg", "LongMsg", "VariableOut"] {
            if kind == "VariableOut" && !function.extendable {
                continue;
            }
            let records = records(&directory.join(folder).join(format!("{stem}{kind}.rsp")));
            for record in records {
                let mut message = unhex(&record["Msg"]);
                if let Some(bits) = record.get("Len") {
                    message.truncate(bits.parse::<usize>().unwrap() / 8);
                }
                let digest = record.get("MD").unwrap_or_else(|| &record["Output"]);
                let bits = match record.get("Outputlen").or(record.get("Outputlen ")) {
                    Some(bits) => bits.parse().unwrap(),
                    None => digest.len() * 4,
                };
                all.push((message, function.name, bits, digest.clone()));
            }
        }
    }
    all
}

#[test]
fn nist_vectors() {
    let all = all_vectors();
    let job = |(message, function, bits, _): &(Vec<u8>, &str, usize, String)| {
        job(message, json!({"type": function, "length": bits}))
    };
    let together = hash_many(all.iter().map(job));
    for (vector, together) in all.iter().zip(together) {
        let (message, function, bits, expected) = vector;
        let name = format!("{function} of {} bytes to {bits} bits", message.len());
        assert_eq!(digest(Sha3Session.process(job(vector), &context())), *expected, "{name}");
        assert_eq!(digest(together), *expected, "{name}, many at once");
        let software = hash_in_software(job(vector), &context());
        assert_eq!(digest(software), *expected, "{name}, RustCrypto");
    }
}

#[test]
fn digests_equal_openssl() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    // Around the sizes of blocks and buffers, and over several buffers.
    for len in [0, 1, 71, 72, 135, 136, 168, (64 << 10) - 1, 65_520, 65_521, 1_000_003] {
        let data = random(len as u64, len);
        std::fs::write(&path, &data).unwrap();
        for function in &FUNCTIONS {
            let name = function.name.replace("shake-", "shake");
            let mut args = vec!["dgst".to_owned(), format!("-{name}"), "-r".to_owned()];
            let mut parameters = json!({"type": function.name});
            if function.extendable {
                args.extend(["-xoflen".to_owned(), "300".to_owned()]);
                parameters["length"] = 2400.into();
            }
            args.push(path.to_str().unwrap().to_owned());
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let expected = output_of("openssl", &args);
            let file = Input::file(std::fs::File::open(&path).unwrap(), &path).unwrap();
            let job = EngineJob { src: Some(file), ..job(&[], parameters) };
            let ours = digest(Sha3Session.process(job, &context()));
            assert_eq!(Some(ours.as_str()), expected.split(' ').next(), "{name} of {len} bytes");
        }
    }
}

#[test]
fn many_messages_of_any_length_type_and_number() {
    for count in [1, 2, 3, 7, 8, 9, 40] {
        let inputs: Vec<_> = (0..count)
            .map(|n| {
                let data = random(n + 1, (n * n * 977 % 200_000) as usize);
                (data, FUNCTIONS[(n / 5 % 6) as usize].name)
            })
            .collect();
        let jobs = inputs.iter().map(|(data, name)| job(data, json!({"type": name})));
        for ((data, name), outcome) in inputs.iter().zip(hash_many(jobs)) {
            assert_eq!(digest(outcome), hash(data, json!({"type": name})), "of {count}");
        }
    }
}

#[test]
fn one_bad_message_does_not_harm_the_others() {
    let mut jobs: Vec<_> = (0..10).map(|n| job(&random(n, 100_000), json!({}))).collect();
    jobs[4].src = Some(Input::stream(Torn));
    jobs[5] = job(b"", json!({"length": 8}));
    let results = hash_many(jobs);
    for (n, result) in results.into_iter().enumerate() {
        match n {
            4 => assert_eq!(result.unwrap_err().kind(), ErrorKind::Storage),
            5 => assert_eq!(result.unwrap_err().kind(), ErrorKind::Usage),
            _ => assert_eq!(digest(result), hash(&random(n as u64, 100_000), json!({}))),
        }
    }
}

/// A source that cannot be read.
struct Torn;

impl std::io::Read for Torn {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("torn"))
    }
}

#[test]
fn length_in_bits() {
    let whole = unhex(&hash(b"abc", json!({"type": "shake-128", "length": 16})));
    let part = unhex(&hash(b"abc", json!({"type": "shake-128", "length": 11})));
    assert_eq!((part[0], part[1]), (whole[0], whole[1] & 0b111));
    assert_eq!(hash(b"", json!({"type": "shake-128"})).len(), 256 / 4);
    assert_eq!(hash(b"", json!({"type": "shake-256"})).len(), 512 / 4);
    assert_eq!(hash(b"", json!({"length": 256})), hash(b"", json!({"type": "SHA3-256"})));
    let error = Sha3Session.process(job(b"", json!({"length": 255})), &context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn ends_when_cancelled() {
    let context = context();
    context.cancel().cancel();
    let error = Sha3Session.process(job(b"abc", json!({})), &context).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn a_cancelled_message_does_not_harm_the_others() {
    /// A source that cancels its own job once it was read for a while.
    struct Leaving(Cancel, usize);
    impl std::io::Read for Leaving {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 += buffer.len();
            if self.1 > 200_000 {
                self.0.cancel();
            }
            Ok(buffer.len())
        }
    }
    let mut jobs: Vec<_> =
        (0..10).map(|n| (job(&random(n, 1_000_000), json!({})), context())).collect();
    jobs[3].1.cancel().cancel();
    jobs[6].0.src = Some(Input::stream(Leaving(jobs[6].1.cancel().clone(), 0)));
    for (n, result) in Sha3Session.process_many(jobs).into_iter().enumerate() {
        match n {
            3 | 6 => assert!(result.unwrap_err().is_cancelled()),
            _ => assert_eq!(digest(result), hash(&random(n as u64, 1_000_000), json!({}))),
        }
    }
}
