//! String and bytes literals: prefixes, quotes, escapes.

use std::fmt::{self, Write};

use super::Literal;

/// One string literal at the start of `text`, and what follows it.
///
/// `Some(None)`: there is no string here. `None`: there is one, but it is wrong.
pub(super) fn piece(text: &str) -> Option<Option<(Literal, &str)>> {
    let Some(start) = text.bytes().take(3).position(|byte| matches!(byte, b'\'' | b'"')) else {
        return Some(None);
    };
    let (prefix, body) = text.split_at(start);
    let (bytes, raw) = match prefix.to_ascii_lowercase().as_str() {
        "" | "u" => (false, false),
        "r" => (false, true),
        "b" => (true, false),
        "br" | "rb" => (true, true),
        _ => return Some(None),
    };
    let quote = &body[..1];
    let triple = body.starts_with(&quote.repeat(3));
    let quote = if triple { &body[..3] } else { quote };
    let body = &body[quote.len()..];
    let end = closing(body, quote, triple)?;
    let (content, rest) = (&body[..end], &body[end + quote.len()..]);
    if bytes && !content.is_ascii() {
        return None;
    }
    let literal = match (bytes, raw) {
        (false, true) => Literal::Str(content.to_owned()),
        (true, true) => Literal::Bytes(content.as_bytes().to_vec()),
        (false, false) => Literal::Str(unescape(content)?),
        (true, false) => Literal::Bytes(unescape_bytes(content)?),
    };
    Some(Some((literal, rest)))
}

/// Where the closing quote is. A backslash protects one, in raw strings too.
fn closing(body: &str, quote: &str, triple: bool) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = body[at..].find(['\\', '\n', '\'', '"']) {
        at += found;
        match body.as_bytes()[at] {
            b'\\' => at += 1 + body[at + 1..].chars().next()?.len_utf8(),
            b'\n' if !triple => return None,
            _ if body[at..].starts_with(quote) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// An escape sequence.
enum Escape {
    /// A code point, or the value of a byte.
    Code(u32),
    /// The end of a line, which counts as nothing.
    Nothing,
    /// None that Python knows: the backslash stays.
    Unknown,
}

/// Takes an escape sequence off `rest`, which starts behind the backslash.
fn escape(rest: &mut &str, bytes: bool) -> Option<Escape> {
    let first = rest.chars().next()?;
    let digits = match first {
        '0'..='7' => {
            let count =
                rest.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let code = u32::from_str_radix(&rest[..count], 8).ok()?;
            *rest = &rest[count..];
            return Some(Escape::Code(code));
        }
        'x' => 2,
        'u' if !bytes => 4,
        'U' if !bytes => 8,
        'N' if !bytes => return None,
        _ => {
            let code = match first {
                '\n' => {
                    *rest = &rest[1..];
                    return Some(Escape::Nothing);
                }
                '\\' | '\'' | '"' => first as u32,
                'a' => 0x07,
                'b' => 0x08,
                'f' => 0x0c,
                'n' => 0x0a,
                'r' => 0x0d,
                't' => 0x09,
                'v' => 0x0b,
                _ => return Some(Escape::Unknown),
            };
            *rest = &rest[1..];
            return Some(Escape::Code(code));
        }
    };
    let hex = rest.get(1..1 + digits)?;
    *rest = &rest[1 + digits..];
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(hex, 16).ok().map(Escape::Code)
}

fn unescape(content: &str) -> Option<String> {
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    while let Some((head, tail)) = rest.split_once('\\') {
        out.push_str(head);
        rest = tail;
        match escape(&mut rest, false)? {
            Escape::Code(code) => out.push(char::from_u32(code)?),
            Escape::Nothing => {}
            Escape::Unknown => out.push('\\'),
        }
    }
    out.push_str(rest);
    Some(out)
}

fn unescape_bytes(content: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some((head, tail)) = rest.split_once('\\') {
        out.extend(head.as_bytes());
        rest = tail;
        match escape(&mut rest, true)? {
            // Python keeps the low eight bits of an octal escape.
            Escape::Code(code) => out.push(code.to_le_bytes()[0]),
            Escape::Nothing => {}
            Escape::Unknown => out.push(b'\\'),
        }
    }
    out.extend(rest.as_bytes());
    Some(out)
}

pub(super) fn write_str(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("'")?;
    for c in text.chars() {
        match c {
            '\'' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            c if c.is_control() => write!(f, "\\x{:02x}", c as u32)?,
            c => f.write_char(c)?,
        }
    }
    f.write_str("'")
}

pub(super) fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    write!(f, "b'{}'", bytes.escape_ascii())
}
