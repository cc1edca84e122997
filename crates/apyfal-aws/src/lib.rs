//! What the tools of AWS know of an account without being told: from the environment, from
//! `~/.aws/config` and `~/.aws/credentials`, from a program, a container or the machine.
//!
//! [`Settings`] is one reading of them, by the rules of `botocore`, on which the command line of AWS
//! and boto3 stand; a test compares the two over a table of files and environments. It is the only
//! reader of these files here: storages use it, and so shall whatever makes machines there.
//!
//! [`Credentials`] are what the settings lead to. They are fetched when first asked for, and again
//! before they run out, or where they were refused; [`Http`] is how servers are asked for them.
//!
//! [`Server`] is where a service is.

mod assume;
mod credentials;
mod files;
mod http;
mod process;
mod server;
mod settings;
mod sign_on;
mod source;

pub use credentials::Credentials;
pub use http::Http;
pub use server::{Server, partition};
pub use settings::Settings;
pub use sign_on::SignOn;
pub use source::{Keys, Role, Source};
