//! A strict reader of comma-separated values as RFC 4180 has them.
//!
//! Forgiving readers take an unclosed quote to the end of the file, and with it all the lines that
//! follow; a corpus of which half is silently missing is worse than an error.

use std::borrow::Cow;

use apyfal_core::{Error, ErrorKind, Result};

/// One line, or several where a quoted field holds line ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The number of its first line, counted from 1.
    pub(super) line: usize,
    pub(super) fields: Vec<Cow<'a, [u8]>>,
}

/// The records of a file. A byte order mark and empty lines are passed over; lines end with LF or
/// CRLF. After an error there is nothing more.
#[derive(Debug)]
pub(super) struct Records<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text), line: 1 }
    }

    fn record(&mut self) -> Result<Record<'a>> {
        let mut record = Record { line: self.line, fields: Vec::with_capacity(2) };
        loop {
            let field = match self.rest.strip_prefix(b"\"") {
                Some(quoted) => self.quoted(quoted),
                None => self.unquoted(),
            };
            record.fields.push(field.map_err(|error| error.context("line", record.line))?);
            match self.rest.strip_prefix(b",") {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        self.skip_line_end();
        Ok(record)
    }

    /// A field up to its comma or line end, which stays.
    fn unquoted(&mut self) -> Result<Cow<'a, [u8]>> {
        let end = self.rest.iter().position(|byte| b",\n\"".contains(byte));
        let (field, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        match rest.first() {
            Some(b'"') => {
                return Err(invalid("a quote stands inside an unquoted column")
                    .hint("quote the whole column and double the quote: \"5\"\" disk\""));
            }
            Some(b'\n') if field.ends_with(b"\r") => {
                self.rest = &self.rest[field.len() - 1..];
                return Ok(Cow::Borrowed(&field[..field.len() - 1]));
            }
            _ => self.rest = rest,
        }
        Ok(Cow::Borrowed(field))
    }

    /// A field whose opening quote has been taken. Two quotes in it stand for one.
    fn quoted(&mut self, mut rest: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        let mut field: Cow<'a, [u8]> = Cow::Borrowed(&[]);
        loop {
            let Some(end) = rest.iter().position(|byte| *byte == b'"') else {
                return Err(invalid("a quote is never closed"));
            };
            let (part, after) = (&rest[..end], &rest[end + 1..]);
            self.line += part.iter().filter(|byte| **byte == b'\n').count();
            if field.is_empty() {
                field = Cow::Borrowed(part);
            } else {
                field.to_mut().extend_from_slice(part);
            }
            match after.strip_prefix(b"\"") {
                Some(after) => {
                    field.to_mut().push(b'"');
                    rest = after;
                }
                None => {
                    self.rest = after;
                    break;
                }
            }
        }
        if self.rest.is_empty() || self.rest.starts_with(b",") || self.at_line_end() {
            Ok(field)
        } else {
            Err(invalid("text follows a closing quote").hint("double a quote inside a column"))
        }
    }

    fn at_line_end(&self) -> bool {
        self.rest.starts_with(b"\n") || self.rest.starts_with(b"\r\n")
    }

    fn skip_line_end(&mut self) {
        if self.at_line_end() {
            let len = if self.rest[0] == b'\r' { 2 } else { 1 };
            self.rest = &self.rest[len..];
            self.line += 1;
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at_line_end() {
            self.skip_line_end();
        }
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_line_ends_and_empty_lines() {
        let text = b"\xEF\xBB\xBFa,b\r\n\r\n\n\"\"\"\",\"x\r\ny\"\"\"\r\n\"\",,\rc\nlast";
        let records: Vec<_> = Records::new(text)
            .map(|record| {
                let record = record.unwrap();
                let fields = record.fields.iter().map(|field| field.escape_ascii().to_string());
                (record.line, fields.collect::<Vec<_>>().join("|"))
            })
            .collect();
        assert_eq!(
            records,
            [
                (1, "a|b".to_owned()),
                (4, r#"\"|x\r\ny\""#.to_owned()),
                (6, r"||\rc".to_owned()),
                (7, "last".to_owned()),
            ]
        );
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut records = Records::new(b"a\"b\nc");
        assert!(records.next().is_some_and(|record| record.is_err()));
        assert!(records.next().is_none());
    }
}
