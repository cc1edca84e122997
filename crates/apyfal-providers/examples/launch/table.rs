//! What was measured, as a table.

use comfy_table::{CellAlignment, Table, presets};

use super::Spent;

/// Both sides, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) ours: Spent,
    pub(crate) theirs: Spent,
    /// How many calls each of them made.
    pub(crate) calls: usize,
}

/// What was measured of one thing.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) pairs: Vec<Pair>,
}

/// Medians, and the medians of the ratios of pairs: above 1 we are faster.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "what",
        "calls",
        "ours, ms",
        "boto3, ms",
        "ratio",
        "ours, CPU ms",
        "boto3, CPU ms",
        "CPU ratio",
    ]);
    for Row { name, pairs } in rows {
        let calls = pairs.first().map_or(0, |pair| pair.calls);
        let mut cells = vec![name.clone(), calls.to_string()];
        let wall: fn(&Spent) -> f64 = |spent| spent.wall;
        for of in [wall, |spent| spent.processor] {
            let ms = |side: fn(&Pair) -> &Spent| median(pairs, |pair| of(side(pair)) * 1e3);
            let ratio = median(pairs, |pair| of(&pair.theirs) / of(&pair.ours));
            cells.extend(
                [ms(|pair| &pair.ours), ms(|pair| &pair.theirs)].map(|ms| format!("{ms:.1}")),
            );
            cells.push(format!("{ratio:.1}"));
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn median(pairs: &[Pair], of: impl Fn(&Pair) -> f64) -> f64 {
    let mut values: Vec<_> = pairs.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
