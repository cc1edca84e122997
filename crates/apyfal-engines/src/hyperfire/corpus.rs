//! The corpus: the words to find and what to put in their place, read from CSV and checked.

use std::borrow::Cow;
use std::ops::Range;

use apyfal_core::{Error, ErrorKind, Result};

use super::charset::Charset;
use super::csv;
use super::output::STRIDE;

/// Offsets into the corpus have 32 bits.
const MAX_LEN: usize = u32::MAX as usize;

/// A part of [`Corpus::bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// A word and its replacement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) word: Span,
    pub(super) replacement: Span,
    /// The line of the CSV file on which it begins, counted from 1.
    line: u32,
}

/// Checked words, each once, with their replacements.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    bytes: Vec<u8>,
    pairs: Vec<Pair>,
}

/// What words must keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) charset: Charset,
    /// The longest word allowed, in bytes.
    pub(super) max_word: usize,
}

impl Corpus {
    /// Reads lines of `word,replacement`, quoted as in RFC 4180.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] names the line and what is wrong with it.
    pub(super) fn read(text: &[u8], rules: Rules) -> Result<Self> {
        if text.len() > MAX_LEN {
            return Err(Error::new(ErrorKind::InvalidData, "it is larger than 4 GiB"));
        }
        let mut corpus = Self::default();
        for record in csv::Records::new(text) {
            let record = record?;
            let line = record.line;
            corpus.push(&record, rules).map_err(|error| error.context("line", line))?;
        }
        corpus.bytes.resize(corpus.bytes.len() + STRIDE, 0);
        Ok(corpus)
    }

    /// All words and replacements, and what must follow them for [`Output::push`].
    ///
    /// [`Output::push`]: super::output::Output::push
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All pairs, in the order of the file.
    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The bytes of a word or replacement.
    pub(super) fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.range()]
    }

    /// How many times longer than itself a text may become, at most and rounded up.
    pub(super) fn expansion(&self) -> usize {
        let longer = |pair: &Pair| pair.replacement.len.div_ceil(pair.word.len) as usize;
        self.pairs.iter().map(longer).max().unwrap_or(1).max(1)
    }

    fn push(&mut self, record: &csv::Record<'_>, rules: Rules) -> Result<()> {
        let [word, replacement] = record.fields.as_slice() else {
            let count = record.fields.len();
            let s = if count == 1 { "" } else { "s" };
            return Err(invalid(format!("{count} column{s} instead of 2"))
                .hint("a line is word,replacement; quote what holds a comma: word,\"a, b\""));
        };
        check_word(word, rules)?;
        if rules.charset == Charset::Latin1 && std::str::from_utf8(replacement).is_err() {
            return Err(invalid(format!("the replacement '{}' is not UTF-8", show(replacement)))
                .hint("write the corpus as UTF-8"));
        }
        let pair = Pair {
            word: self.store(word),
            replacement: self.store(replacement),
            line: record.line as u32,
        };
        self.pairs.push(pair);
        Ok(())
    }

    fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span { start, len: bytes.len() as u32 }
    }

    /// That the word of `pair` is on an earlier line too.
    pub(super) fn repeated(&self, pair: &Pair) -> Error {
        let word = self.get(pair.word);
        let first = self.pairs.iter().find(|first| self.get(first.word) == word).unwrap_or(pair);
        invalid(format!("'{}' is already on line {}", show(word), first.line))
            .context("line", pair.line)
    }
}

fn check_word(word: &[u8], Rules { charset, max_word }: Rules) -> Result<()> {
    if word.is_empty() {
        return Err(invalid("the word is empty"));
    }
    let mut at = 0;
    while at < word.len() {
        match charset.first_len(&word[at..]) {
            0 => return Err(not_a_word(word, at, charset)),
            len => at += len,
        }
    }
    if word.len() > max_word {
        let len = word.len();
        return Err(invalid(format!("'{}' has {len} bytes, over {max_word}", show(word)))
            .hint(format!("raise the limit with max_word={len}")));
    }
    Ok(())
}

fn not_a_word(word: &[u8], at: usize, charset: Charset) -> Error {
    let rest = String::from_utf8_lossy(&word[at..]);
    let error = match rest.chars().next() {
        Some(character) if character != char::REPLACEMENT_CHARACTER => {
            invalid(format!("'{}' is not a word: {character:?} is no word character", show(word)))
        }
        _ => invalid(format!("'{}' is not UTF-8", show(word))),
    };
    match charset {
        Charset::Ascii => error.hint(
            "words are made of A-Z, a-z, 0-9 and _; charset=latin1 adds the letters U+00C0 to \
             U+00FF",
        ),
        Charset::Latin1 => error
            .hint("words are made of A-Z, a-z, 0-9, _ and the letters U+00C0 to U+00FF in UTF-8"),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}

/// A field for a message: as text, and not too long.
fn show(field: &[u8]) -> Cow<'_, str> {
    const MAX: usize = 60;
    let text = String::from_utf8_lossy(field);
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASCII: Rules = Rules { charset: Charset::Ascii, max_word: 36 };
    const LATIN1: Rules = Rules { charset: Charset::Latin1, max_word: 36 };

    fn pairs(text: &[u8], rules: Rules) -> Vec<(String, String)> {
        let corpus = Corpus::read(text, rules).unwrap();
        let text = |span| String::from_utf8(corpus.get(span).to_vec()).unwrap();
        corpus.pairs().iter().map(|pair| (text(pair.word), text(pair.replacement))).collect()
    }

    fn error(text: &[u8], rules: Rules) -> String {
        let error = Corpus::read(text, rules).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        error.to_string()
    }

    #[test]
    fn words_and_replacements_are_taken_as_they_are() {
        assert_eq!(
            pairs(b"\xEF\xBB\xBFone,1\r\n\r\n_2,\"a, \"\"b\"\"\nc\"\nthree, \\1&\nfour,", ASCII),
            [("one", "1"), ("_2", "a, \"b\"\nc"), ("three", " \\1&"), ("four", "")]
                .map(|(word, replacement)| (word.to_owned(), replacement.to_owned()))
        );
        assert_eq!(pairs("é,É×".as_bytes(), LATIN1), [("é".to_owned(), "É×".to_owned())]);
        assert!(pairs(b"", ASCII).is_empty());
    }

    #[test]
    fn bad_lines_are_refused_with_their_number() {
        let long = format!("{},x", "w".repeat(37));
        for (text, rules, message) in [
            (&b"a,b\nc\n"[..], ASCII, "1 column instead of 2 (line 2)"),
            (b"a,b,c", ASCII, "3 columns instead of 2 (line 1)"),
            (b"a,b\n\n,c", ASCII, "the word is empty (line 3)"),
            (b"a b,c", ASCII, "'a b' is not a word: ' ' is no word character (line 1)"),
            ("é,e".as_bytes(), ASCII, "'é' is not a word: 'é' is no word character (line 1)"),
            ("a×,e".as_bytes(), LATIN1, "'a×' is not a word: '×' is no word character (line 1)"),
            (b"caf\xE9,x", LATIN1, "'caf\u{FFFD}' is not UTF-8 (line 1)"),
            (b"a,caf\xE9", LATIN1, "the replacement 'caf\u{FFFD}' is not UTF-8 (line 1)"),
            (
                long.as_bytes(),
                ASCII,
                "'wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww' has 37 bytes, over 36 (line 1)",
            ),
            (b"a,b\nc,\"d\ne,f\n", ASCII, "a quote is never closed (line 2)"),
            (b"a,\"b\"c", ASCII, "text follows a closing quote (line 1)"),
            (b"a,b\"c", ASCII, "a quote stands inside an unquoted column (line 1)"),
        ] {
            assert_eq!(error(text, rules), message);
        }
    }

    #[test]
    fn the_longest_word_is_the_users_choice() {
        let text = format!("{},x", "w".repeat(1000));
        let rules = Rules { max_word: 1000, ..ASCII };
        assert_eq!(pairs(text.as_bytes(), rules).len(), 1);
        let error = Corpus::read(text.as_bytes(), ASCII).unwrap_err();
        assert_eq!(error.hints(), ["raise the limit with max_word=1000"]);
        assert!(error.to_string().len() < 120, "{error}");
    }
}
