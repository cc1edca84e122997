//! Run an *accelerated function* (compress, hash, encode an image, find and replace, make random
//! numbers, or a program of your own) on the hardware that does it best.
//!
//! Three calls do it everywhere: [`start`](Accelerator::start), [`process`](Accelerator::process),
//! [`stop`](Accelerator::stop).
//!
//! ```
//! # async fn example(folder: &std::path::Path) -> apyfal::Result<()> {
//! # let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
//! use apyfal::{Accelerator, Call};
//!
//! # std::fs::write(path("in.txt"), "text to hash")?;
//! let accelerator = Accelerator::builder("sha3").build()?;
//! accelerator.start(Call::new()).await?;
//! let report = accelerator.process(Call::new().src(path("in.txt")).set("type", "sha3-256")).await?;
//! println!("{}", report.specific["digest"]);
//! accelerator.stop().await?;
//! # Ok(()) }
//! # let folder = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(example(folder.path())).unwrap();
//! ```
//!
//! What `apyfal run` does is done by an accelerator that is told of the configuration and of the
//! [`Surroundings`] of the process: then installed packages, devices and paired hosts are found.
//!
//! ```
//! # async fn example() -> apyfal::Result<()> {
//! use apyfal::{Accelerator, Surroundings, configuration};
//!
//! let surroundings = Surroundings::of_process();
//! let configuration = configuration::load(None, &surroundings.environment).await?;
//! let accelerator =
//!     Accelerator::builder("gzip").configuration(configuration).surroundings(surroundings).build()?;
//! # drop(accelerator); Ok(()) }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! The library never prints, and but for [`Surroundings::of_process`] it never reads the environment:
//! what it needs of it is passed in.

/// The example in the README, which must work as it stands.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The example of a guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/custom-host.md")]
struct CustomHost;

mod accelerator;
mod bounded;
mod builder;
mod call;
pub mod catalog;
pub mod configuration;
mod devices;
pub mod files;
pub mod hosts;
mod known_hosts;
mod made;
mod map;
pub mod names;
pub mod package;
mod place;
pub mod sent;
mod surroundings;

pub use accelerator::Accelerator;
pub use apyfal_agent::{Agent, AgentOptions, Root, Temporary};
pub use apyfal_client::{HostLoad, Pool, Remote, RemoteOptions};
pub use apyfal_core::{
    AcceleratorInfo, Cancel, Client, Configuration, Error, ErrorKind, Input, JobParameters, Need,
    Output, ParamKind, ParamSpec, Progress, Report, Result, Sink, Slots, Stage, is_secret_key,
};
pub use apyfal_engines::Registry;
pub use apyfal_hosts::{FirstContact, Machine, user_data};
pub use apyfal_storage::{
    Destination, Listed, Location, MountOptions, Placed, Storage, file_version, standard,
};
pub use builder::AcceleratorBuilder;
pub use call::{Call, full_parameters};
pub use devices::Devices;
pub use known_hosts::{Certificate, KnownHost, KnownHosts, Pairing};
pub use map::{BegunJob, JobHandle, ProcessMap};
pub use place::ChosenHosts;
pub use surroundings::Surroundings;
