//! Randomised tests that are guided by coverage: by libFuzzer, which `bolero` brings along.
//!
//! What is tried lies beside the test, in `__fuzz__/TEST/corpus`, and every run of the tests tries all
//! of it again. What breaks a test is written to `__fuzz__/TEST/crashes`, and tried as well.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, Result};

/// Has the compiler count which branches are taken and tell what is compared, as libFuzzer needs it. Of
/// stable Rust: nothing is taken from the nightly one.
const FLAGS: &str = "--cfg fuzzing --cfg fuzzing_libfuzzer -Cdebug-assertions \
     -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// A test for the engine.
struct Target {
    name: &'static str,
    package: &'static str,
    /// Its path, and the directory of the file that it is in.
    test: &'static str,
    folder: &'static str,
}

const fn target(
    name: &'static str,
    package: &'static str,
    folder: &'static str,
    test: &'static str,
) -> Target {
    Target { name, package, test, folder }
}

/// One for each parser that meets strangers.
const TARGETS: [Target; 26] = [
    target(
        "form",
        "apyfal-server",
        "routes/v1",
        "routes::v1::fuzz::whatever_comes_is_no_form_or_its_data_was_in_it",
    ),
    target(
        "form-pieces",
        "apyfal-server",
        "routes/v1",
        "routes::v1::fuzz::a_form_says_the_same_in_whatever_pieces_it_comes",
    ),
    target(
        "form-data",
        "apyfal-server",
        "routes/v1",
        "routes::v1::fuzz::data_comes_out_as_it_went_in",
    ),
    target(
        "path",
        "apyfal-server",
        "routes/v1",
        "routes::v1::fuzz::any_path_leads_somewhere_or_nowhere",
    ),
    target("request", "apyfal-server", "", "body::tests::whatever_comes_in_is_refused_or_was_sent"),
    target(
        "disposition",
        "apyfal-server",
        "",
        "multipart::tests::any_head_is_that_of_a_part_or_refused",
    ),
    target(
        "query",
        "apyfal-server",
        "routes",
        "routes::query::tests::any_query_is_read_or_refused",
    ),
    target("id", "apyfal-agent", "", "session::tests::any_text_is_an_id_or_names_nothing"),
    target(
        "parameters",
        "apyfal-core",
        "",
        "job::tests::whatever_json_is_parameters_reads_back_equal",
    ),
    target(
        "location",
        "apyfal-storage",
        "",
        "location::tests::whatever_is_a_location_is_the_same_as_it_is_shown",
    ),
    target("authority", "apyfal-net", "", "authority::tests::any_name_is_one_or_refused"),
    target(
        "address",
        "apyfal-client",
        "remote",
        "remote::address::tests::any_text_is_an_address_or_refused",
    ),
    target(
        "answer",
        "apyfal-client",
        "remote",
        "remote::failure::tests::any_answer_is_a_refusal_that_can_be_told",
    ),
    target(
        "configuration",
        "apyfal-core",
        "config",
        "config::fuzz::any_bytes_are_a_configuration_or_refused",
    ),
    target(
        "literal",
        "apyfal-core",
        "config",
        "config::fuzz::any_text_is_a_literal_or_means_itself",
    ),
    target(
        "csv",
        "apyfal-engines",
        "hyperfire",
        "hyperfire::tests::any_bytes_are_a_corpus_or_refused",
    ),
    target("bmp", "apyfal-engines", "jpegenc", "jpegenc::tests::any_bytes_are_a_bitmap_or_refused"),
    target(
        "gzip",
        "apyfal-engines",
        "",
        "gunzip::tests::any_bytes_are_decompressed_as_others_do_or_refused",
    ),
    target("deflate", "apyfal-deflate", "", "tests::any_source_comes_back"),
    target(
        "inflate",
        "apyfal-deflate",
        "inflate",
        "inflate::tests::any_bytes_are_decompressed_as_zlib_does_or_refused",
    ),
    target("tar", "apyfal-engines", "targz", "targz::header::tests::any_name_comes_back"),
    target(
        "manifest",
        "apyfal-package",
        "manifest",
        "manifest::tests::any_text_is_a_manifest_or_refused",
    ),
    target(
        "archive",
        "apyfal-package",
        "archive",
        "archive::tests::any_archive_is_unpacked_inside_or_refused",
    ),
    target("minisign", "apyfal-package", "", "signature::tests::any_text_is_no_signature_of_ours"),
    target("catalog", "apyfal-catalog", "", "file::tests::any_text_is_a_catalog_or_refused"),
    target(
        "helper",
        "apyfal-devices",
        "helper",
        "helper::tests::any_line_is_a_question_and_an_answer_or_none",
    ),
];

/// Runs one target, or lists all of them.
pub(crate) fn run(name: Option<&str>, seconds: u64, target: &Path) -> Result {
    let Some(name) = name else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return Ok(());
    };
    let found = TARGETS.iter().find(|target| target.name == name);
    let found = found
        .ok_or_else(|| format!("there is no target '{name}': 'cargo xtask fuzz' lists them"))?;
    found.fuzz(seconds, target)
}

/// Runs all of them, one after the other, for so many seconds in all.
pub(crate) fn all(seconds: u64, target: &Path) -> Result {
    let each = (seconds / TARGETS.len() as u64).max(1);
    TARGETS.iter().try_for_each(|found| found.fuzz(each, target))
}

impl Target {
    /// Tries what is known, then what comes of it for so many seconds; keeps the least that reaches as
    /// much.
    fn fuzz(&self, seconds: u64, target: &Path) -> Result {
        let test = self.built(&target.join("fuzz"))?;
        let again = self.again(&test, &target.join("fuzz"))?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(self.package);
        let root = root.canonicalize()?;
        let beside = root.join("src").join(self.folder).join("__fuzz__");
        let beside = beside.join(self.test.replace("::", "__"));
        let (corpus, crashes) = (beside.join("corpus"), beside.join("crashes"));
        let grown = target.join("fuzz/corpus").join(self.name);
        for folder in [&corpus, &crashes, &grown] {
            fs::create_dir_all(folder)?;
        }
        let outcome = self.libfuzzer(
            (&test, &again),
            &root,
            &format!(
                "{} {} -max_total_time={seconds} -timeout=10 -print_final_stats=1 \
                 -artifact_prefix={}/",
                grown.display(),
                corpus.display(),
                crashes.display()
            ),
        );
        // What is empty is not worth a place in the tree.
        let _ = fs::remove_dir(&crashes);
        outcome?;
        let least = target.join("fuzz/least").join(self.name);
        let _ = fs::remove_dir_all(&least);
        fs::create_dir_all(&least)?;
        let merge = format!(
            "-set_cover_merge=1 -use_counters=0 {} {} {}",
            least.display(),
            corpus.display(),
            grown.display()
        );
        self.libfuzzer((&test, &again), &root, &merge)?;
        fs::remove_dir_all(&corpus)?;
        fs::create_dir_all(&corpus)?;
        for entry in fs::read_dir(&least)? {
            let entry = entry?;
            fs::copy(entry.path(), corpus.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// A program that runs this test and no other: libFuzzer starts itself again by its own name alone,
    /// and would run the first test of all.
    fn again(&self, test: &Path, folder: &Path) -> Result<PathBuf> {
        let path = folder.canonicalize()?.join(format!("{}.sh", self.name));
        let program = test.display();
        fs::write(
            &path,
            format!("#!/bin/sh\nexec '{program}' '{}' --exact --nocapture\n", self.test),
        )?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    fn libfuzzer(&self, (test, again): (&Path, &Path), root: &Path, words: &str) -> Result {
        run::shown(
            Command::new(test)
                .arg0(again)
                .args([self.test, "--exact", "--nocapture"])
                .current_dir(root)
                .env("BOLERO_LIBFUZZER_ARGS", words),
        )
    }

    /// Builds the tests of its package with all that they use, counting; returns the program.
    fn built(&self, folder: &Path) -> Result<PathBuf> {
        let host = run::said(Command::new("rustc").args(["--print", "host-tuple"]))?;
        // Those of all packages at once: alone, each would want what they share with other features,
        // and have it built once more.
        let packages = TARGETS.iter().flat_map(|target| ["--package", target.package]);
        let messages = run::said(
            run::cargo()
                .args(["test", "--locked", "--lib", "--no-run"])
                .args(packages)
                // Named, so that what is built for the build itself counts nothing.
                .args(["--message-format", "json-render-diagnostics", "--target", host.trim()])
                .arg("--target-dir")
                .arg(folder)
                .env("RUSTFLAGS", FLAGS)
                .env("CARGO_INCREMENTAL", "0"),
        )?;
        let name = self.package.replace('-', "_");
        let is_it = |message: &serde_json::Value| {
            message["target"]["name"] == name && message["profile"]["test"] == true
        };
        let mut messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
        let built = messages
            .find(is_it)
            .and_then(|built: serde_json::Value| built["executable"].as_str().map(PathBuf::from));
        built.ok_or_else(|| format!("cargo built no tests of {}", self.package).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a function of a test is in a file of this folder itself.
    fn holds(folder: &Path, test: &str) -> bool {
        let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(test)))
    }

    #[test]
    fn every_target_is_a_test_where_its_corpus_lies() {
        for Target { name, package, test, folder } in &TARGETS {
            let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
            let beside = crates.join(package).join("src").join(folder);
            let function = format!("fn {}()", test.rsplit("::").next().unwrap());
            assert!(holds(&beside, &function), "{name}: no {function} in {}", beside.display());
        }
    }
}
