//! Images that a device is loaded with, and how they are told from one another.
//!
//! The name by which a device reports its image is in the image itself: a container of XRT has its
//! UUID in its header (`struct axlf` of XRT's `xclbin.h`), a bitstream of OPAE that of its
//! accelerator in the JSON after its GUID (`METADATA_GUID` of opae-sdk's `bitstream.c`).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::Kind;

/// Where the header of an `xclbin` has its UUID.
const XCLBIN_UUID: u64 = 416;
const XCLBIN_MAGIC: &[u8] = b"xclbin2\0";
/// How a bitstream of OPAE begins, which is also the bytes of its format's GUID.
const GBS_MAGIC: &[u8] = b"XeonFPGA\xb7GBSv001";
/// The JSON of a bitstream is refused beyond this many bytes.
const GBS_LIMIT: usize = 1 << 20;

/// An image, checked as far as that is possible without a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    kind: Kind,
    id: String,
    file: Option<PathBuf>,
}

impl Image {
    /// One that AWS keeps: `agfi-` and 17 digits.
    ///
    /// # Errors
    /// It is no such name.
    pub fn agfi(name: &str) -> Result<Self> {
        let digits = name.strip_prefix("agfi-").unwrap_or_default();
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 17 || !digits.bytes().all(is_digit) {
            return Err(Error::new(ErrorKind::Configuration, format!("'{name}' is no AGFI"))
                .hint("it is 'agfi-' and 17 digits from 0 to 9 and a to f"));
        }
        Ok(Self { kind: Kind::AwsF2, id: name.to_owned(), file: None })
    }

    /// The file of one, for a device that is loaded from files.
    ///
    /// # Errors
    /// The file cannot be read, or is none for this device.
    pub fn file(kind: Kind, path: &Path) -> Result<Self> {
        let reading = |error: Error| error.operation(format!("read '{}'", path.display()));
        let path = std::path::absolute(path).map_err(|error| reading(error.into()))?;
        let file = File::open(&path).map_err(|error| reading(error.into()))?;
        Self::opened(kind, &file, path.clone()).map_err(reading)
    }

    /// An open file, which the device's tool is told under this path.
    pub(crate) fn opened(kind: Kind, file: &File, path: PathBuf) -> Result<Self> {
        let id = match kind {
            Kind::AwsF2 => {
                return Err(Error::new(ErrorKind::Configuration, "AWS keeps the images of aws-f2")
                    .hint("name the image by its AGFI"));
            }
            Kind::Xrt => xclbin_uuid(file)?,
            Kind::Opae => gbs_uuid(file)?,
        };
        Ok(Self { kind, id, file: Some(path) })
    }

    /// The device that it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the device calls it once it is loaded.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its file.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Its file, which a device that is loaded from files needs.
    pub(crate) fn needed_path(&self) -> Result<&Path> {
        self.path().ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("the image '{}' has no file", self.id))
        })
    }
}

fn xclbin_uuid(file: &File) -> Result<String> {
    let mut header = [0; XCLBIN_UUID as usize + 16];
    let whole = file.read_exact_at(&mut header, 0);
    if whole.is_err() || !header.starts_with(XCLBIN_MAGIC) {
        return Err(Error::new(ErrorKind::InvalidData, "it is no container of XRT")
            .hint("'v++ --package' or 'v++ --link' makes one: NAME.xclbin"));
    }
    Ok(uuid(&header[XCLBIN_UUID as usize..]))
}

fn gbs_uuid(file: &File) -> Result<String> {
    let wrong = |why: &str| {
        Err(Error::new(ErrorKind::InvalidData, format!("it is no bitstream of OPAE: {why}"))
            .hint("'packager create-gbs' makes one: NAME.gbs"))
    };
    let mut header = [0; 20];
    if file.read_exact_at(&mut header, 0).is_err() || !header.starts_with(GBS_MAGIC) {
        return wrong("it begins with something else");
    }
    let length = header[16..].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if length > GBS_LIMIT {
        return wrong("its description is too long");
    }
    let mut text = vec![0; length];
    if file.read_exact_at(&mut text, header.len() as u64).is_err() {
        return wrong("it ends within its description");
    }
    let described: Value = serde_json::from_slice(&text).unwrap_or_default();
    let cluster = &described["afu-image"]["accelerator-clusters"][0];
    match cluster["accelerator-type-uuid"].as_str() {
        Some(found) if is_uuid(found) => Ok(found.to_ascii_lowercase()),
        _ => wrong("its description names no accelerator"),
    }
}

/// Sixteen bytes as a UUID is written.
fn uuid(bytes: &[u8]) -> String {
    let digits = HEXLOWER.encode(bytes);
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    parts.map(|(from, to)| &digits[from..to]).join("-")
}

/// Whether a text is a UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn an_agfi_is_nothing_else() {
        assert_eq!(Image::agfi("agfi-0123456789abcdef0").unwrap().id(), "agfi-0123456789abcdef0");
        for wrong in ["", "-I", "agfi-", "agfi-0123456789ABCDEF0", "afi-0123456789abcdef0"] {
            let error = Image::agfi(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{wrong}");
        }
    }

    #[test]
    fn a_container_is_known_by_the_uuid_of_its_header() {
        let mut bytes = XCLBIN_MAGIC.to_vec();
        bytes.resize(XCLBIN_UUID as usize, 0xff);
        bytes.extend(0x10..0x20);
        bytes.extend([0; 64]);
        let file = written(&bytes);
        let image = Image::file(Kind::Xrt, file.path()).unwrap();
        assert_eq!(image.id(), "10111213-1415-1617-1819-1a1b1c1d1e1f");
        for cut in [0, 7, 8, 431] {
            let error = Image::file(Kind::Xrt, written(&bytes[..cut]).path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{cut}");
        }
    }

    #[test]
    fn a_bitstream_is_known_by_its_accelerator() {
        let json = br#"{"version": 1, "afu-image": {"interface-uuid":
            "69528db6-eb31-577a-8c36-68f9faa081f6", "accelerator-clusters": [{"name": "hello_afu",
            "accelerator-type-uuid": "850ADCC2-6CEB-4B22-9722-D43375B61C66"}]}}"#;
        let with =
            |json: &[u8], length: u32| [GBS_MAGIC, &length.to_le_bytes(), json, b"rest"].concat();
        let bytes = with(json, json.len() as u32);
        let image = Image::file(Kind::Opae, written(&bytes).path()).unwrap();
        assert_eq!(image.id(), "850adcc2-6ceb-4b22-9722-d43375b61c66");
        for wrong in [&bytes[..19], &bytes[..60], &with(b"{}", 2), &with(json, u32::MAX)] {
            let error = Image::file(Kind::Opae, written(wrong).path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        }
    }

    #[test]
    fn aws_has_no_files() {
        Image::file(Kind::AwsF2, written(b"x").path()).unwrap_err();
    }
}
