//! What goes wrong with calls of a cloud.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// What befalls calls of one action: `Fault::of("RunInstances").error("Unavailable", 503).times(2)`.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    action: String,
    #[serde(rename = "where")]
    parameters: BTreeMap<String, String>,
    skip: u32,
    times: Option<u32>,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    status: u16,
    delay: f64,
    lost: bool,
}

impl Fault {
    /// Befalls all calls of an action.
    pub fn of(action: &str) -> Self {
        Self {
            action: action.to_owned(),
            parameters: BTreeMap::new(),
            skip: 0,
            times: None,
            code: String::new(),
            message: None,
            status: 400,
            delay: 0.0,
            lost: false,
        }
    }

    /// Only those with this parameter, by its name on the wire: `Placement.AvailabilityZone`.
    #[must_use]
    pub fn having(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Only so many.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Not the first ones.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Nothing is done, and this error is answered.
    #[must_use]
    pub fn error(mut self, code: &str, status: u16) -> Self {
        code.clone_into(&mut self.code);
        self.status = status;
        self
    }

    /// What the error says.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        self.message = Some(message.to_owned());
        self
    }

    /// It is done, and the connection closed without an answer.
    #[must_use]
    pub fn lost(mut self) -> Self {
        self.lost = true;
        self
    }

    /// Nothing happens for so long first.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay.as_secs_f64();
        self
    }
}

/// The end of a process by a call of its own.
///
/// So that none of its calls comes too early, start it held back: `sh -c 'read go && exec …'`, whose
/// number stays that of the program.
#[derive(Clone, Debug, Serialize)]
pub struct Kill {
    /// Its number.
    pub pid: u32,
    /// At which call, counted from now on: 1 is the next one.
    pub call: usize,
    /// `before` anything is done, or `after` all of it, before the answer.
    pub when: &'static str,
}
