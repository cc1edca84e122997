//! What the processes of one machine share, of whatever user they are: locks, and a guard that ends
//! the programs of one that died.

pub mod file_lock;
mod guard;

pub use guard::Guard;
