//! The one place that writes to standard output and standard error.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apyfal::{Error, ErrorKind, Report, Result, standard};
use apyfal_core::one_line;
use serde_json::Value;

/// Prints results on standard output and everything else on standard error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printer {
    quiet: bool,
    json: bool,
    has_told_unread: Arc<AtomicBool>,
}

impl Printer {
    pub(crate) fn new(quiet: bool, json: bool) -> Self {
        Self { quiet, json, ..Self::default() }
    }

    /// Whether a progress bar may be drawn.
    pub(crate) fn draws(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether results are to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// A result, on standard output.
    pub(crate) fn result(&self, text: &str) -> Result<()> {
        standard::check_output()?;
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.write_all(b"\n"))
            .and_then(|()| stdout.flush())
            .map_err(|error| Error::from(error).operation("write to standard output"))
    }

    /// Help or the version, as clap has it, on standard output.
    pub(crate) fn help(&self, text: &clap::Error) -> Result<()> {
        standard::check_output()?;
        text.print()
            .and_then(|()| io::stdout().flush())
            .map_err(|error| Error::from(error).operation("write to standard output"))
    }

    /// A line that tells what happened, on standard error.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.aside(text);
        }
    }

    /// A line on what may not be as it is meant to be.
    pub(crate) fn warning(&self, text: impl fmt::Display) {
        self.note(&format!("apyfal: warning: {text}"));
    }

    /// Warnings that another engine did what one failed to do, and of parameters that nobody read, where that is so.
    pub(crate) fn warnings(&self, report: &Report) {
        if let Some(note) = report.engine_note() {
            self.warning(note);
        }
        if let Some(note) = report.parameters_note() {
            self.unread(note);
        }
    }

    /// A warning of parameters that nobody read. Once: all calls of a command have them.
    pub(crate) fn unread(&self, note: &str) {
        if !self.has_told_unread.swap(true, Ordering::Relaxed) {
            self.warning(note);
        }
    }

    /// A result that was asked for, on standard error.
    fn result_aside(&self, text: &str) -> Result<()> {
        standard::check_error()?;
        writeln!(io::stderr(), "{text}")
            .map_err(|error| Error::from(error).operation("write to standard error"))
    }

    /// A line on standard error, even where only results are wanted.
    fn aside(&self, text: &str) {
        // Nothing can be done about a standard error that is closed.
        let _ = writeln!(io::stderr(), "{}", harmless(text));
    }

    /// A command line that cannot be parsed.
    pub(crate) fn usage(&self, error: &clap::Error) {
        if self.json {
            let text = error.render().to_string();
            let text = text.trim_start_matches("error: ").trim_end();
            self.error(&Error::new(ErrorKind::Usage, text));
        } else {
            let _ = error.print();
        }
    }

    /// An error: one line, and one more per hint.
    pub(crate) fn error(&self, error: &Error) {
        let mut stderr = io::stderr().lock();
        if self.json {
            let _ = writeln!(stderr, "{}", error_json(error));
            return;
        }
        let _ = writeln!(stderr, "apyfal: {}", harmless(&error.to_string()));
        for hint in error.hints() {
            let _ = writeln!(stderr, "  hint: {}", harmless(hint));
        }
        if error.kind() == ErrorKind::Internal {
            let _ = writeln!(stderr, "  this is a defect of apyfal; please report it");
        }
    }

    /// What a job told: its result on standard output, its figures on standard error. Where the
    /// job's data went to standard output, nothing else goes there.
    pub(crate) fn report(&self, report: &Report, data_on_stdout: bool) -> Result<()> {
        self.warnings(report);
        if self.json {
            let text = format!("{:#}", report.to_json());
            return if data_on_stdout { self.result_aside(&text) } else { self.result(&text) };
        }
        for (key, value) in &report.specific {
            let line = format!("{key}: {}", plain(value));
            if data_on_stdout {
                self.aside(&line);
            } else {
                self.result(&line)?;
            }
        }
        self.note(&figures(report));
        for note in report.destination_note().into_iter().chain(no_comparison(report)) {
            self.note(note);
        }
        Ok(())
    }
}

/// An error as JSON.
pub(crate) fn error_json(error: &Error) -> Value {
    serde_json::json!({"error": error_members(error)})
}

/// What programs read of an error.
pub(crate) fn error_members(error: &Error) -> Value {
    let mut members = serde_json::json!({
        "kind": error.kind().as_str(),
        "message": error.to_string(),
        "hints": error.hints(),
    });
    if !error.details().is_empty() {
        members["details"] = serde_json::json!(error.details());
    }
    members
}

/// A text that may come from anywhere, without what would control the terminal.
pub(crate) fn harmless(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| one_line(line, usize::MAX)).collect();
    lines.join("\n")
}

/// Why there is no comparison, where one was asked for.
pub(crate) fn no_comparison(report: &Report) -> Option<&str> {
    report.app.get("sw-comparison-note").and_then(Value::as_str)
}

/// A value without the quotes of JSON.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `gzip: 104.9 MB -> 29.8 MB (3.52x) in 0.31 s, 338.4 MB/s, 17.2x plain software`
fn figures(report: &Report) -> String {
    let profiling = &report.profiling;
    let (read, written) = (profiling.bytes_read, profiling.bytes_written);
    let mut line = format!("{}: ", report.accelerator);
    match (read, written) {
        (0, written) => line += &bytes(written as f64),
        (read, 0) => line += &bytes(read as f64),
        (read, written) => {
            line += &format!("{} -> {}", bytes(read as f64), bytes(written as f64));
            if written < read {
                line += &format!(" ({:.2}x)", read as f64 / written as f64);
            }
        }
    }
    let moved = read.max(written) as f64;
    line += &format!(" in {}", seconds(profiling.seconds));
    if profiling.seconds > 0.0 && moved > 0.0 {
        line += &format!(", {}/s", bytes(moved / profiling.seconds));
    }
    if let Some(comparison) = &report.comparison {
        line += &format!(", {:.2}x plain software", comparison.factor);
    }
    line
}

/// A number of bytes in decimal units: `104.9 MB`.
pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut count = count;
    let mut unit = 0;
    while count >= 999.95 && unit + 1 < UNITS.len() {
        count /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count:.0} B") } else { format!("{count:.1} {}", UNITS[unit]) }
}

pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.2} s"),
        s => whole_seconds(s.round() as u64),
    }
}

/// Seconds; from two minutes on minutes, hours or days, and the next smaller unit where there is any
/// of it.
pub(crate) fn whole_seconds(seconds: u64) -> String {
    let (unit, name, smaller, smaller_name) = match seconds {
        0..120 => return format!("{seconds} s"),
        120..3600 => (60, "min", 1, "s"),
        3600..172_800 => (3600, "h", 60, "min"),
        _ => (86_400, "d", 3600, "h"),
    };
    match (seconds / unit, seconds % unit / smaller) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, rest) => format!("{whole} {name} {rest:02} {smaller_name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cannot_control_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\tc\n"), "a\\u{1b}[2Jb\tc\n");
    }

    #[test]
    fn amounts_read_well() {
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(999_960.0), "1.0 MB");
        assert_eq!(bytes(104_857_600.0), "104.9 MB");
        assert_eq!(seconds(0.000_25), "250 us");
        assert_eq!(seconds(0.25), "250.0 ms");
        assert_eq!(seconds(605.0), "10 min 05 s");
        assert_eq!(seconds(1799.6), "30 min");
        assert_eq!(seconds(45_000.0), "12 h 30 min");
        assert_eq!(seconds(266_400.0), "3 d 02 h");
    }
}
