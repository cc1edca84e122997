//! FPGA devices: what is loaded into their slots, and who may use a slot when.
//!
//! * [`Device`] is one kind of device, driven through its maker's tools: [`aws`], [`xrt`], [`opae`].
//!   [`none`](mod@none) stands for one that is not here.
//! * [`Pool`] shares the slots of a device between all processes of the machine. A job holds a
//!   [`CardSlotGuard`] while it runs; a slot whose job hung or was killed is cleared and loaded again
//!   before anybody else gets it.
//! * [`WithSlot`] is an engine whose jobs run with a slot that has the image they need.
//! * [`helper`] does all this for users who may not touch the device themselves.
//!
//! All of it blocks on purpose, as devices do.

use std::fmt::Debug;
use std::sync::Arc;

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

pub mod aws;
mod card_slot;
pub mod helper;
mod image;
pub mod none;
pub mod opae;
mod pool;
mod prefetch;
mod record;
mod tool;
mod with_slot;
pub mod xrt;

pub use card_slot::CardSlotGuard;
pub use helper::Access;
pub use image::Image;
pub use pool::{Pool, PoolOptions, SlotState};
pub use record::Holder;
pub use tool::Tools;
pub use with_slot::{Hold, WithSlot};

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An FPGA of an EC2 F instance, whose images AWS keeps.
    #[serde(rename = "aws-f2")]
    AwsF2,
    /// A card of AMD, through XRT.
    #[serde(rename = "xrt")]
    Xrt,
    /// A card of Intel or Altera, through OPAE.
    #[serde(rename = "opae")]
    Opae,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AwsF2, Self::Xrt, Self::Opae];

    /// Its name in a package's manifest and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsF2 => "aws-f2",
            Self::Xrt => "xrt",
            Self::Opae => "opae",
        }
    }

    /// Refuses what is no name of a slot, before it can become an argument of a tool.
    ///
    /// # Errors
    /// It is none.
    pub fn check_slot(self, slot: &str) -> Result<()> {
        let (is_right, right) = match self {
            Self::AwsF2 => (
                matches!(slot.len(), 1..=2) && slot.bytes().all(|byte| byte.is_ascii_digit()),
                "a number from 0",
            ),
            Self::Xrt | Self::Opae => (is_address(slot), "an address such as 0000:5e:00.0"),
        };
        if is_right {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Usage, format!("'{slot}' is no slot of {}", self.name()))
            .hint(format!("it is {right}: 'apyfal devices' lists them")))
    }
}

/// Whether a text is the address of a PCI function, in full.
fn is_address(text: &str) -> bool {
    let shape = "xxxx:xx:xx.x";
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
            b'x' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            mark => byte == mark,
        })
}

/// What is in a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The image; none where there is none, or the device cannot say.
    pub image: Option<String>,
    /// The state, in the words of the device's tool.
    pub state: String,
    /// Whether the image can be used.
    pub ready: bool,
}

/// A kind of device of this machine, with its slots.
pub trait Device: Debug + Send + Sync {
    /// What it is.
    fn kind(&self) -> Kind;

    /// The names of its slots.
    ///
    /// # Errors
    /// The device's tool failed, or took too long.
    fn slots(&self, cancel: &Cancel) -> Result<Vec<String>>;

    /// What is in a slot.
    ///
    /// # Errors
    /// As [`slots`](Self::slots).
    fn describe(&self, slot: &str, cancel: &Cancel) -> Result<Loaded>;

    /// Loads an image. What is in the slot afterwards is for [`describe`](Self::describe) to say.
    ///
    /// # Errors
    /// As [`slots`](Self::slots).
    fn load(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<()>;

    /// Takes out whatever is in a slot, or puts it back to a state from which it can be loaded.
    ///
    /// # Errors
    /// As [`slots`](Self::slots).
    fn clear(&self, slot: &str, cancel: &Cancel) -> Result<()>;

    /// Fetches an image that will be loaded into a slot, while another one is in use there. False
    /// where the device has no such thing.
    ///
    /// # Errors
    /// As [`slots`](Self::slots).
    fn prefetch(&self, slot: &str, image: &Image, cancel: &Cancel) -> Result<bool> {
        let _ = (slot, image, cancel);
        Ok(false)
    }
}

/// The device of a kind, as it can be reached from here: by its tools, or through the helper. One
/// whose tools are not on the search path is [`none::NoDevice`].
pub fn device(kind: Kind, tools: &Tools, access: &Access) -> Arc<dyn Device> {
    let program = match kind {
        Kind::AwsF2 => aws::DESCRIBE_SLOTS,
        Kind::Xrt => match xrt::PROGRAMS.iter().find(|name| tools.find(name).is_some()) {
            Some(found) => found,
            None => xrt::PROGRAMS[0],
        },
        Kind::Opae => opae::INFO,
    };
    if tools.find(program).is_none() {
        return Arc::new(none::NoDevice::new(kind, program));
    }
    match (access, kind) {
        (Access::Direct, Kind::AwsF2) => Arc::new(aws::Aws::new(tools.clone())),
        (Access::Direct, Kind::Xrt) => Arc::new(xrt::Xrt::new(tools.clone(), program)),
        (Access::Direct, Kind::Opae) => Arc::new(opae::Opae::new(tools.clone())),
        (access, kind) => Arc::new(helper::Helped::new(kind, access.clone(), tools)),
    }
}

/// The devices whose tools are on this machine.
pub fn detect(tools: &Tools, access: &Access) -> Vec<Arc<dyn Device>> {
    let all = Kind::ALL.into_iter().map(|kind| (kind, device(kind, tools, access)));
    all.filter(|(kind, _)| has_tools(*kind, tools)).map(|(_, device)| device).collect()
}

fn has_tools(kind: Kind, tools: &Tools) -> bool {
    let programs: &[&str] = match kind {
        Kind::AwsF2 => &[aws::DESCRIBE_SLOTS],
        Kind::Xrt => &xrt::PROGRAMS,
        Kind::Opae => &[opae::INFO],
    };
    programs.iter().any(|program| tools.find(program).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_names_and_no_options() {
        for (kind, right) in [
            (Kind::AwsF2, "0"),
            (Kind::AwsF2, "7"),
            (Kind::Xrt, "0000:b3:00.1"),
            (Kind::Opae, "0000:5e:00.0"),
        ] {
            kind.check_slot(right).unwrap();
        }
        for (kind, wrong) in [
            (Kind::AwsF2, ""),
            (Kind::AwsF2, "-1"),
            (Kind::AwsF2, "0 -P"),
            (Kind::AwsF2, "100"),
            (Kind::Xrt, "-d"),
            (Kind::Xrt, "0"),
            (Kind::Xrt, "0000:b3:00.1\n"),
            (Kind::Opae, "0000:5E:00.0"),
            (Kind::Opae, "../../5e:00.0"),
        ] {
            assert_eq!(kind.check_slot(wrong).unwrap_err().kind(), ErrorKind::Usage, "{wrong}");
        }
    }
}
