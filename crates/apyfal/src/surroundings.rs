//! The surroundings of a process, and what is found there for accelerators.

use std::path::{Path, PathBuf};

use apyfal_core::{Configuration, Environment, Result};
use apyfal_engines::Registry;
use apyfal_hosts::Machine;
use apyfal_package::Store;
use apyfal_storage::Storage;

use crate::Devices;
use crate::configuration::{registry, storage};

/// What the binary is called.
const PROGRAM: &str = "apyfal";

/// What a process finds around it: variables, a home directory, a machine.
///
/// No part of the library looks at them by itself. A program passes them in, mostly those that
/// [`of_process`](Self::of_process) collects; without them there are none.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The environment variables, and the home directory of the user.
    pub environment: Environment,
    /// The machine, whose packages and devices are used.
    pub machine: Option<Machine>,
    /// The binary `apyfal`, which is asked for what only root may.
    pub program: Option<PathBuf>,
    /// Whether the user is root.
    pub is_root: bool,
}

impl Surroundings {
    /// Those of this process. Variables that are no text are none of ours.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        let machine = Machine::default();
        // A program that uses the library is no such helper.
        let own = std::env::current_exe().ok();
        let own = own.filter(|own| own.file_name().is_some_and(|name| name == PROGRAM));
        Self {
            environment: Environment { variables: variables.collect(), home: std::env::home_dir() },
            program: Some(own.unwrap_or_else(|| machine.binary())),
            machine: Some(machine),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    /// The home directory of the user.
    pub fn home(&self) -> Option<&Path> {
        self.environment.home.as_deref()
    }

    /// The installed packages: those of the machine, then those of the user. Of two that have an
    /// accelerator the later is used.
    pub fn packages(&self) -> Vec<Store> {
        let of_machine = self.machine.as_ref().map(|machine| Store::new(machine.packages()));
        of_machine.into_iter().chain(self.home().map(crate::package::store)).collect()
    }

    /// The devices of the machine. Without the binary nothing could be asked for privileges.
    pub fn devices(&self) -> Devices {
        match (&self.machine, &self.program) {
            (Some(_), Some(program)) => {
                let path = self.environment.set("PATH").unwrap_or_default();
                Devices::here(path, program.clone(), self.is_root)
            }
            _ => Devices::none(),
        }
    }

    /// The accelerators of this machine, those of a configuration included.
    ///
    /// # Errors
    /// As [`configuration::registry`](registry).
    pub fn registry(&self, configuration: &Configuration) -> Result<Registry> {
        registry(configuration, &self.packages(), &self.devices(), self.home())
    }

    /// The storages of a configuration.
    ///
    /// # Errors
    /// As [`configuration::storage`](storage).
    pub fn storage(&self, configuration: &Configuration) -> Result<Storage> {
        storage(configuration, &self.environment)
    }
}
