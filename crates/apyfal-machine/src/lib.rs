//! What processes of one machine share: locks, files that are read and written as a whole and what
//! they are called, why a program does not start, and a guard that ends the programs of one that died.

pub mod file_name;
mod group;
mod guard;
pub mod lock;
pub mod private;
mod program;
pub mod regular;

pub use group::Group;
pub use guard::Guard;
pub use program::not_started;
