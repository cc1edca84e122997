//! The pages in `docs/reference/` that are made from the program itself.
//!
//! `APYFAL_UPDATE_DOCS=1 cargo test -p apyfal-cli --test reference` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use apyfal_core::config::schema::{Form, SECTIONS};
use common::Home;
use common::page::{is_as_made, root};

fn stored(page: &str) -> String {
    std::fs::read_to_string(root().join("docs/reference").join(page)).unwrap()
}

#[test]
fn command_line() {
    let home = Home::new();
    let mut page = String::from("# Command line\n\nMade from the program's own help.\n");
    for command in [
        "",
        "run",
        "map",
        "accelerators",
        "create",
        "start",
        "process",
        "stop",
        "list",
        "serve",
        "logs",
        "host add",
        "host list",
        "host remove",
        "host install",
        "host status",
        "host extend",
        "host uninstall",
        "user-data",
        "devices",
        "requirements",
        "catalog",
        "catalog serve",
        "catalog validate",
        "catalog account add",
        "catalog account list",
        "catalog account remove",
        "copy",
        "init",
        "pack",
        "install",
        "uninstall",
        "clear",
        "completions",
    ] {
        let words: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let title = format!("apyfal {command}");
        page += &format!("\n## {}\n\n```text\n{}\n```\n", title.trim(), home.ok(&words).trim_end());
    }
    is_as_made("command-line.md", &page);
}

#[test]
fn accelerators() {
    let home = Home::new();
    let mut page = format!(
        "# Accelerators\n\nMade from what the engines publish.\n\n```text\n{}\n```\n",
        home.ok(&["accelerators"]).trim_end()
    );
    let all: serde_json::Value =
        serde_json::from_str(&home.ok(&["accelerators", "--json"])).unwrap();
    for accelerator in all.as_array().unwrap() {
        let name = accelerator["name"].as_str().unwrap();
        let text = home.ok(&["accelerators", name]);
        page += &format!("\n## {name}\n\n```text\n{}\n```\n", text.trim_end());
    }
    is_as_made("accelerators.md", &page);
}

/// The page up to its first table is written by hand.
#[test]
fn configuration() {
    let stored = stored("configuration.md");
    let by_hand = stored.split("\n### ").next().unwrap_or_default();
    let mut page = format!("{}\n", by_hand.trim_end());
    for section in SECTIONS {
        let name = section.name;
        page += &format!("\n### {name}\n\n`[{name}]`");
        for subsection in section.subsections.split(" or ").filter(|name| !name.is_empty()) {
            page += &format!(", `[{name}.{subsection}]`");
        }
        page +=
            &format!(": {}.\n\n| key | kind | meaning |\n| --- | --- | --- |\n", section.meaning);
        for key in section.keys {
            let kind = match key.form {
                Form::Text => "text",
                Form::Bool => "yes or no",
                Form::Literal => "literal",
                Form::Lines => "lines",
            };
            page += &format!("| `{}` | {kind} | {} |\n", key.name, key.meaning);
        }
        if section.open {
            page += "| any other | literal | a parameter of the accelerator |\n";
        }
    }
    is_as_made("configuration.md", &page);
}

#[test]
fn every_key_of_a_manifest_is_documented() {
    let page = stored("package.md");
    let rows: String = page.lines().filter(|line| line.starts_with('|')).collect();
    for key in apyfal::package::Manifest::keys() {
        assert!(rows.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn exit_codes_are_documented() {
    let page = stored("exit-codes.md");
    for kind in apyfal::ErrorKind::ALL {
        assert!(page.contains(&format!("| {kind} |")), "{kind}");
    }
}
