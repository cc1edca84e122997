//! Which bytes are word characters.

/// How many bytes are classified at once: one per bit of a mask.
pub(super) const LANES: usize = u64::BITS as usize;

/// The first byte, in UTF-8, of each letter from U+00C0 to U+00FF.
const LATIN1_LEAD: u8 = 0xC3;

/// The characters that words are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// `[A-Za-z0-9_]`
    Ascii,
    /// Those of `Ascii` and the letters U+00C0 to U+00FF in UTF-8. U+00D7 and U+00F7, the signs of
    /// multiplication and division, lie between the letters and are none.
    Latin1,
}

impl Charset {
    /// The charset that a user calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "ascii" => Some(Self::Ascii),
            "latin1" => Some(Self::Latin1),
            _ => None,
        }
    }

    /// How many bytes the word character at the start of `text` has; 0 where there is none.
    pub(super) fn first_len(self, text: &[u8]) -> usize {
        match *text {
            [byte, ..] if is_ascii_word(byte) => 1,
            [LATIN1_LEAD, byte, ..] if self == Self::Latin1 && is_latin1_trail(byte) => 2,
            _ => 0,
        }
    }

    /// How many bytes the word character at the end of `text` has; 0 where there is none.
    pub(super) fn last_len(self, text: &[u8]) -> usize {
        match *text {
            [.., byte] if is_ascii_word(byte) => 1,
            [.., LATIN1_LEAD, byte] if self == Self::Latin1 && is_latin1_trail(byte) => 2,
            _ => 0,
        }
    }

    /// Whether only the byte after `text` tells if its last byte belongs to a word character.
    pub(super) fn is_undecided(self, text: &[u8]) -> bool {
        self == Self::Latin1 && text.last() == Some(&LATIN1_LEAD)
    }
}

fn is_ascii_word(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26 || byte.wrapping_sub(b'0') < 10 || byte == b'_'
}

fn is_latin1_trail(byte: u8) -> bool {
    byte & 0xC0 == 0x80 && byte != 0x97 && byte != 0xB7
}

/// Classifies a text piece after piece, from its start to its end.
#[derive(Debug)]
pub(super) struct Classifier {
    charset: Charset,
    /// Whether the last byte of the piece before was [`LATIN1_LEAD`]: 0 or 1.
    after_lead: u64,
}

impl Classifier {
    pub(super) fn new(charset: Charset) -> Self {
        Self { charset, after_lead: 0 }
    }

    /// Bit `n` tells whether byte `n` of `piece` is (part of) a word character. `next` is the byte
    /// that follows the piece.
    pub(super) fn classify(&mut self, piece: &[u8; LANES], next: u8) -> u64 {
        let ascii = mask(piece, |byte| {
            ((byte | 0x20).wrapping_sub(b'a') < 26)
                | (byte.wrapping_sub(b'0') < 10)
                | (byte == b'_')
        });
        match self.charset {
            Charset::Ascii => ascii,
            Charset::Latin1 => ascii | self.letters(piece, next),
        }
    }

    /// The bytes of letters of two bytes. A lead byte is no trail byte, so letters never overlap.
    fn letters(&mut self, piece: &[u8; LANES], next: u8) -> u64 {
        let leads = mask(piece, |byte| byte == LATIN1_LEAD);
        let after_leads = leads << 1 | self.after_lead;
        self.after_lead = leads >> (LANES - 1);
        if leads | after_leads == 0 {
            return 0;
        }
        let trails = mask(piece, |byte| (byte & 0xC0 == 0x80) & (byte != 0x97) & (byte != 0xB7));
        let before_trails = trails >> 1 | u64::from(is_latin1_trail(next)) << (LANES - 1);
        leads & before_trails | trails & after_leads
    }
}

/// Bit `n` is the answer of `test` for byte `n`. Written so that the compiler turns the test into
/// vector instructions: it must have no branch.
#[inline(always)]
fn mask(piece: &[u8; LANES], test: impl Fn(u8) -> bool) -> u64 {
    // Multiplying by this moves the lowest bit of byte n to bit 56 + n, without carries.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let flags = piece.map(|byte| u8::from(test(byte)));
    let (groups, _) = flags.as_chunks::<8>();
    groups
        .iter()
        .rev()
        .fold(0, |mask, group| mask << 8 | u64::from_le_bytes(*group).wrapping_mul(GATHER) >> 56)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, byte by byte.
    fn is_word(charset: Charset, text: &[u8], at: usize) -> bool {
        let letter = |lead: usize| {
            text.get(lead) == Some(&0xC3)
                && text.get(lead + 1).is_some_and(|byte| {
                    let letter = 0xC0 + u32::from(byte.wrapping_sub(0x80));
                    (0x80..=0xBF).contains(byte)
                        && char::from_u32(letter).is_some_and(char::is_alphabetic)
                })
        };
        text[at].is_ascii_alphanumeric()
            || text[at] == b'_'
            || charset == Charset::Latin1 && (letter(at) || at > 0 && letter(at - 1))
    }

    #[test]
    fn every_pair_of_bytes_at_every_place_of_a_piece() {
        for charset in [Charset::Ascii, Charset::Latin1] {
            for pair in 0..=u16::MAX {
                // The pair crosses the edge of the two pieces.
                let mut text = [b' '; 2 * LANES];
                text[LANES - 1..=LANES].copy_from_slice(&pair.to_be_bytes());
                text[5..7].copy_from_slice(&pair.to_be_bytes());
                let mut classifier = Classifier::new(charset);
                let (pieces, _) = text.as_chunks::<LANES>();
                let masks = [
                    classifier.classify(&pieces[0], pieces[1][0]),
                    classifier.classify(&pieces[1], b' '),
                ];
                for at in 0..text.len() {
                    assert_eq!(
                        masks[at / LANES] >> (at % LANES) & 1 == 1,
                        is_word(charset, &text, at),
                        "{charset:?} {pair:#06x} at {at}"
                    );
                }
            }
        }
    }

    #[test]
    fn characters_at_both_ends() {
        for (charset, text, first, last) in [
            (Charset::Ascii, &b"a-"[..], 1, 0),
            (Charset::Ascii, "\u{e9}".as_bytes(), 0, 0),
            (Charset::Latin1, "\u{e9}".as_bytes(), 2, 2),
            (Charset::Latin1, "\u{d7}\u{f7}".as_bytes(), 0, 0),
            (Charset::Latin1, b"\xC3", 0, 0),
            (Charset::Latin1, b"", 0, 0),
        ] {
            assert_eq!(charset.first_len(text), first, "{text:?}");
            assert_eq!(charset.last_len(text), last, "{text:?}");
        }
        assert!(Charset::Latin1.is_undecided(b"a\xC3"));
        assert!(!Charset::Ascii.is_undecided(b"a\xC3"));
    }
}
