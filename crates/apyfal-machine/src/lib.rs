//! What processes of one machine share: locks, files that are read and written as a whole, and a
//! guard that ends the programs of one that died.

pub mod file_lock;
mod guard;
pub mod private;
pub mod regular;

pub use guard::Guard;
