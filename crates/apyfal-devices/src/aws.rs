//! FPGAs of AWS: EC2 F1 and F2 instances.
//!
//! Driven by the AFI management tools. Sources, as of aws-fpga's branches `master` (F1) and `f2`:
//! `sdk/userspace/fpga_mgmt_tools/README.md` and `src/fpga_local_cmd.c` (the lines and the exit
//! status), `sdk/docs/load_times.md` and the F2 guide's "Reducing AFI load times" (`-P`).

use apyfal_core::{Cancel, Error, ErrorKind, Result};

use crate::{Device, Image, Kind, Loaded, Tools};

/// Lists the slots.
pub(crate) const DESCRIBE_SLOTS: &str = "fpga-describe-local-image-slots";
const DESCRIBE: &str = "fpga-describe-local-image";
const LOAD: &str = "fpga-load-local-image";
const CLEAR: &str = "fpga-clear-local-image";

/// The FPGAs of this instance.
#[derive(Debug)]
pub struct Aws {
    tools: Tools,
}

impl Aws {
    /// Those that these tools drive.
    pub fn new(tools: Tools) -> Self {
        Self { tools }
    }
}

impl Device for Aws {
    fn kind(&self) -> Kind {
        Kind::AwsF2
    }

    fn slots(&self, cancel: &Cancel) -> Result<Vec<String>> {
        let none: [&str; 0] = [];
        Ok(slots(&self.tools.run(DESCRIBE_SLOTS, none, self.tools.look, cancel)?))
    }

    fn describe(&self, slot: &str, cancel: &Cancel) -> Result<Loaded> {
        let said = self.tools.run(DESCRIBE, ["-S", slot], self.tools.look, cancel)?;
        loaded(&said, slot)
    }

    fn load(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<()> {
        let args = ["-S", slot, "-I", image.id()];
        self.tools.run(LOAD, args, self.tools.change, cancel)?;
        Ok(())
    }

    fn clear(&self, slot: &str, cancel: &Cancel) -> Result<()> {
        self.tools.run(CLEAR, ["-S", slot], self.tools.change, cancel)?;
        Ok(())
    }

    fn prefetch(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<bool> {
        let args = ["-S", slot, "-I", image.id(), "-P"];
        self.tools.run(LOAD, args, self.tools.change, cancel)?;
        Ok(true)
    }
}

/// The slots of lines such as `AFIDEVICE    0       0x1d0f      0x9048      0000:9f:00.0`.
fn slots(said: &str) -> Vec<String> {
    let mut slots = Vec::new();
    for line in said.lines() {
        let mut words = line.split_whitespace();
        if words.next() == Some("AFIDEVICE")
            && let Some(slot) = words.next()
            && Kind::AwsF2.check_slot(slot).is_ok()
            && !slots.iter().any(|known| known == slot)
        {
            slots.push(slot.to_owned());
        }
    }
    slots
}

/// The line `AFI  0  agfi-0123456789abcdef0  loaded  0  ok  0  0x10162423` of a slot. Where there
/// is no image F1 says `none` and F2 `No AFI`, so that its words are counted from the end.
fn loaded(said: &str, slot: &str) -> Result<Loaded> {
    for line in said.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [kind, of, image @ .., state, code, error, error_code, _shell] = &words[..] else {
            continue;
        };
        if *kind != "AFI" || *of != slot {
            continue;
        }
        let image = image.first().filter(|image| image.starts_with("agfi-"));
        let is_fine = *error_code == "0";
        return Ok(Loaded {
            image: image.map(|image| (*image).to_owned()),
            state: if is_fine { (*state).to_owned() } else { format!("{state}: {error}") },
            ready: *code == "0" && is_fine,
        });
    }
    Err(Error::new(ErrorKind::Engine, format!("'{DESCRIBE}' says nothing of slot {slot}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_read_with_headers_and_without() {
        let said = "Type  FpgaImageSlot  VendorId    DeviceId    DBDF\n\
                    AFIDEVICE    0       0x1d0f      0x9048      0000:9f:00.0\n\
                    Type  FpgaImageSlot  VendorId    DeviceId    DBDF\n\
                    AFIDEVICE    1       0x1d0f      0x9048      0000:a1:00.0\n\
                    AFIDEVICE    1       0x1d0f      0x9248      0000:a1:00.1\n";
        assert_eq!(slots(said), ["0", "1"]);
        assert_eq!(slots("AFIDEVICE     unknown    unknown    unknown\n"), [""; 0]);
    }

    #[test]
    fn what_is_loaded_is_read_as_f1_and_f2_say_it() {
        let device = "AFIDEVICE    0       0x1d0f      0x9048      0000:00:0f.0\n";
        let read = |line: &str| loaded(&format!("{line}\n{device}"), "0").unwrap();
        let state = |image: Option<&str>, state: &str, ready| Loaded {
            image: image.map(str::to_owned),
            state: state.to_owned(),
            ready,
        };
        let agfi = "agfi-0123456789abcdef0";
        assert_eq!(
            read(
                "AFI          0       agfi-0123456789abcdef0  loaded            0        ok               0       0x10162423"
            ),
            state(Some(agfi), "loaded", true)
        );
        assert_eq!(
            read(
                "AFI          0       No AFI                  cleared           1        ok               0       0x10162423"
            ),
            state(None, "cleared", false)
        );
        assert_eq!(
            read(
                "AFI          0       none                    cleared           1        ok               0       0x04261818"
            ),
            state(None, "cleared", false)
        );
        assert_eq!(
            read(
                "AFI          0       agfi-0123456789abcdef0  load-failed       7        invalid-afi-id     5       0x04261818"
            ),
            state(Some(agfi), "load-failed: invalid-afi-id", false)
        );
        assert_eq!(
            read(
                "AFI          0       agfi-0123456789abcdef0  busy              2        ok               0       0x04261818"
            ),
            state(Some(agfi), "busy", false)
        );
        loaded(device, "0").unwrap_err();
        loaded("AFI 1 none cleared 1 ok 0 0x0", "0").unwrap_err();
    }
}
