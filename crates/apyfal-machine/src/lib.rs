//! What processes of one machine share: locks, files that are written as a whole, and a guard that
//! ends the programs of one that died.

pub mod file_lock;
mod guard;
pub mod private;

pub use guard::Guard;
