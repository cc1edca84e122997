//! What processes of one machine share: locks, files that are read and written as a whole and what
//! they are called, and programs: how they are run and ended, also where their owner died.

pub mod file_name;
mod group;
mod guard;
pub mod lock;
mod not_started;
pub mod private;
mod program;
pub mod regular;

pub use group::Group;
pub use guard::Guard;
pub use not_started::not_started;
pub use program::{Program, Said};
