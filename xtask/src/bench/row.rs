//! The table: one row for ours and one peer on a number of cores.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::case::{Case, Unit};
use super::check::Quality;

/// What is wanted of ours beside a peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// At least so many times as fast: in time of processors on one core, in time on two.
    Speed(f64),
    /// At most so many times the memory.
    Memory(f64),
}

impl Goal {
    /// The goal, and whether these ratios reach it.
    pub(super) fn verdict(self, speed: f64, memory: Option<f64>) -> Option<String> {
        let (wanted, is_reached) = match self {
            Self::Speed(wanted) => (number(wanted), speed >= wanted),
            Self::Memory(wanted) => (format!("memory {}", number(wanted)), memory? <= wanted),
        };
        Some(format!("{wanted}: {}", if is_reached { "reached" } else { "not yet" }))
    }
}

/// What was measured of one program.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// Of every run, in units per second.
    pub(super) rates: Vec<f64>,
    /// The same for each second that processors worked.
    pub(super) cpu_rates: Vec<f64>,
    /// In bytes, the most of all runs. What is below [`least_memory`] cannot be seen.
    pub(super) peak_memory: u64,
    pub(super) quality: Quality,
}

/// Ours beside one peer. A side that could not be measured says why.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: &'static str,
    pub(super) unit: Unit,
    pub(super) cores: usize,
    pub(super) peer: &'static str,
    pub(super) goals: Vec<Goal>,
    pub(super) ours: Result<Side, String>,
    pub(super) theirs: Result<Side, String>,
}

impl Row {
    /// A case of which nothing could be measured.
    pub(super) fn impossible(case: &Case, why: String) -> Self {
        Self {
            case: case.name,
            unit: case.unit,
            cores: 1,
            peer: "",
            goals: Vec::new(),
            ours: Err(why.clone()),
            theirs: Err(why),
        }
    }

    /// Whether ours failed or the two disagree. A peer that is missing is no fault.
    pub(super) fn is_wrong(&self) -> bool {
        self.ours.is_err() || self.theirs.as_ref().is_err_and(|why| why.starts_with("WRONG"))
    }

    /// The median of the ratios of runs that followed one another, so that a machine that has
    /// other work too slows both down.
    fn ratio(&self, rates: fn(&Side) -> &[f64]) -> Option<f64> {
        let (ours, theirs) = (self.ours.as_ref().ok()?, self.theirs.as_ref().ok()?);
        Some(median(rates(ours).iter().zip(rates(theirs)).map(|(ours, theirs)| ours / theirs)))
    }

    fn time_ratio(&self) -> Option<f64> {
        self.ratio(|side| &side.rates)
    }

    fn cpu_ratio(&self) -> Option<f64> {
        self.ratio(|side| &side.cpu_rates)
    }

    /// The goals, and which are reached.
    fn verdicts(&self) -> String {
        let speed = if self.cores == 1 { self.cpu_ratio() } else { self.time_ratio() };
        let (Some(speed), Ok(ours), Ok(theirs)) = (speed, &self.ours, &self.theirs) else {
            return String::new();
        };
        let memory = ours.peak_memory as f64 / theirs.peak_memory as f64;
        let verdicts = self.goals.iter().filter_map(|goal| goal.verdict(speed, Some(memory)));
        verdicts.collect::<Vec<_>>().join("; ")
    }

    fn note(&self) -> String {
        match (&self.ours, &self.theirs) {
            (Err(why), _) => format!("ours: {why}"),
            (_, Err(why)) => why.clone(),
            _ => "checked".to_owned(),
        }
    }
}

/// Prints the table.
pub(super) fn print(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "job", "cores", "peer", "ratio", "CPU", "goal", "ours", "peer", "", "result", "peer",
        "MB RAM", "peer", "",
    ]);
    for row in rows {
        let cells = |side: &Result<Side, String>| match side {
            Ok(side) => [
                number(median(side.rates.iter().copied())),
                side.quality.to_string(),
                memory(side.peak_memory),
            ],
            Err(_) => [const { String::new() }; 3],
        };
        let ([rate, quality, ram], [their_rate, their_quality, their_ram]) =
            (cells(&row.ours), cells(&row.theirs));
        table.add_row([
            row.case.to_owned(),
            row.cores.to_string(),
            row.peer.replace('|', r"\|"),
            row.time_ratio().map(number).unwrap_or_default(),
            row.cpu_ratio().map(number).unwrap_or_default(),
            row.verdicts(),
            rate,
            their_rate,
            row.unit.speed().to_owned(),
            quality,
            their_quality,
            ram,
            their_ram,
            row.note(),
        ]);
    }
    for column in [3, 4, 6, 7, 9, 10, 11, 12] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
}

/// All rows as JSON. A side that could not be measured is null.
pub(super) fn to_json(rows: &[Row]) -> Value {
    let side = |side: &Result<Side, String>| {
        let side = side.as_ref().ok()?;
        let mut json = json!({
            "rates": side.rates,
            "cpu_rates": side.cpu_rates,
            "peak_memory": side.peak_memory,
        });
        match side.quality {
            Quality::None => {}
            Quality::Ratio(ratio) => json["ratio"] = json!(ratio),
            Quality::Picture { psnr, bytes } => {
                json["psnr"] = json!(psnr);
                json["bytes"] = json!(bytes);
            }
        }
        Some(json)
    };
    rows.iter()
        .map(|row| {
            json!({
                "job": row.case,
                "cores": row.cores,
                "peer": row.peer,
                "unit": row.unit.speed(),
                "ratio": row.time_ratio(),
                "cpu_ratio": row.cpu_ratio(),
                "goal": row.verdicts(),
                "ours": side(&row.ours),
                "theirs": side(&row.theirs),
                "note": row.note(),
            })
        })
        .collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (lower, upper) = ((values.len() - 1) / 2, values.len() / 2);
    (values[lower] + values[upper]) / 2.0
}

fn memory(bytes: u64) -> String {
    let least = least_memory();
    match bytes <= least {
        true => format!("<{}", number(least as f64 / 1e6)),
        false => number(bytes as f64 / 1e6),
    }
}

/// A program is said to have had as much memory as the one that started it: this one.
fn least_memory() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        })
        .map_or(0, |kibibytes| kibibytes * 1024)
}

/// Three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
