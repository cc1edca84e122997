//! Process groups for programs, which are there before the programs are.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Guard;

/// A process group for one program with all that it starts; what is left in it is killed when this
/// is dropped.
///
/// A program that led its own group could be told to the [`Guard`] only once it runs, and would live
/// on where its owner is killed in between. So the leader is a process that has nothing to do: it
/// ends at once and is not waited for, which keeps its number, and with it the group. The guard
/// knows the group before there is a program in it.
#[derive(Debug)]
pub struct Group {
    guard: Arc<Guard>,
    leader: Option<Child>,
    id: Pid,
}

impl Group {
    pub(crate) fn new(guard: Arc<Guard>, leader: Child) -> Self {
        let id = Pid::from_child(&leader);
        Self { guard, leader: Some(leader), id }
    }

    /// The number that it is known by.
    pub fn id(&self) -> Pid {
        self.id
    }

    /// Has a program start in it.
    pub fn take_in(&self, command: &mut Command) {
        command.process_group(self.id.as_raw_nonzero().get());
    }

    /// Sends a signal to all that is in it and may be reached.
    pub fn signal(&self, signal: Signal) {
        // It is never empty: its leader counts.
        let _ = kill_process_group(self.id, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(leader) = self.leader.take() {
            self.guard.take_back(leader);
        }
    }
}
