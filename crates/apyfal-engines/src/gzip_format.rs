//! The gzip file format of [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952): what stands around
//! the deflate data of a member.
//!
//! A gzip file is any number of members, one after the other; it decompresses to what its members
//! decompress to, one after the other. The end of a member shows only when it is decompressed. So
//! that members can be decompressed in parallel some writers tell a size in the header, in a
//! subfield of the extra field. These are known here:
//!
//! * `IG` of [pgzip](https://pypi.org/project/pgzip/): the whole member, 32 bits. Apyfal writes it.
//! * `MZ` of [MiGz](https://github.com/linkedin/migz) and mgzip: the deflate data, 32 bits.
//! * `BC` of BGZF ([SAM specification](https://samtools.github.io/hts-specs/SAMv1.pdf), 4.1): the
//!   whole member less one byte, 16 bits.

/// The first two bytes of every member.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes of CRC-32 and length behind the deflate data.
pub(crate) const TRAILER: usize = 8;

/// Bytes of a header without optional fields.
const FIXED: usize = 10;
const DEFLATE: u8 = 8;
const UNKNOWN_SYSTEM: u8 = 255;

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

const PGZIP: [u8; 2] = *b"IG";
const MIGZ: [u8; 2] = *b"MZ";
const BGZF: [u8; 2] = *b"BC";

/// Where a header that begins with the `IG` subfield has the member's size.
const SIZE_FIELD: std::ops::Range<usize> = 16..20;

/// How hard the writer tried, as the header tells it (XFL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Fastest = 4,
    Ordinary = 0,
    Most = 2,
}

/// A header to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewHeader<'a> {
    /// The original file's name, without a NUL.
    pub name: Option<&'a [u8]>,
    /// The original file's time of modification, in seconds since 1970; 0 is none.
    pub mtime: u32,
    pub effort: Effort,
    /// Whether the header has room for the member's size; see [`set_member_size`].
    pub sized: bool,
}

impl NewHeader<'_> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut flags = 0;
        if self.sized {
            flags |= FEXTRA;
        }
        if self.name.is_some() {
            flags |= FNAME;
        }
        let mut bytes = Vec::from(MAGIC);
        bytes.extend([DEFLATE, flags]);
        bytes.extend(self.mtime.to_le_bytes());
        bytes.extend([self.effort as u8, UNKNOWN_SYSTEM]);
        if self.sized {
            let value = [0; SIZE_FIELD.end - SIZE_FIELD.start];
            bytes.extend((4 + value.len() as u16).to_le_bytes());
            bytes.extend(PGZIP);
            bytes.extend((value.len() as u16).to_le_bytes());
            bytes.extend(value);
        }
        if let Some(name) = self.name {
            bytes.extend(name);
            bytes.push(0);
        }
        bytes
    }
}

/// Fills in the size of a whole member, which begins with a sized header.
pub(crate) fn set_member_size(member: &mut [u8], size: usize) {
    member[SIZE_FIELD].copy_from_slice(&(size as u32).to_le_bytes());
}

/// What stands behind the deflate data of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// CRC-32 of the decompressed data.
    pub crc: u32,
    /// Length of the decompressed data, modulo 2^32.
    pub len: u32,
}

impl Trailer {
    pub(crate) fn of(data: &[u8]) -> Self {
        Self { crc: libdeflater::crc32(data), len: data.len() as u32 }
    }

    pub(crate) fn to_bytes(self) -> [u8; TRAILER] {
        let [a, b, c, d] = self.crc.to_le_bytes();
        let [e, f, g, h] = self.len.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }

    pub(crate) fn from_bytes([a, b, c, d, e, f, g, h]: [u8; TRAILER]) -> Self {
        Self { crc: u32::from_le_bytes([a, b, c, d]), len: u32::from_le_bytes([e, f, g, h]) }
    }
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its length in bytes.
    pub len: usize,
    /// The length in bytes of the whole member, as the extra field claims.
    pub member_size: Option<usize>,
}

impl Header {
    /// Reads the header that `bytes` begins with; none if it goes on behind their end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        if !MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
            return Err("this is not gzip data");
        }
        let Some(&[_, _, method, flags, ..]) = bytes.first_chunk::<FIXED>() else {
            return Ok(None);
        };
        if method != DEFLATE {
            return Err("its compression method is not deflate");
        }
        if flags & RESERVED != 0 {
            return Err("its header has flags that no version of gzip knows");
        }
        let mut fields = Fields(&bytes[FIXED..]);
        let Some(claim) = fields.skip_optional(flags) else { return Ok(None) };
        let mut len = bytes.len() - fields.0.len();
        if flags & FHCRC != 0 {
            let Some(stored) = fields.u16() else { return Ok(None) };
            if stored != libdeflater::crc32(&bytes[..len]) as u16 {
                return Err("its header is corrupt: the header's checksum does not match");
            }
            len += size_of_val(&stored);
        }
        let member_size = claim.map(|claim| match claim {
            Claim::Member(size) => size as usize,
            Claim::Deflate(size) => len + size as usize + TRAILER,
        });
        Ok(Some(Self { len, member_size }))
    }
}

/// The size that an extra field tells.
enum Claim {
    /// That of the whole member.
    Member(u32),
    /// That of the deflate data in it.
    Deflate(u32),
}

/// The rest of a header. Every method takes a field off it, or answers none where it ends early.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn skip_text(&mut self) -> Option<()> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        self.take(end + 1).map(drop)
    }

    /// Takes extra field, name and comment, and answers the size that the first may tell.
    fn skip_optional(&mut self, flags: u8) -> Option<Option<Claim>> {
        let mut claim = None;
        if flags & FEXTRA != 0 {
            let len = self.u16()?;
            claim = Fields(self.take(len.into())?).claim();
        }
        if flags & FNAME != 0 {
            self.skip_text()?;
        }
        if flags & FCOMMENT != 0 {
            self.skip_text()?;
        }
        Some(claim)
    }

    /// Looks through the subfields of an extra field. One that is not made of subfields has none.
    fn claim(mut self) -> Option<Claim> {
        loop {
            let id: [u8; 2] = self.take(2)?.try_into().ok()?;
            let len = self.u16()?;
            match (id, self.take(len.into())?) {
                (PGZIP, &[a, b, c, d]) => {
                    return Some(Claim::Member(u32::from_le_bytes([a, b, c, d])));
                }
                (MIGZ, &[a, b, c, d]) => {
                    return Some(Claim::Deflate(u32::from_le_bytes([a, b, c, d])));
                }
                (BGZF, &[a, b]) => {
                    return Some(Claim::Member(u32::from(u16::from_le_bytes([a, b])) + 1));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: NewHeader<'_> =
        NewHeader { name: None, mtime: 0, effort: Effort::Ordinary, sized: false };

    #[test]
    fn what_is_written_is_read() {
        for name in [None, Some(&b""[..]), Some("säntis.txt".as_bytes()), Some(b"\xff")] {
            for sized in [false, true] {
                let mut bytes =
                    NewHeader { name, sized, mtime: 1 << 31, effort: Effort::Most }.to_bytes();
                let len = bytes.len();
                bytes.extend([0; 100]);
                if sized {
                    set_member_size(&mut bytes, len + 100);
                }
                let member_size = sized.then_some(len + 100);
                assert_eq!(Header::parse(&bytes), Ok(Some(Header { len, member_size })));
                for end in 0..len {
                    assert_eq!(Header::parse(&bytes[..end]), Ok(None), "of {end} bytes");
                }
            }
        }
    }

    #[test]
    fn every_optional_field_is_read() {
        let mut bytes = PLAIN.to_bytes();
        bytes[3] = FHCRC | FEXTRA | FNAME | FCOMMENT | 1;
        bytes.extend(*b"\x0a\x00xx\x00\x00BC\x02\x00\x10\x00name\0comment\0");
        let crc = libdeflater::crc32(&bytes) as u16;
        bytes.extend(crc.to_le_bytes());
        let header = Header { len: bytes.len(), member_size: Some(17) };
        assert_eq!(Header::parse(&bytes), Ok(Some(header)));
        for end in 0..bytes.len() {
            assert_eq!(Header::parse(&bytes[..end]), Ok(None), "of {end} bytes");
        }
        *bytes.last_mut().unwrap() ^= 1;
        assert!(Header::parse(&bytes).unwrap_err().contains("checksum"));
    }

    #[test]
    fn every_subfield_for_a_size_is_read() {
        for (extra, size) in [
            (&b"IG\x04\x00\x40\x42\x0f\x00"[..], 1_000_000),
            (b"MZ\x04\x00\x40\x42\x0f\x00", 10 + 2 + 8 + 1_000_000 + 8),
            (b"BC\x02\x00\xff\xff", 65_536),
        ] {
            let mut bytes = PLAIN.to_bytes();
            bytes[3] = FEXTRA;
            bytes.extend((extra.len() as u16).to_le_bytes());
            bytes.extend(extra);
            let header = Header { len: bytes.len(), member_size: Some(size) };
            assert_eq!(Header::parse(&bytes), Ok(Some(header)));
        }
    }

    #[test]
    fn an_extra_field_of_another_form_is_skipped() {
        for extra in [&b""[..], b"I", b"IG\x05\x00", b"IG\x02\x00\x01\x02", b"BC\x01\x00\x00"] {
            let mut bytes = PLAIN.to_bytes();
            bytes[3] = FEXTRA;
            bytes.extend((extra.len() as u16).to_le_bytes());
            bytes.extend(extra);
            let header = Header { len: bytes.len(), member_size: None };
            assert_eq!(Header::parse(&bytes), Ok(Some(header)));
        }
    }

    #[test]
    fn what_is_not_gzip_is_refused_at_once() {
        assert!(Header::parse(b"P").is_err());
        assert!(Header::parse(b"\x1f\x9d").is_err());
        for (at, value) in [(2, 7), (3, 0x20), (3, 0x80)] {
            let mut bytes = PLAIN.to_bytes();
            bytes[at] = value;
            assert!(Header::parse(&bytes).is_err());
        }
    }
}
