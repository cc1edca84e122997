//! Cards of Intel and Altera through OPAE: `fpgaconf` and `fpgainfo`.
//!
//! Sources: opae-sdk's `doc/src/fpga_tools/fpgaconf/fpgaconf.md` and `fpgainfo/fpgainfo.md`, and
//! `tools/base/fpgaconf/fpgaconf.c` (its options), `tools/base/fpgainfo/` (the lines of a port).

use std::ffi::{OsStr, OsString};

use apyfal_core::{Cancel, Error, ErrorKind, Result};

use crate::{Device, Image, Kind, Loaded, Tools};

/// Lists the ports.
pub(crate) const INFO: &str = "fpgainfo";
const CONF: &str = "fpgaconf";

/// The cards of this machine. A slot is the port of a card.
#[derive(Debug)]
pub struct Opae {
    tools: Tools,
}

impl Opae {
    /// Those that these tools drive.
    pub fn new(tools: Tools) -> Self {
        Self { tools }
    }

    fn ports(&self, cancel: &Cancel) -> Result<Vec<Port>> {
        Ok(ports(&self.tools.run(INFO, ["port"], self.tools.look, cancel)?))
    }
}

impl Device for Opae {
    fn kind(&self) -> Kind {
        Kind::Opae
    }

    fn slots(&self, cancel: &Cancel) -> Result<Vec<String>> {
        Ok(self.ports(cancel)?.into_iter().map(|port| port.address).collect())
    }

    fn describe(&self, slot: &str, cancel: &Cancel) -> Result<Loaded> {
        let found = self.ports(cancel)?.into_iter().find(|port| port.address == slot);
        let Some(port) = found else {
            return Err(Error::new(ErrorKind::Engine, format!("'{INFO} port' leaves out {slot}")));
        };
        let state = if port.accelerator.is_some() { "configured" } else { "not configured" };
        let ready = port.accelerator.is_some();
        Ok(Loaded { image: port.accelerator, state: state.to_owned(), ready })
    }

    fn load(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<()> {
        let mut args: Vec<OsString> = target(slot);
        args.push(image.needed_path()?.into());
        self.tools.run(CONF, args, self.tools.change, cancel)?;
        Ok(())
    }

    /// There is nothing to do: OPAE knows no empty slot, and `fpgaconf` writes the whole region
    /// anew and resets the port, also with the bitstream that it had.
    fn clear(&self, _: &str, _: &Cancel) -> Result<()> {
        Ok(())
    }
}

/// The options that name a card. Numbers without `0x` would be decimal ones.
fn target(slot: &str) -> Vec<OsString> {
    let parts: Vec<_> = slot.split([':', '.']).collect();
    let [segment, bus, device, function] = parts[..] else { return Vec::new() };
    let mut args: Vec<OsString> = Vec::new();
    // Early releases have no such option, and know no segment but the first.
    if segment != "0000" {
        args.extend(["--segment".into(), format!("0x{segment}").into()]);
    }
    for (option, value) in [("-B", bus), ("-D", device), ("-F", function)] {
        args.extend([OsStr::new(option).to_owned(), format!("0x{value}").into()]);
    }
    args
}

#[derive(Debug, PartialEq)]
struct Port {
    address: String,
    accelerator: Option<String>,
}

/// The ports that `fpgainfo port` lists. The address is written `0000:D8:00:0` by early releases
/// and `0000:D8:00.0` by later ones; the accelerator is an `Id` to some and a `GUID` to others.
fn ports(said: &str) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for line in said.lines() {
        let Some((key, value)) = line.split_once(" : ") else { continue };
        let (key, value) = (key.trim(), value.trim().to_ascii_lowercase());
        if key.starts_with("PCIe s:b:d") {
            let parts: Vec<_> = value.split([':', '.']).collect();
            if let [segment, bus, device, function] = parts[..] {
                let address = format!("{segment}:{bus}:{device}.{function}");
                if Kind::Opae.check_slot(&address).is_ok() {
                    ports.push(Port { address, accelerator: None });
                }
            }
        } else if matches!(key, "Accelerator Id" | "Accelerator GUID")
            && crate::image::is_uuid(&value)
            && let Some(port) = ports.last_mut()
        {
            port.accelerator = Some(value);
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFU: &str = "f7df405c-bd7a-cf72-22f1-44b0b93acd18";

    #[test]
    fn ports_are_read_as_early_and_late_releases_say_them() {
        let early = "Board Management Controller, microcontroller FW version 26889\n\
            Last Power Down Cause: POK_CORE\n\
            //****** PORT ******//\n\
            Object Id                     : 0xEC00003\n\
            PCIe s:b:d:f                  : 0000:D8:00:0\n\
            Device Id                     : 0x09C4\n\
            Pr Interface Id               : 69528db6-eb31-577a-8c36-68f9faa081f6\n\
            Accelerator Id                : F7DF405C-bd7a-cf72-22f1-44b0b93acd18\n\
            //****** PORT ******//\n\
            PCIe s:b:d:f                  : 0000:87:00:0\n";
        let late = "//****** PORT ******//\n\
            Interface                        : DFL\n\
            Object Id                        : 0xEE00001\n\
            PCIe s:b:d.f                     : 0000:D8:00.0\n\
            Pr Interface Id                  : 69528db6-eb31-577a-8c36-68f9faa081f6\n\
            Accelerator GUID                 : f7df405c-bd7a-cf72-22f1-44b0b93acd18\n\
            //****** PORT ******//\n\
            PCIe s:b:d.f                     : 0000:87:00.0\n";
        for said in [early, late] {
            let [first, second] = &ports(said)[..] else { panic!("{said}") };
            assert_eq!(
                (first.address.as_str(), first.accelerator.as_deref()),
                ("0000:d8:00.0", Some(AFU))
            );
            assert_eq!((second.address.as_str(), &second.accelerator), ("0000:87:00.0", &None));
        }
        assert_eq!(ports("No FPGA resources found.\n"), []);
    }

    #[test]
    fn a_card_is_named_in_hexadecimal() {
        let words = |slot| target(slot).join(OsStr::new(" ")).into_string().unwrap();
        assert_eq!(words("0000:5e:00.0"), "-B 0x5e -D 0x00 -F 0x0");
        assert_eq!(words("0001:d8:1f.7"), "--segment 0x0001 -B 0xd8 -D 0x1f -F 0x7");
    }
}
