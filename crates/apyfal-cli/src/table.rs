//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

use crate::printer::harmless;

/// How wide text is at most, in characters.
pub(crate) const WIDTH: usize = 100;

/// A table without lines.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH as u16)
        .set_header(header);
    for row in rows {
        table.add_row(row.iter().map(|cell| harmless(cell)));
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
