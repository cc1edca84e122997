//! Accelerators that are the user's own programs, declared in `[accelerator.NAME]`.
//!
//! One of three keys says how a program is called; [`Declaration`] lists the rest:
//!
//! * `command`: any program, run once per job. The source streams into its standard input and the
//!   result out of its standard output, or it is given paths in place of `{src}` and `{dst}`.
//! * `executable`: the calling convention of the original Apyfal, `-m 0`, `-m 1` and `-m 2`.
//! * `worker`: a program that stays alive and takes one job after the other, as JSON lines.
//!
//! A program runs in a process group of its own. The job is over when the program itself has ended;
//! what it left running in its group is ended with it, as is all of it when the job is cancelled or
//! this process dies. Only what moves itself out of the group (a daemon that calls `setsid`), or
//! belongs to another user after this process was killed, is out of reach.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use apyfal_core::{
    AcceleratorInfo, Directory, Engine, EngineInfo, EngineSession, Input, JobContext, Params,
    Result,
};
use apyfal_machine::Guard;

mod command;
mod declaration;
mod file;
mod invocation;
mod lines;
mod original;
mod parameters;
mod process;
mod section;
mod tail;
mod template;
#[cfg(test)]
mod tests;
mod values;
mod worker;

pub use declaration::Declaration;
use declaration::Program;
use process::Process;

/// The engine of one declared accelerator.
#[derive(Clone, Debug)]
pub struct Exec {
    declaration: Arc<Declaration>,
    locks: PathBuf,
}

impl Exec {
    /// Makes it. `locks` is an existing directory for the lock of an `executable`, unless its
    /// declaration names one. The program is exclusive per machine: all who run it, of whatever
    /// user, name the same directory, which all can write to.
    pub fn new(declaration: Declaration, locks: impl Into<PathBuf>) -> Self {
        Self { declaration: Arc::new(declaration), locks: locks.into() }
    }
}

impl Engine for Exec {
    fn accelerator(&self) -> &AcceleratorInfo {
        self.declaration.accelerator()
    }

    fn info(&self) -> &EngineInfo {
        self.declaration.info()
    }

    fn check(&self, params: &Params) -> Result<()> {
        self.declaration.check(params)
    }

    fn open(
        &self,
        src: Option<Input>,
        params: &Params,
        state: &dyn Directory,
        ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>> {
        let launcher =
            Launcher { declaration: self.declaration.clone(), guard: Arc::new(Guard::start()?) };
        Ok(match self.declaration.program() {
            Program::Command(_) => Box::new(command::CommandSession::new(launcher)),
            Program::Worker(_) => Box::new(worker::WorkerSession::new(launcher, params.clone())),
            Program::Executable(_) => Box::new(original::OriginalSession::open(
                launcher,
                src,
                params,
                &self.locks,
                state,
                ctx,
            )?),
        })
    }
}

/// Starts the programs of one session.
#[derive(Debug)]
struct Launcher {
    declaration: Arc<Declaration>,
    guard: Arc<Guard>,
}

impl Launcher {
    /// Starts the program with these arguments and the variables declared for it, and those of the
    /// job. What it writes
    /// to its standard error goes to the job's log.
    fn start(
        &self,
        argv: Vec<OsString>,
        params: &Params,
        stdin: bool,
        ctx: &JobContext,
    ) -> Result<Process> {
        let invocation = self.declaration.invocation(argv, params, ctx.variables());
        Process::start(invocation, stdin, &self.guard, ctx.log())
    }
}
