//! Images that the accelerator's device is loaded with.

use apyfal_core::Result;
use serde_json::{Map, Value};

use super::table::{Lines, Table};
use super::{file_name, read_digest};
use crate::Digest;

const KEYS: [&str; 6] = ["device", "agfi", "file", "platform", "size", "sha256"];

/// What a device is loaded through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// An FPGA of an EC2 F instance, whose image AWS keeps.
    AwsF2,
    /// A card of AMD, through XRT.
    Xrt,
    /// A card of Intel or Altera, through OPAE.
    Opae,
}

impl Device {
    /// All, with their names in a manifest.
    pub const ALL: [(&'static str, Self); 3] =
        [("aws-f2", Self::AwsF2), ("xrt", Self::Xrt), ("opae", Self::Opae)];

    /// Its name in a manifest.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, device)| *device == self).map_or("", |(name, _)| name)
    }
}

/// An image of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// What it is for.
    pub device: Device,
    /// Its name at AWS: `agfi-0123456789abcdef0`.
    pub agfi: Option<String>,
    /// Its file in the package.
    pub file: Option<String>,
    /// The platform that it was built for: the UUID of the shell, or the name of an instance type.
    pub platform: Option<String>,
    /// The length of the file in bytes.
    pub size: Option<u64>,
    /// The SHA-256 of the file.
    pub sha256: Option<Digest>,
}

/// Reads the image of this number, counted from 1.
pub(super) fn read(map: &Map<String, Value>, lines: &Lines, number: usize) -> Result<Image> {
    let path = format!("image.{number}");
    let table = Table::new(map, lines, &path);
    table.refuse_unknown(&KEYS)?;
    let name = table.needed("device")?;
    let found = Device::ALL.iter().find(|(known, _)| *known == name);
    let Some(&(_, device)) = found else {
        return Err(table.wrong("device", &name.into(), "aws-f2, xrt or opae"));
    };
    let image = Image {
        device,
        agfi: table.text("agfi")?,
        file: file_name(table, "file")?,
        platform: table.text("platform")?,
        size: table.number("size", 1, u64::MAX)?,
        sha256: read_digest(table)?,
    };
    let lacks =
        |key: &str| Err(table.error("device", format!("an image for {name} needs '{key}'")));
    match device {
        Device::AwsF2 if image.agfi.is_none() => return lacks("agfi"),
        Device::Xrt if image.platform.is_none() => return lacks("platform"),
        Device::Xrt | Device::Opae if image.file.is_none() => return lacks("file"),
        Device::AwsF2 | Device::Xrt | Device::Opae => {}
    }
    if let Some(agfi) = &image.agfi
        && !is_agfi(agfi)
    {
        let right = "'agfi-' and 17 digits from 0 to 9 and a to f";
        return Err(table.wrong("agfi", &agfi.as_str().into(), right));
    }
    if let Some(platform) = &image.platform
        && device == Device::Xrt
        && !is_uuid(platform)
    {
        let right = "the UUID that 'xclbinutil --info' shows";
        return Err(table.wrong("platform", &platform.as_str().into(), right));
    }
    if image.file.is_none()
        && let Some(key) = ["size", "sha256"].into_iter().find(|key| map.contains_key(*key))
    {
        return Err(table.error(key, format!("'{key}' is that of a 'file', which is missing")));
    }
    Ok(image)
}

fn is_agfi(text: &str) -> bool {
    let digits = text.strip_prefix("agfi-").unwrap_or_default();
    digits.len() == 17 && digits.bytes().all(is_digit)
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
