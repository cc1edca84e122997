//! Forms (`multipart/form-data`) as they come in.
//!
//! What a form says does not depend on the pieces in which it comes: a bound counts the bytes that
//! it is about, and not what else has come in by then.
//!
//! Source: RFC 7578; RFC 2046, section 5.1.1.

use apyfal_core::{Error, ErrorKind, Result};
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use memchr::memmem;

use crate::{coding, parameters};

/// How many bytes the headers of a part may have, from the boundary before them to the empty line
/// behind them. What stands before the first boundary may be as long.
const HEAD: usize = 64 << 10;
/// How many headers a part may have.
const HEADERS: usize = 32;
/// Longer boundaries than those of RFC 2046 are taken, but not of any length.
const BOUNDARY: usize = 256;

/// A form under way.
pub(crate) struct Form<S> {
    pieces: S,
    /// What has come in and was not handed on.
    held: Bytes,
    /// What stands before each part and behind the last one.
    delimiter: Vec<u8>,
    place: Position,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    BeforeFirst,
    Content,
    BehindDelimiter,
    BehindLast,
}

/// What the head of a part says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: Option<String>,
    pub(crate) filename: Option<String>,
}

impl<S: Stream<Item = Result<Bytes>> + Unpin> Form<S> {
    /// A form of this `Content-Type`.
    ///
    /// # Errors
    /// The type names no boundary.
    pub(crate) fn new(content_type: &str, pieces: S) -> Result<Self> {
        let [boundary] = parameters::of(content_type, ["boundary"]);
        let boundary = boundary.filter(|boundary| (1..=BOUNDARY).contains(&boundary.len()));
        let boundary = boundary.ok_or_else(|| wrong("its type names no boundary"))?;
        Ok(Self {
            pieces,
            // The line that a delimiter ends may also be none, before the first byte.
            held: Bytes::from_static(b"\r\n"),
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            place: Position::BeforeFirst,
        })
    }

    /// The head of the next part; none behind the last one. What was not read of the part before it
    /// is passed over.
    ///
    /// # Errors
    /// It is no such form, it breaks off, or a head is too long.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>> {
        match self.place {
            Position::BehindLast => return Ok(None),
            Position::BehindDelimiter => {}
            Position::Content => while self.chunk().await?.is_some() {},
            Position::BeforeFirst => {
                let delimiter = self.delimiter.clone();
                let at = self.find(&delimiter).await?;
                self.held.advance(at + delimiter.len());
            }
        }
        self.place = Position::BehindDelimiter;
        while self.held.len() < 2 {
            self.more().await?;
        }
        if self.held.starts_with(b"--") {
            self.place = Position::BehindLast;
            return Ok(None);
        }
        let begin = self.line_end().await?;
        let end = self.find(b"\r\n\r\n").await? + 4;
        let head = self.held.split_to(end);
        self.place = Position::Content;
        part(&head[begin + 2..])
    }

    /// The next bytes of the part; none at its end.
    ///
    /// # Errors
    /// The form breaks off.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        while self.place == Position::Content {
            let content = match memmem::find(&self.held, &self.delimiter) {
                Some(at) => {
                    let content = self.held.split_to(at);
                    self.held.advance(self.delimiter.len());
                    self.place = Position::BehindDelimiter;
                    content
                }
                None => self.held.split_to(self.held.len() - self.begun()),
            };
            if !content.is_empty() {
                return Ok(Some(content));
            }
            if self.place == Position::Content {
                self.more().await?;
            }
        }
        Ok(None)
    }

    /// What comes behind the form, and whatever was not read of it.
    pub(crate) fn into_rest(self) -> S {
        self.pieces
    }

    /// How many bytes at the end of what is held may be the beginning of a delimiter.
    fn begun(&self) -> usize {
        let longest = self.held.len().min(self.delimiter.len() - 1);
        let is_begin = |len: &usize| self.held.ends_with(&self.delimiter[..*len]);
        (1..=longest).rev().find(is_begin).unwrap_or(0)
    }

    /// Where the line of the delimiter ends, which has nothing but blanks.
    async fn line_end(&mut self) -> Result<usize> {
        let mut at = 0;
        loop {
            while matches!(self.held.get(at), Some(b' ' | b'\t')) {
                at += 1;
            }
            match &self.held[at..] {
                _ if at >= HEAD => return Err(too_long()),
                [b'\r', b'\n', ..] => return Ok(at),
                [] | [b'\r'] => self.more().await?,
                _ => return Err(wrong("a boundary has something behind it")),
            }
        }
    }

    /// Where these bytes are, whose end is within the bound on a head.
    async fn find(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut from = 0;
        loop {
            match memmem::find(&self.held[from..], bytes).map(|at| from + at) {
                Some(at) if at + bytes.len() <= HEAD => return Ok(at),
                None if self.held.len() < HEAD => {}
                _ => return Err(too_long()),
            }
            from = (self.held.len() + 1).saturating_sub(bytes.len());
            self.more().await?;
        }
    }

    /// Waits for another piece.
    async fn more(&mut self) -> Result<()> {
        let Some(piece) = self.pieces.next().await else {
            return Err(wrong("it ends before its last boundary"));
        };
        let (held, piece) = (std::mem::take(&mut self.held), piece?);
        self.held = match held.is_empty() {
            true => piece,
            false => {
                let mut held = held.try_into_mut().unwrap_or_else(|held| BytesMut::from(&*held));
                held.extend_from_slice(&piece);
                held.freeze()
            }
        };
        Ok(())
    }
}

fn part(head: &[u8]) -> Result<Option<Part>> {
    let none = || wrong("the headers of a part are none");
    let mut parsed = [httparse::EMPTY_HEADER; HEADERS];
    let parsed = match httparse::parse_headers(head, &mut parsed) {
        Ok(httparse::Status::Complete((_, parsed))) => parsed,
        Ok(httparse::Status::Partial) => return Err(none()),
        Err(error) => return Err(wrong(&format!("the headers of a part are none: {error}"))),
    };
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| none())?;
        headers.append(name, HeaderValue::from_bytes(header.value).map_err(|_| none())?);
    }
    coding::check_part(&headers)?;
    let disposition = headers.get(CONTENT_DISPOSITION);
    let disposition = disposition.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let [name, filename] = parameters::of(&disposition.unwrap_or_default(), ["name", "filename"]);
    Ok(Some(Part { name, filename }))
}

fn too_long() -> Error {
    wrong(&format!("the headers of a part have more than {HEAD} bytes"))
}

fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("its multipart form is wrong: {why}"))
        .operation("read the request")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use futures::stream;

    use super::*;

    const KIND: &str = "multipart/form-data; boundary=bound";

    /// All that a form says, which comes in pieces of these lengths again and again.
    fn read(form: &[u8], lengths: &[usize]) -> String {
        let mut rest = Bytes::copy_from_slice(form);
        let mut pieces = Vec::new();
        for len in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            pieces.push(Ok(rest.split_to((*len).min(rest.len()))));
        }
        let mut form = Form::new(KIND, stream::iter(pieces)).unwrap();
        let mut said = String::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(async {
            while let Some(part) = form.next().await? {
                let mut content = Vec::new();
                while let Some(chunk) = form.chunk().await? {
                    assert!(!chunk.is_empty());
                    content.extend_from_slice(&chunk);
                }
                let digest = ring::digest::digest(&ring::digest::SHA256, &content);
                let _ = writeln!(said, "{part:?}: {} {digest:?}", content.len());
            }
            Ok::<_, Error>(())
        });
        said + &outcome.err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// Numbers that are the same in each run.
    fn random(seed: u64) -> impl FnMut(usize) -> usize {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % below
        }
    }

    /// What a form says, which is the same in whatever pieces it comes.
    fn said(form: &[u8]) -> String {
        let whole = read(form, &[form.len().max(1)]);
        for lengths in [&[1][..], &[2], &[3, 1], &[4096], &[128 << 10], &[1, 100_000]] {
            assert_eq!(read(form, lengths), whole, "{lengths:?}");
        }
        for seed in 0..16 {
            let mut random = random(seed);
            let most = 1 << (1 + random(18));
            let lengths: Vec<_> = (0..64).map(|_| 1 + random(most)).collect();
            assert_eq!(read(form, &lengths), whole, "seed {seed}");
        }
        whole
    }

    fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut form = Vec::new();
        for (head, content) in parts {
            form.extend([b"--bound\r\n", head.as_bytes(), b"\r\n\r\n", content, b"\r\n"].concat());
        }
        form.extend(b"--bound--\r\n");
        form
    }

    const NAMED: &str = "Content-Disposition: form-data; name=\"a\"";

    #[test]
    fn a_form_says_the_same_in_whatever_pieces_it_comes() {
        let lookalike = b"\r\n--boun\r\n\r\r\n--boun--bound\r\n-\r\n--\r\n".repeat(30);
        let mut random = random(7);
        let noise: Vec<u8> = (0..150_000).map(|_| b"\r\n-bound"[random(8)]).collect();
        assert!(memmem::find(&noise, b"\r\n--bound").is_none(), "it is data alone");
        let good = form(&[(NAMED, b""), ("x: y", &lookalike), (NAMED, &noise), ("", b"z")]);
        let told = said(&good);
        assert_eq!(told.lines().count(), 4, "{told}");
        assert!(told.starts_with("Part { name: Some(\"a\"), filename: None }: 0 "), "{told}");
        let around = [b"before\r\n", &good[..], b"behind --bound\r\n"].concat();
        assert_eq!(said(&around), told);
        let padded = form(&[("", b"one"), (NAMED, b"two")]);
        let told = said(&padded);
        assert_eq!(said(&padded.replace(b"--bound\r\n", b"--bound \t \r\n")), told);
    }

    trait Replace {
        fn replace(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
    }

    impl Replace for Vec<u8> {
        fn replace(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
            let (mut replaced, mut rest) = (Vec::new(), &self[..]);
            while let Some(at) = memmem::find(rest, from) {
                replaced.extend([&rest[..at], to].concat());
                rest = &rest[at + from.len()..];
            }
            [replaced, rest.to_vec()].concat()
        }
    }

    #[test]
    fn what_is_no_form_is_refused_the_same_way_in_whatever_pieces_it_comes() {
        let whole = form(&[(NAMED, b"one"), (NAMED, b"two")]);
        for len in 0..whole.len() - 4 {
            assert!(said(&whole[..len]).ends_with("before its last boundary"), "{len}");
        }
        for (wrong, why) in [
            (&b"--bound\r\nno header\r\n\r\n"[..], "the headers of a part are none"),
            (b"--boundary\r\n\r\n", "something behind it"),
            (b"--bound\n\n", "something behind it"),
            (b"--bound  x\r\n\r\n", "something behind it"),
            (b"--bound\rx", "something behind it"),
        ] {
            let told = said(wrong);
            assert!(told.contains(why), "{told}");
        }
        let many = (0..33).map(|number| format!("x{number}: y\r\n")).collect::<String>();
        assert!(said(&form(&[(many.trim_end(), b"")])).contains("too many headers"));
    }

    #[test]
    fn the_bound_on_a_head_is_the_same_in_whatever_pieces_it_comes() {
        let data = vec![b'd'; 150_000];
        // The ends of the lines count: one of the delimiter, and two behind the header.
        let head = |len: usize| format!("{NAMED}\r\nx: {}", "y".repeat(len - NAMED.len() - 11));
        for before in [&b""[..], &data] {
            let of = |len| said(&form(&[(NAMED, before), (&head(len), b"content")]));
            assert_eq!(of(HEAD).lines().count(), 2, "{}", of(HEAD));
            assert!(of(HEAD + 1).ends_with("more than 65536 bytes"), "{}", of(HEAD + 1));
        }
        // The delimiter counts where something stands before it, and the line that is none.
        let first = |len: usize| {
            let before = vec![b'p'; len - b"\r\n\r\n--bound".len()];
            said(&[&before, &b"\r\n"[..], &form(&[(NAMED, b"content")])].concat())
        };
        assert_eq!(first(HEAD).lines().count(), 1, "{}", first(HEAD));
        assert!(first(HEAD + 1).ends_with("more than 65536 bytes"));
        let padded = |len| [b"--bound", &vec![b' '; len][..], b"\r\n\r\n\r\n--bound--"].concat();
        assert_eq!(said(&padded(HEAD - 4)).lines().count(), 1);
        assert!(said(&padded(HEAD - 3)).ends_with("more than 65536 bytes"));
        assert!(said(&[b"--bound", &vec![b' '; HEAD][..], b"x"].concat()).ends_with("bytes"));
        assert!(said(&padded(2 * HEAD)).ends_with("more than 65536 bytes"));
        let endless = [b"--bound\r\nx: ", &data[..]].concat();
        assert!(said(&endless).ends_with("more than 65536 bytes"));
    }

    #[test]
    fn any_head_is_that_of_a_part_or_refused() {
        bolero::check!().with_iterations(2_000).with_max_len(512).for_each(|bytes: &[u8]| {
            let head = [bytes, b"\r\n\r\n"].concat();
            if let Ok(Some(Part { name, filename })) = part(&head) {
                let head = String::from_utf8_lossy(&head);
                for found in [name, filename].into_iter().flatten() {
                    // What is quoted has its escapes taken away, and nothing is added.
                    assert!(found.chars().all(|c| head.contains(c)), "{found:?}");
                    assert!(found.len() <= head.len(), "{found:?}");
                }
            }
        });
    }
}
