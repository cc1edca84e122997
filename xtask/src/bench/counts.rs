//! `cargo xtask bench --counts`: what every job costs in figures that any machine gives again.

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::Bench;
use super::case::{Case, Line, Unit};
use super::row::{Goal, number};
use crate::counter::{Counter, INSTRUCTIONS, SYSTEM_CALLS};

/// Ours beside one peer. What could not be counted says why.
pub(super) struct Counted {
    case: &'static str,
    peer: &'static str,
    what: &'static str,
    goals: Vec<Goal>,
    ours: Result<f64, String>,
    theirs: Result<f64, String>,
}

impl Counted {
    /// Whether ours failed.
    pub(super) fn is_wrong(&self) -> bool {
        self.ours.is_err()
    }

    /// How many times as much the peer's is: above 1 ours is less.
    fn ratio(&self) -> Option<f64> {
        Some(self.theirs.as_ref().ok()? / self.ours.as_ref().ok()?)
    }

    fn note(&self) -> String {
        match (&self.ours, &self.theirs) {
            (Err(why), _) => format!("ours: {why}"),
            (_, Err(why)) => why.clone(),
            _ => String::new(),
        }
    }
}

/// Counts ours beside every peer on one core. Peers with other sources are left out: they would take hours.
pub(super) fn rows(case: &Case, bench: &Bench) -> Result<Vec<Counted>> {
    let peers: Vec<_> =
        case.peers.iter().filter(|peer| peer.src.is_none() && peer.cores.contains(&1)).collect();
    if peers.is_empty() && bench.against.is_none() || case.make_source(bench)?.is_some() {
        return Ok(Vec::new());
    }
    // What starts is counted as a whole, and also in what is the system's work.
    let whats: &[(&'static str, Option<&Counter>, f64)] = match case.unit {
        Unit::Megabytes => &[("instructions for a byte", Some(&INSTRUCTIONS), 1e6)],
        Unit::Files => &[("instructions for a file", Some(&INSTRUCTIONS), 1.0)],
        Unit::Starts => &[
            ("instructions", Some(&INSTRUCTIONS), 0.0),
            ("page faults", None, 0.0),
            ("calls of the system", Some(&SYSTEM_CALLS), 0.0),
        ],
    };
    let count =
        |line: Line<'_>, counter: Option<&Counter>, per: f64| -> Result<Result<f64, String>> {
            let runner = case.runner(bench, line, 1);
            let amount = if per > 0.0 { case.amount(line.src)? * per } else { 1.0 };
            let count = match counter {
                Some(counter) => runner.count(counter, bench),
                None => runner.page_faults(bench),
            };
            Ok(count.map(|count| count / amount))
        };
    let mut rows = Vec::new();
    for (what, counter, per) in whats {
        bench.say(&format!("{}, {what}", case.name));
        let ours = count(case.ours(bench), *counter, *per)?;
        let mut row = |peer, goals, theirs| {
            let (case, ours) = (case.name, ours.clone());
            rows.push(Counted { case, peer, what, goals, ours, theirs });
        };
        if let Some(other) = &bench.against {
            let line = Line { apyfal: other, ..case.ours(bench) };
            row("the other build", Vec::new(), count(line, *counter, *per)?);
            continue;
        }
        for peer in &peers {
            let is_goal = case.unit == Unit::Starts && *what == "instructions";
            let goals = if is_goal { peer.goals(1) } else { Vec::new() };
            row(peer.name, goals, count(peer.line(case, bench), *counter, *per)?);
        }
    }
    Ok(rows)
}

/// Prints the table.
pub(super) fn print(rows: &[Counted]) {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_MARKDOWN)
        .set_header(["job", "what", "ours", "peer", "theirs", "ratio", "goal", ""]);
    for row in rows {
        let cell = |count: &Result<f64, String>| {
            count.as_ref().map_or_else(|_| String::new(), |count| number(*count))
        };
        let verdicts = row.goals.iter().filter_map(|goal| goal.verdict(row.ratio()?, None));
        table.add_row([
            row.case.to_owned(),
            row.what.to_owned(),
            cell(&row.ours),
            row.peer.replace('|', r"\|"),
            cell(&row.theirs),
            row.ratio().map(number).unwrap_or_default(),
            verdicts.collect::<Vec<_>>().join("; "),
            row.note(),
        ]);
    }
    for column in [2, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
}

/// All rows as JSON. What could not be counted is null.
pub(super) fn to_json(rows: &[Counted]) -> Value {
    rows.iter()
        .map(|row| {
            json!({
                "job": row.case,
                "what": row.what,
                "peer": row.peer,
                "ours": row.ours.as_ref().ok(),
                "theirs": row.theirs.as_ref().ok(),
                "ratio": row.ratio(),
                "note": row.note(),
            })
        })
        .collect()
}
