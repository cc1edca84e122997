use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use apyfal_core::{Cancel, Engine, Progress};
use apyfal_testkit::{Kept, until};
use serde_json::{Value, json};

use super::*;

fn context(threads: usize) -> JobContext {
    let threads = NonZeroUsize::new(threads).unwrap();
    JobContext::new(Cancel::default(), Arc::<Progress>::default(), "/nonexistent", threads)
}

fn params(parameters: &Value) -> Params {
    Params::check("trng", &engine().accelerator().params, None, parameters.as_object().unwrap())
        .unwrap()
}

fn make(parameters: Value, threads: usize) -> Result<(Vec<u8>, Outcome)> {
    let collected = Kept::default();
    let job = EngineJob { src: None, dst: Some(collected.output()), params: params(&parameters) };
    let outcome = TrngSession.process(job, &context(threads))?;
    let bytes = collected.bytes();
    Ok((bytes, outcome))
}

/// Monobit, runs (both SP 800-22) and chi-square over bytes, each with bounds that a good generator
/// exceeds less than once in 10^9 times.
fn assert_random(bytes: &[u8]) {
    let bits = bytes.len() as f64 * 8.0;
    let ones: f64 = bytes.iter().map(|byte| f64::from(byte.count_ones())).sum();
    let deviation = (2.0 * ones - bits) / bits.sqrt();
    assert!(deviation.abs() < 6.2, "monobit: {deviation} standard deviations");

    let mut changes = 0.0;
    let mut last = bytes[0] & 1;
    for byte in bytes {
        // Bit by bit from the lowest one: where a bit differs from the one before it.
        changes += f64::from((byte ^ (byte << 1 | last)).count_ones());
        last = byte >> 7;
    }
    let share = ones / bits;
    let expected = 2.0 * bits * share * (1.0 - share);
    let deviation = (changes - expected) / (2.0 * bits.sqrt() * share * (1.0 - share));
    assert!(deviation.abs() < 6.2, "runs: {deviation} standard deviations");

    let mut counts = [0.0; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1.0);
    let expected = bytes.len() as f64 / 256.0;
    let chi_square: f64 =
        counts.iter().map(|count: &f64| (count - expected).powi(2) / expected).sum();
    // 255 degrees of freedom, by the cube-root approximation of Wilson and Hilferty.
    let variance = 2.0 / (9.0 * 255.0);
    let deviation = ((chi_square / 255.0).cbrt() - (1.0 - variance)) / f64::sqrt(variance);
    assert!(deviation.abs() < 6.2, "chi-square: {deviation} standard deviations");
}

#[test]
fn any_number_of_bytes() {
    for count in [0, 1, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 3] {
        for threads in [1, 3] {
            let (bytes, outcome) = make(json!({"nbBytes": count}), threads).unwrap();
            assert_eq!(bytes.len(), count);
            assert_eq!(outcome.specific["source"], "drbg");
            assert!(outcome.specific["generator"].as_str().unwrap().contains("DRBG"));
        }
    }
}

#[test]
fn output_looks_random_on_any_number_of_threads() {
    for threads in [1, 2] {
        let (bytes, _) = make(json!({"nbBytes": 16 << 20}), threads).unwrap();
        assert_random(&bytes);
    }
}

#[test]
fn the_randomness_test_can_fail() {
    let mut bytes = vec![0b0101_0101; 1 << 20];
    assert!(std::panic::catch_unwind(|| assert_random(&bytes)).is_err(), "runs");
    bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8);
    assert!(std::panic::catch_unwind(|| assert_random(&bytes)).is_err(), "chi-square");
    bytes.fill(0);
    assert!(std::panic::catch_unwind(|| assert_random(&bytes)).is_err(), "monobit");
}

#[test]
fn nothing_comes_twice() {
    let mut seen = HashSet::new();
    let jobs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| make(json!({"nbBytes": 4 << 20}), 2).unwrap().0))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for part in jobs.iter().flat_map(|bytes| bytes.chunks(16)) {
        assert!(seen.insert(part.to_vec()), "{part:02x?} came twice");
    }
}

/// The test's own executable makes bytes in two processes, for the test below.
const CHILD: &str = "APYFAL_TRNG_CHILD";

#[test]
fn processes_share_nothing() {
    if let Ok(path) = std::env::var(CHILD) {
        std::fs::write(path, make(json!({"nbBytes": 64}), 1).unwrap().0).unwrap();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let outputs: HashSet<_> = ["a", "b"]
        .map(|name| {
            let path = directory.path().join(name);
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["trng::tests::processes_share_nothing", "--exact"])
                .env(CHILD, &path)
                .output()
                .unwrap()
                .status;
            assert!(status.success());
            std::fs::read(path).unwrap()
        })
        .into();
    assert_eq!(outputs.len(), 2);
    assert!(outputs.iter().all(|output| output.len() == 64));
}

#[test]
fn the_root_is_seeded_again() {
    let count = BLOCK * (2 * RESEED_INTERVAL as usize + 1);
    let job = EngineJob {
        src: None,
        dst: Some(Output::stream(std::io::sink())),
        params: params(&json!({"nbBytes": count})),
    };
    let outcome = TrngSession.process(job, &context(2)).unwrap();
    assert_eq!(outcome.specific["reseeds"], 2);
    assert_eq!(outcome.specific["entropy"][0], "getrandom");
}

#[test]
fn raw_noise_or_a_reason() {
    match make(json!({"nbBytes": 1_000_003, "source": "raw"}), 2) {
        Ok((bytes, outcome)) => {
            assert_eq!(bytes.len(), 1_000_003);
            assert_random(&bytes);
            assert_eq!(outcome.specific["source"], "raw");
            assert_eq!(outcome.specific["generator"], "RDSEED");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Engine);
            assert!(!error.hints().is_empty(), "{error}");
        }
    }
}

#[test]
fn without_a_number_of_bytes_it_is_a_usage_error() {
    let error = make(json!({}), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn ends_when_cancelled() {
    for source in ["drbg", "raw"] {
        let context = context(2);
        let job = EngineJob {
            src: None,
            dst: Some(Output::stream(std::io::sink())),
            params: params(&json!({"nbBytes": i64::MAX, "source": source})),
        };
        let error = std::thread::scope(|scope| {
            let running = scope.spawn(|| TrngSession.process(job, &context));
            // Not every processor has both sources.
            until("it writes", || context.progress().written() > 0 || running.is_finished());
            context.cancel().cancel();
            running.join().unwrap().unwrap_err()
        });
        assert!(error.is_cancelled() || source == "raw" && error.kind() == ErrorKind::Engine);
    }
}

#[test]
fn software_writes_as_much() {
    let collected = Kept::default();
    let job = EngineJob {
        src: None,
        dst: Some(collected.output()),
        params: params(&json!({"nbBytes": BLOCK + 7})),
    };
    TrngSession.process_in_software(job, &context(1)).unwrap().unwrap();
    assert_eq!(collected.bytes().len(), BLOCK + 7);
}
