//! A device that this machine does not have.

use apyfal_core::{Cancel, Error, ErrorKind, Result};

use crate::{Device, Image, Kind, Loaded};

/// Stands for a device whose tools are not on the search path: it has no slots, and says why.
#[derive(Debug)]
pub struct NoDevice {
    kind: Kind,
    program: &'static str,
}

impl NoDevice {
    /// One that would be driven by this program.
    pub fn new(kind: Kind, program: &'static str) -> Self {
        Self { kind, program }
    }

    fn error(&self) -> Error {
        let kind = self.kind.name();
        let why = format!("there is no program '{}' on the search path", self.program);
        Error::new(ErrorKind::Unavailable, why)
            .operation(format!("use a device of kind {kind}"))
            .hint("install the tools of the device's maker, or add them to the search path")
            .hint("or run this on a host that has such a device: --host_ip ADDRESS")
    }
}

impl Device for NoDevice {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn slots(&self, _: &Cancel) -> Result<Vec<String>> {
        Err(self.error())
    }

    fn describe(&self, _: &str, _: &Cancel) -> Result<Loaded> {
        Err(self.error())
    }

    fn load(&self, _: &str, _: &Image, _: &Cancel) -> Result<()> {
        Err(self.error())
    }

    fn clear(&self, _: &str, _: &Cancel) -> Result<()> {
        Err(self.error())
    }
}
