//! The wire: types and routes of the REST protocols, their errors and their documents.
//!
//! * [`v2`] is the protocol of this version's clients, and of anyone else's.
//! * [`v1`] is the protocol of the original's clients.

mod error;
pub mod v1;
pub mod v2;

pub use error::{ErrorBody, ErrorDetails, WireError, status};
