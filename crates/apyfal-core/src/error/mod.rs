//! The one error type.

mod details;
mod io;
mod kind;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

pub use details::Details;
pub use io::{causes, root_cause};
pub use kind::ErrorKind;

/// What every fallible call of Apyfal returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: what failed, on what, why, and what to do.
///
/// ```
/// use apyfal_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Usage, "'fat' is not a level")
///     .operation("read parameter 'level'")
///     .hint("use 'fast', 'default', 'best' or 1 to 9");
/// assert_eq!(error.to_string(), "cannot read parameter 'level': 'fat' is not a level");
/// assert_eq!(error.hints(), ["use 'fast', 'default', 'best' or 1 to 9"]);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Option<String>,
    message: String,
    context: Vec<(Cow<'static, str>, String)>,
    hints: Vec<String>,
    details: Details,
    retryable: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A new error. `message` says why, in lower case and without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: None,
            message: bounded(message),
            context: Vec::new(),
            hints: Vec::new(),
            details: Details::default(),
            retryable: false,
            source: None,
        }))
    }

    /// The error for a job whose caller gave up.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// The error for a call that did not end within its limit.
    pub fn timed_out(limit: Duration) -> Self {
        let message = format!("it took longer than its limit of {} s", limit.as_secs_f64());
        Self::new(ErrorKind::Timeout, message).hint("give it more time, or less to do")
    }

    /// The error for a source that ended before the length that it had when it was opened.
    pub fn cut_off(came: u64, len: u64) -> Self {
        let message = format!("it ended after {came} of {len} bytes: it was cut off meanwhile");
        Self::new(ErrorKind::InvalidData, message).hint("begin again when it is complete")
    }

    /// What was being done, as it would follow "cannot": `compress 'a.txt'`. The first one set stays.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation.get_or_insert_with(|| bounded(operation));
        self
    }

    /// A fact that helps to find the cause: `("line", "3")`.
    #[must_use]
    pub fn context(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        self.0.context.push((key.into(), bounded(value.to_string())));
        self
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(bounded(hint));
        self
    }

    /// Marks a failure that may not happen again on the next try.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// The error underneath.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error once more, without the one underneath.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let Inner { kind, operation, message, context, hints, details, retryable, source: _ } =
            &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            operation: operation.clone(),
            message: message.clone(),
            context: context.clone(),
            hints: hints.clone(),
            details: details.clone(),
            retryable: *retryable,
            source: None,
        }))
    }

    /// The same failure as one of another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Without what was being done, for who says it otherwise.
    #[must_use]
    pub fn without_operation(mut self) -> Self {
        self.0.operation = None;
        self
    }

    /// Without its facts, for who says where it is otherwise.
    #[must_use]
    pub fn without_facts(mut self) -> Self {
        self.0.context.clear();
        self
    }

    /// Without its advice, for who knows better what to do.
    #[must_use]
    pub fn without_hints(mut self) -> Self {
        self.0.hints.clear();
        self
    }

    /// The same failure as the reason why a larger thing failed: what was being done
    /// becomes a part of the message, and the caller says with [`operation`](Self::operation) what
    /// the larger thing was.
    ///
    /// ```
    /// use apyfal_core::{Error, ErrorKind};
    /// let error = Error::new(ErrorKind::StorageFull, "no space left").operation("unpack 'a'");
    /// let whole = error.as_reason().operation("install a 1.0");
    /// assert_eq!(whole.to_string(), "cannot install a 1.0: cannot unpack 'a': no space left");
    /// ```
    #[must_use]
    pub fn as_reason(mut self) -> Self {
        if let Some(operation) = self.0.operation.take() {
            self.0.message = bounded(format!("cannot {operation}: {}", self.0.message));
        }
        self
    }

    /// With what failed in words of the caller's, before the message.
    #[must_use]
    pub fn prefixed(mut self, what: &str) -> Self {
        self.0.message = bounded(format!("{what}: {}", self.0.message));
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done, as it would follow "cannot".
    pub fn doing(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// Why it failed, without what was being done.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts added by [`Error::context`], in the order in which they were added.
    pub fn facts(&self) -> &[(Cow<'static, str>, String)] {
        &self.0.context
    }

    /// The advice added by [`Error::hint`].
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// Whether the same call may succeed when it is made again.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether the caller cancelled the job.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }
}

/// The longest text of an error, in bytes: more than the tail that is kept of what a program said.
const LONGEST: usize = 20 << 10;

/// A text of an error, which is logged, recorded and sent on whatever somebody made part of it.
fn bounded(text: impl Into<String>) -> String {
    let mut text = text.into();
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = &self.0.operation {
            write!(f, "cannot {operation}: ")?;
        }
        f.write_str(&self.0.message)?;
        for (index, (key, value)) in self.0.context.iter().enumerate() {
            let open = if index == 0 { " (" } else { ", " };
            write!(f, "{open}{key} {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("message", &self.0.message)
            .field("context", &self.0.context)
            .field("hints", &self.0.hints)
            .field("details", &self.0.details)
            .field("retryable", &self.0.retryable)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_an_error_is_longer_than_its_bound() {
        let long = "é".repeat(1 << 20);
        let error = Error::new(ErrorKind::Usage, &*long)
            .operation(&*long)
            .context("name", &long)
            .hint(&*long);
        assert!(error.to_string().len() < 4 * LONGEST && error.message().ends_with('…'));
        assert!(error.hints()[0].len() <= LONGEST + "…".len());
        let whole = "x".repeat(LONGEST);
        assert_eq!(Error::new(ErrorKind::Usage, &*whole).message(), whole);
    }

    #[test]
    fn facts_stand_behind_the_message() {
        let error = Error::new(ErrorKind::Configuration, "no value")
            .context("line", 3)
            .context("key", "region")
            .operation("read 'accelerator.conf'");
        assert_eq!(
            error.to_string(),
            "cannot read 'accelerator.conf': no value (line 3, key region)"
        );
    }
}
