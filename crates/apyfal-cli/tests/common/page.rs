//! The examples of a page of the documentation, run as a reader would run them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Home, text};

/// One step of a reader.
#[derive(Debug)]
enum Step {
    /// An `ini` block: it is the configuration from here on.
    Configuration(String),
    /// A `python` block: a program of the reader's own, or what `python/tests/test_documents.py` runs.
    Program(String),
    /// A line of a `sh` block.
    Line(String),
}

/// What must hold after a line, whose standard output is given.
type Check<'a> = Box<dyn Fn(&str) + 'a>;

/// A page and what its examples need.
pub struct Page<'a> {
    name: String,
    steps: Vec<Step>,
    program: &'a str,
    skipped: Vec<&'a str>,
    replaced: Vec<(&'a str, String)>,
    variables: Vec<(&'a str, String)>,
    checks: BTreeMap<&'a str, Check<'a>>,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Checks that a page in `docs/reference/` is as it is made; writes it anew where the environment says so.
pub fn is_as_made(page: &str, content: &str) {
    let path = root().join("docs/reference").join(page);
    if std::env::var_os("APYFAL_UPDATE_DOCS").is_some() {
        std::fs::write(&path, content).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == content,
        "docs/reference/{page} is not what the program says; APYFAL_UPDATE_DOCS=1 writes it anew"
    );
}

/// Whether a page has anything to run.
pub fn has_examples(path: &Path) -> bool {
    !steps(&std::fs::read_to_string(path).expect("a page")).is_empty()
}

/// The lines of a page that a reader types, for who runs them elsewhere.
pub fn lines(name: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join(name)).expect("a page");
    let steps = steps(&page);
    steps.iter().filter_map(Step::line).map(str::to_owned).collect()
}

/// The programs in Python of a page, for who runs them elsewhere.
pub fn programs(name: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join(name)).expect("a page");
    let program = |step| match step {
        Step::Program(program) => Some(program),
        Step::Configuration(_) | Step::Line(_) => None,
    };
    steps(&page).into_iter().filter_map(program).collect()
}

impl<'a> Page<'a> {
    /// Reads a page, by its path in the repository.
    pub fn read(name: &str) -> Self {
        let path = root().join(name);
        let page = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::new(name, steps(&page))
    }

    /// Lines that stand elsewhere.
    pub fn of_lines<'l>(name: &str, lines: impl IntoIterator<Item = &'l str>) -> Self {
        let lines = lines.into_iter().map(|line| Step::Line(line.trim().to_owned()));
        Self::new(name, lines.collect())
    }

    fn new(name: &str, steps: Vec<Step>) -> Self {
        assert!(!steps.is_empty(), "{name} has no examples");
        Self {
            name: name.to_owned(),
            steps,
            program: "",
            skipped: Vec::new(),
            replaced: Vec::new(),
            variables: Vec::new(),
            checks: BTreeMap::new(),
        }
    }

    /// Leaves a line out.
    pub fn skip(mut self, line: &'a str) -> Self {
        self.skipped.push(line);
        self
    }

    /// What must hold after a line.
    pub fn check(mut self, line: &'a str, check: impl Fn(&str) + 'a) -> Self {
        self.checks.insert(line, Box::new(check));
        self
    }

    /// Puts something that is here in place of an address that is not.
    pub fn replace(mut self, address: &'a str, present: impl Into<String>) -> Self {
        self.replaced.push((address, present.into()));
        self
    }

    /// Sets a variable of the environment for all lines.
    pub fn env(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The file that the page's Python program is saved as.
    pub fn program(mut self, name: &'a str) -> Self {
        self.program = name;
        self
    }

    /// Runs everything from top to bottom; each line must succeed.
    pub fn run(self, home: &Home) {
        let lines: Vec<_> = self.steps.iter().filter_map(Step::line).collect();
        for line in self.skipped.iter().chain(self.checks.keys()) {
            assert!(lines.contains(line), "{} has no line '{line}' any more", self.name);
        }
        let mut kept = Vec::new();
        for step in &self.steps {
            match step {
                Step::Configuration(configuration) => {
                    home.write("accelerator.conf", self.present(configuration));
                    // Declarations are read as a whole, whether they are used or not.
                    let output = home.apyfal(&["accelerators"]).output().expect("apyfal runs");
                    self.check_output(configuration, &output);
                }
                Step::Program(_) if self.program.is_empty() => {}
                Step::Program(program) => {
                    home.write(self.program, program);
                }
                Step::Line(line) if self.skipped.contains(&line.as_str()) => {}
                Step::Line(line) => {
                    let said = self.run_line(home, &self.present(line), &mut kept);
                    if let Some(check) = self.checks.get(line.as_str()) {
                        check(&said);
                    }
                }
            }
        }
    }

    /// Runs a line, with the variables that earlier lines set. Its output, or what it set one to.
    fn run_line(&self, home: &Home, line: &str, kept: &mut Vec<(String, String)>) -> String {
        let set = line.split_once("=$(").map(|(name, _)| name);
        let shown = set.map(|name| format!("{line} && printf %s \"${name}\""));
        let binary = Path::new(env!("CARGO_BIN_EXE_apyfal"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = binary.parent().map(Path::to_owned).into_iter();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path)));
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c", shown.as_deref().unwrap_or(line)])
            .current_dir(home.folder())
            .env_clear()
            .env("PATH", path.expect("a search path"))
            .env("HOME", home.folder())
            .env("TMPDIR", home.folder())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(kept.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("bash runs");
        self.check_output(line, &output);
        let said = text(&output.stdout);
        if let Some(name) = set {
            kept.push((name.to_owned(), said.clone()));
        }
        said
    }

    /// That an example succeeded, without a warning.
    fn check_output(&self, example: &str, output: &Output) {
        let said = text(&output.stderr);
        assert!(output.status.success(), "{}: {example}\n{said}", self.name);
        let is_warning = |line: &&str| line.contains("warning:");
        assert_eq!(said.lines().find(is_warning), None, "{}: {example}", self.name);
    }

    fn present(&self, text: &str) -> String {
        let replace =
            |text: String, (address, present): &(&str, String)| text.replace(address, present);
        self.replaced.iter().fold(text.to_owned(), replace)
    }
}

impl Step {
    fn line(&self) -> Option<&str> {
        match self {
            Self::Line(line) => Some(line),
            Self::Configuration(_) | Self::Program(_) => None,
        }
    }
}

/// The fenced blocks of a page in their order.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
        let block: Vec<_> = block.collect();
        match language {
            "ini" => steps.push(Step::Configuration(block.join("\n"))),
            "python" => steps.push(Step::Program(block.join("\n"))),
            "sh" => steps.extend(block.into_iter().filter_map(command).map(Step::Line)),
            _ => {}
        }
    }
    steps
}

/// A line without its comment.
fn command(line: &str) -> Option<String> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    (!line.is_empty() && !line.starts_with('#')).then(|| line.to_owned())
}
