//! The same job as plain software does it: byte by byte, one look into a hash map per word.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use apyfal_core::Result;

use super::charset::Charset;
use super::corpus::Corpus;

/// Copies `reader` to `writer` with the words of `corpus` replaced.
///
/// # Errors
/// Reading or writing failed.
pub(super) fn replace(
    corpus: &Corpus,
    charset: Charset,
    reader: impl Read,
    writer: impl Write,
) -> Result<()> {
    let words: HashMap<&[u8], &[u8]> = corpus
        .pairs()
        .iter()
        .map(|pair| (corpus.get(pair.word), corpus.get(pair.replacement)))
        .collect();
    let longest = words.keys().map(|word| word.len()).max().unwrap_or(0);
    let mut reader = BufReader::new(reader);
    let mut writer = BufWriter::new(writer);
    let mut word = Vec::new();
    let mut is_too_long = false;
    while let Some(byte) = next(&mut reader)? {
        let mut character = [byte, 0];
        let mut len = charset.first_len(&[byte]);
        if charset.is_undecided(&[byte])
            && let Some(trail) = reader.fill_buf()?.first()
        {
            character[1] = *trail;
            len = charset.first_len(&character);
        }
        if len == 2 {
            reader.consume(1);
        }
        if len > 0 {
            word.extend_from_slice(&character[..len]);
            is_too_long |= word.len() > longest;
            if is_too_long {
                writer.write_all(&word)?;
                word.clear();
            }
            continue;
        }
        end_word(&words, &mut word, &mut writer)?;
        is_too_long = false;
        writer.write_all(&[byte])?;
    }
    end_word(&words, &mut word, &mut writer)?;
    Ok(writer.flush()?)
}

fn next(reader: &mut impl BufRead) -> Result<Option<u8>> {
    let byte = reader.fill_buf()?.first().copied();
    if byte.is_some() {
        reader.consume(1);
    }
    Ok(byte)
}

fn end_word(
    words: &HashMap<&[u8], &[u8]>,
    word: &mut Vec<u8>,
    writer: &mut impl Write,
) -> Result<()> {
    writer.write_all(words.get(word.as_slice()).copied().unwrap_or(word))?;
    word.clear();
    Ok(())
}
