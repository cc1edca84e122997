//! The archive of a package: a tar archive, compressed as gzip does it, that proves itself.
//!
//! `tar -xzf` unpacks it like any other. The comment in the header of gzip is the SHA-256 of all
//! that follows it, and the header has no other content, so that not a single byte can change
//! unnoticed: CRC-32, which gzip has, finds accidents only, and not those in its own header.
//!
//! The same files give the same bits, whoever packs them where and when: names are sorted; times,
//! owners and all of the modes but who may execute are left out; the compressor is the same
//! everywhere. Only another version of it may compress differently.

mod pack;
mod seal;
#[cfg(test)]
mod tests;
mod unpack;

pub use pack::{Packed, pack};
pub(crate) use seal::begin;
pub use seal::check;
pub use unpack::{Limits, unpack};
