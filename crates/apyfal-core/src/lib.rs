//! The vocabulary of Apyfal: errors, configuration, jobs and the traits that the other crates
//! implement.
//!
//! Nothing here opens a file, talks to a network, prints, or reads the environment; the crates around
//! it do. Streams and files that are open already are read and written here ([`Input`], [`Output`]).
//!
//! * [`Engine`] is one implementation of an accelerated function. It blocks on purpose.
//! * [`Client`] is something that runs jobs: the agent in this process, or one far away.
//! * [`Configuration`] is the content of `accelerator.conf`.
//! * [`Error`] is what every call of every crate returns.

mod cancel;
mod client;
pub mod config;
mod context;
mod directory;
mod engine;
mod environment;
mod error;
mod image;
mod io;
mod job;
mod nearest;
mod owner;
mod params;
mod quantity;
mod secret;
mod shown;
mod streams;
mod truth;
mod turn;
mod unix_time;
mod whole;

pub use cancel::Cancel;
pub use client::{Client, JobIo};
pub use config::{Configuration, Literal, json_value, read_value};
pub use context::{JobContext, JobLog, Progress};
pub use directory::{Directory, Scratch};
pub use engine::{
    AcceleratorInfo, Engine, EngineInfo, EngineJob, EngineSession, Need, Outcome, Slots,
};
pub use environment::Environment;
pub use error::{Details, Error, ErrorKind, Result, causes, root_cause};
pub use image::Image;
pub use io::{FileId, Input, Output, Sink, Source, SpareInput, SpareOutput};
pub use job::{Comparison, Job, JobParameters, Profiling, Report, Session, Start, Unread, type_of};
pub use nearest::nearest;
pub use owner::Owner;
pub use params::{ParamKind, ParamSpec, Params, Stage};
pub use quantity::{duration, limit, size};
pub use secret::{Secret, is_secret_key, mask};
pub use shown::{one_line, shorten};
pub use streams::{InputReader, OutputWriter, Patience, ScratchWriter};
pub use truth::{truth, truth_of};
pub use turn::Turn;
pub use unix_time::unix_time;
