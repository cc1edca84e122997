//! What others wrote, as messages and logs show it: in one line of a bounded length.

use std::fmt::{self, Write};

/// How much of a name is shown, in bytes.
const NAME: usize = 120;

/// A name or a value that somebody wrote, as a message shows it.
///
/// ```
/// use apyfal_core::shorten;
/// assert_eq!(shorten("nbBytes"), "nbBytes");
/// assert_eq!(shorten("a\nhost: b"), "a\\nhost: b");
/// assert!(shorten("x".repeat(1 << 20)).len() < 200);
/// ```
pub fn shorten(name: impl fmt::Display) -> String {
    one_line(name, NAME)
}

/// A text in one line of about `limit` bytes at most. What would begin a new line, control a
/// terminal or change the order in which it shows is written as an escape.
pub fn one_line(text: impl fmt::Display, limit: usize) -> String {
    let mut line = Line { text: String::new(), limit };
    // It fails where there is more than is shown; what is left is not even looked at.
    let _ = write!(line, "{text}");
    line.text
}

struct Line {
    text: String,
    limit: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.text.len() >= self.limit {
                self.text.push('…');
                return Err(fmt::Error);
            }
            match is_unseen(c) {
                true => self.text.extend(c.escape_default()),
                false => self.text.push(c),
            }
        }
        Ok(())
    }
}

/// Whether a character does something else than to be seen. The last ones end a line or turn its
/// direction.
fn is_unseen(c: char) -> bool {
    c.is_control() && c != '\t'
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_line_or_controls_the_terminal() {
        let text = "é\tb\r\n\u{1b}[2J\u{85}\u{2028}\u{202e}\0";
        let shown = "é\tb\\r\\n\\u{1b}[2J\\u{85}\\u{2028}\\u{202e}\\u{0}";
        assert_eq!(one_line(text, 1000), shown);
    }

    #[test]
    fn what_is_too_long_is_cut_and_not_looked_at_further() {
        assert_eq!(one_line("é".repeat(50), 100), "é".repeat(50));
        assert_eq!(one_line("é".repeat(51), 100), "é".repeat(50) + "…");
        assert_eq!(one_line("", 0), "");
        assert!(one_line("\n".repeat(1000), 100).len() < 110);
        // Of values too: this one is never written out.
        let value = serde_json::json!(vec!["long"; 1000]);
        assert_eq!(one_line(value, 8), "[\"long\",…");
    }
}
