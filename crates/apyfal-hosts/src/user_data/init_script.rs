//! The user's own script within user data: what is one, how it gets to the machine, and how it runs
//! there.

use apyfal_core::{Error, ErrorKind, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::END;

/// Where it is on the machine: where programs may run, however `/var` is mounted.
const PLACE: &str = "/etc/apyfal/init_script";

/// What cloud-init and its like take instead of a script, by its first word.
const OTHER_FORMS: [&str; 14] = [
    "#cloud-boothook",
    "#cloud-config",
    "#cloud-config-archive",
    "#cloud-config-jsonp",
    "#include",
    "#include-once",
    "#part-handler",
    "#ps1",
    "#ps1_sysnative",
    "#upstart-job",
    "<powershell>",
    "<script>",
    "content-type:",
    "mime-version:",
];

/// What begins with these bytes is no text.
const BINARY: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "gzip data"),
    (b"\x7fELF", "a program, and"),
    (b"PK\x03\x04", "a zip file, and"),
    (b"\xff\xfe", "UTF-16 text, and"),
];

/// The lines of user data that run a script, as the machine would run it by itself: by the program
/// on its first line, else by bash. None for a script without a word.
///
/// # Errors
/// It is no script, or its first line cannot work.
pub(super) fn lines(script: &[u8]) -> Result<String> {
    // What some editors begin a file with would hide its first line.
    let script = script.strip_prefix("\u{feff}".as_bytes()).unwrap_or(script);
    if script.trim_ascii().is_empty() {
        return Ok(String::new());
    }
    let bash = match script.strip_prefix(b"#!") {
        Some(rest) => {
            check_shebang(rest)?;
            ""
        }
        None => {
            check_form(script)?;
            "bash "
        }
    };
    let put = put(script);
    Ok(format!(
        "\n{put}chmod 700 {PLACE}\n(\n    umask \"$UMASK\"\n    exec {bash}{PLACE} </dev/null\n) || \
         fail \"init_script ended with status $?\"\n"
    ))
}

/// Checks the first line of a script behind its `#!`.
fn check_shebang(rest: &[u8]) -> Result<()> {
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Err(refused("its lines end as those of Windows, so no program is found for it")
            .hint("convert it: sed -i 's/\\r$//'"));
    }
    if !line.trim_ascii_start().starts_with(b"/") {
        return Err(refused("its first line names no program by its whole path")
            .hint("such as #!/bin/bash or #!/usr/bin/env python3"));
    }
    Ok(())
}

/// Checks that what has no `#!` is a script for bash.
fn check_form(script: &[u8]) -> Result<()> {
    if let Some((_, what)) = BINARY.iter().find(|(magic, _)| script.starts_with(magic)) {
        return Err(refused(format!("it is {what} no script")));
    }
    let text = String::from_utf8_lossy(script);
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let is_template = first == "##" && words.next() == Some("template:");
    let is_json = first.starts_with("{\"");
    if is_template || is_json || OTHER_FORMS.contains(&first.to_ascii_lowercase().as_str()) {
        let what = if is_template { "## template:" } else { first };
        return Err(refused(format!("what begins with '{what}' is no script"))
            .hint("a script begins with the program that runs it, such as #!/bin/bash"));
    }
    if script.contains(&0) {
        return Err(refused("it is no text"));
    }
    Ok(())
}

/// The lines that write it to its place.
fn put(script: &[u8]) -> String {
    match str::from_utf8(script) {
        Ok(text) if !text.contains('\0') && text.lines().all(|line| line != END) => {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            format!("put {PLACE} <<'{END}'\n{text}{end}{END}\n")
        }
        _ => {
            let text = STANDARD.encode(script);
            format!("put {PLACE} < <(base64 -d <<'{END}'\n{text}\n{END}\n)\n")
        }
    }
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, why).operation("write init_script into user data")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    /// Runs the lines as user data does, with another place for the script: what it wrote, and
    /// whether all went well.
    fn run(script: &[u8]) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("script");
        let lines = lines(script).unwrap().replace(PLACE, place.to_str().unwrap());
        let before = "set -u\nUMASK=0027\numask 077\nput() { cat >\"$1\"; }\n\
                      fail() { echo \"failed: $*\"; exit 1; }\n";
        let path = folder.path().join("user-data");
        fs::write(&path, format!("{before}{lines}")).unwrap();
        let output = Command::new("bash").arg(path).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.success())
    }

    #[test]
    fn a_script_is_run_by_the_program_that_it_names() {
        for (script, said) in [
            ("#!/bin/sh\necho $0 | grep -c script\n", "1\n"),
            ("#!/usr/bin/env -S bash -e\n[[ $- == *e* ]] && echo option\n", "option\n"),
            ("#!/bin/bash -eu\nset -o | grep nounset\n", "nounset        \ton\n"),
            ("#!/usr/bin/python3 -u\nprint('python')", "python\n"),
            ("#!/usr/bin/awk -f\nBEGIN { print \"awk\" }\n", "awk\n"),
            // Without such a line it is for bash, which minds no variable that is not set.
            ("echo \"${BASH_VERSION:+bash}$1\"\n", "bash\n"),
            ("\u{feff}#!/bin/sh\necho marked\n", "marked\n"),
            ("# a comment\n{ echo group; }\n", "group\n"),
            ("umask\ncat\n", "0027\n"),
            (&format!("cat <<{END}\ninner\n{END}\n"), "inner\n"),
            (" \n\n", ""),
        ] {
            assert_eq!(run(script.as_bytes()).0, said, "{script}");
        }
        assert_eq!(run(b"#!/bin/bash\nprintf '%s' '\xe9' | od -An -tx1\n").0, " e9\n");
        assert_eq!(run(b"exit 3").0, "failed: init_script ended with status 3\n");
        assert!(!run(b"exit 3").1 && run(b"exit 0").1);
    }

    #[test]
    fn what_is_no_script_is_refused_by_name() {
        for (script, why) in [
            (&b"#cloud-config\npackages: [jq]\n"[..], "'#cloud-config'"),
            (b"\n #Cloud-Config\n", "'#Cloud-Config'"),
            (b"#cloud-boothook\n#!/bin/sh\n", "'#cloud-boothook'"),
            (b"#include-once\nhttps://example.org/\n", "'#include-once'"),
            (b"## template: jinja\n#!/bin/sh\n", "'## template:'"),
            (b"Content-Type: multipart/mixed; boundary=x\n", "'Content-Type:'"),
            (b"<powershell>\n", "'<powershell>'"),
            (b"{\"ignition\": {}}", "'{\"ignition\":'"),
            (b"\x1f\x8b\x08\0", "gzip data"),
            (b"\x7fELF\x02", "a program"),
            (b"\xff\xfee\0c\0", "UTF-16"),
            (b"echo\0", "no text"),
            (b"#!/bin/bash\r\necho\r\n", "Windows"),
            (b"#!\necho\n", "no program"),
            (b"#!python3\n", "no program"),
        ] {
            let error = lines(script).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.message().contains(why), "{error}");
        }
        // What only looks like it is a comment.
        assert!(lines(b"# cloud-config is not needed\n").is_ok());
        assert!(lines(b"#includes nothing\n").is_ok());
    }
}
