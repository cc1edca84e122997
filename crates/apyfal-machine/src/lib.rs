//! What processes of one machine share: locks, files that are read and written as a whole, why a
//! program does not start, and a guard that ends the programs of one that died.

pub mod file_lock;
mod guard;
pub mod private;
mod program;
pub mod regular;

pub use guard::Guard;
pub use program::not_started;
