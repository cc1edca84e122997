//! Cards of AMD (Xilinx) Alveo through XRT: `xrt-smi`, or `xbutil` as it was called before.
//!
//! Sources: the pages `xrt-smi` and `xbutil` of XRT's documentation, and in its repository
//! `src/runtime_src/core/tools/`: `xbutil2/SubCmdExamine.cpp` (JSON needs an output file that is
//! new), `common/XBUtilities.cpp` and `common/ReportDynamicRegion.cpp` (what is in it),
//! `xbutil2/SubCmdProgram.cpp`, `xbutil2/SubCmdReset.cpp` (it asks unless forced, and ends with 0
//! where the reset failed).

use std::ffi::OsStr;

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use serde_json::Value;

use crate::{Device, Image, Kind, Loaded, Tools};

/// The names of the tool, the present one first.
pub(crate) const PROGRAMS: [&str; 2] = ["xrt-smi", "xbutil"];
const NO_IMAGE: &str = "00000000-0000-0000-0000-000000000000";

/// The cards of this machine.
#[derive(Debug)]
pub struct Xrt {
    tools: Tools,
    program: &'static str,
}

impl Xrt {
    /// Those that this one of the tools drives.
    pub fn new(tools: Tools, program: &'static str) -> Self {
        Self { tools, program }
    }

    /// A report, as JSON.
    fn examine(&self, args: &[&str], cancel: &Cancel) -> Result<Value> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("report.json");
        let mut whole: Vec<&OsStr> = vec![OsStr::new("examine")];
        whole.extend(args.iter().map(OsStr::new));
        whole.extend(["--format", "JSON", "--output"].map(OsStr::new));
        whole.push(path.as_os_str());
        self.tools.run(self.program, whole, self.tools.look, cancel)?;
        let text = std::fs::read(&path).unwrap_or_default();
        serde_json::from_slice(&text).map_err(|error| {
            let why = format!("the report of '{} examine' is no JSON: {error}", self.program);
            Error::new(ErrorKind::Engine, why)
        })
    }
}

impl Device for Xrt {
    fn kind(&self) -> Kind {
        Kind::Xrt
    }

    fn slots(&self, cancel: &Cancel) -> Result<Vec<String>> {
        Ok(slots(&self.examine(&["--report", "host"], cancel)?))
    }

    fn describe(&self, slot: &str, cancel: &Cancel) -> Result<Loaded> {
        let args = ["--device", slot, "--report", "dynamic-regions"];
        loaded(&self.examine(&args, cancel)?, slot)
    }

    fn load(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<()> {
        let path = image.needed_path()?.as_os_str();
        let args = ["program", "--device", slot, "--user"].map(OsStr::new);
        let args = args.into_iter().chain([path]);
        self.tools.run(self.program, args, self.tools.change, cancel)?;
        Ok(())
    }

    /// Resets the card. Loading again what it had would be skipped, for it "has it already".
    fn clear(&self, slot: &str, cancel: &Cancel) -> Result<()> {
        let args = ["reset", "--device", slot, "--force"];
        let said = self.tools.run(self.program, args, self.tools.change, cancel)?;
        if said.contains("Successfully reset") {
            return Ok(());
        }
        let last = said.trim().lines().last().unwrap_or_default().to_owned();
        Err(Error::new(ErrorKind::Engine, format!("'{} reset' failed", self.program))
            .context("said", last))
    }
}

/// The cards that the report `host` lists as ready.
fn slots(report: &Value) -> Vec<String> {
    let devices = report["system"]["host"]["devices"].as_array();
    let ready = |device: &&Value| match &device["is_ready"] {
        Value::String(text) => text == "true",
        other => other.as_bool().unwrap_or(true),
    };
    let address = |device: &Value| {
        let address = device["bdf"].as_str()?.to_ascii_lowercase();
        Kind::Xrt.check_slot(&address).is_ok().then_some(address)
    };
    devices.into_iter().flatten().filter(ready).filter_map(address).collect()
}

/// What the report `dynamic-regions` says of a card.
fn loaded(report: &Value, slot: &str) -> Result<Loaded> {
    let devices = report["devices"].as_array().into_iter().flatten();
    let is_it = |device: &&Value| {
        device["device_id"].as_str().is_some_and(|found| found.eq_ignore_ascii_case(slot))
    };
    let Some(device) = devices.into_iter().find(is_it) else {
        return Err(Error::new(ErrorKind::Engine, format!("the report leaves out card {slot}")));
    };
    let regions = device["dynamic_regions"].as_array().into_iter().flatten();
    let image = regions
        .filter_map(|region| region["xclbin_uuid"].as_str())
        .map(str::to_ascii_lowercase)
        .find(|uuid| crate::image::is_uuid(uuid) && uuid != NO_IMAGE);
    let state = device["device_status"].as_str().unwrap_or("unknown").to_ascii_lowercase();
    let ready = image.is_some() && !state.contains("error") && !state.contains("hang");
    Ok(Loaded { image, state, ready })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cards_that_are_not_ready_are_left_out() {
        // A property tree of boost writes every value as a text.
        let report = json!({"schema_version": {"schema": "JSON"}, "system": {"host": {"devices": [
            {"bdf": "0000:b3:00.1", "vbnv": "xilinx_u200", "is_ready": "true"},
            {"bdf": "0000:65:00.1", "vbnv": "xilinx_u50_GOLDEN", "is_ready": "false"},
            {"bdf": "0000:D8:00.1", "is_ready": true},
            {"bdf": "--force", "is_ready": "true"},
        ]}}});
        assert_eq!(slots(&report), ["0000:b3:00.1", "0000:d8:00.1"]);
        assert_eq!(slots(&json!({"system": {"host": {"devices": ""}}})), [""; 0]);
    }

    #[test]
    fn what_is_loaded_is_read_from_the_regions() {
        let report = |regions: Value, status: &str| {
            json!({"devices": [{
                "interface_type": "pcie", "device_id": "0000:b3:00.1", "device_status": status,
                "dynamic_regions": regions,
            }]})
        };
        let uuid = "D081DE98-3FD3-4E9B-BAB3-108B42C73101";
        let found = report(json!([{"id": "0", "xclbin_uuid": uuid}]), "HEALTHY");
        let found = loaded(&found, "0000:b3:00.1").unwrap();
        assert_eq!(found.image.unwrap(), uuid.to_ascii_lowercase());
        assert!(found.ready);
        assert_eq!(found.state, "healthy");
        for none in [json!(""), json!([]), json!([{"xclbin_uuid": NO_IMAGE}]), json!([{}])] {
            let found = loaded(&report(none, "HEALTHY"), "0000:b3:00.1").unwrap();
            assert!(found.image.is_none() && !found.ready);
        }
        let hung = report(json!([{"xclbin_uuid": uuid}]), "HANG");
        assert!(!loaded(&hung, "0000:b3:00.1").unwrap().ready);
        loaded(&hung, "0000:65:00.1").unwrap_err();
    }
}
