//! What goes wrong with processes that use hosts, in an order that the seed decides.

use std::time::Duration;

use super::process::Process;
use super::random::Random;
use super::run::Run;

/// Something that becomes of a process.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    /// `kill -9`; its caller starts the next one.
    Killed,
    /// SIGTERM.
    Told,
    /// SIGSTOP; undone by `GoesOn`.
    Stalled,
    /// SIGCONT.
    GoesOn,
}

impl Interruption {
    fn choose(random: &mut Random, is_stalled: bool) -> Self {
        match (random.below(10), is_stalled) {
            (0..=3, _) => Self::Killed,
            (_, true) => Self::GoesOn,
            (4..=5, _) => Self::Told,
            _ => Self::Stalled,
        }
    }

    fn befall(self, process: &Process) -> bool {
        match self {
            Self::Killed => process.kill(),
            Self::Told => process.tell(),
            Self::Stalled => process.stall(),
            Self::GoesOn => process.go_on(),
        }
    }
}

/// All that befalls the processes of a run.
pub(crate) struct Interruptions<'a> {
    run: &'a Run,
    stalled: Vec<bool>,
}

impl<'a> Interruptions<'a> {
    pub(crate) fn of(run: &'a Run) -> Self {
        Self { run, stalled: vec![false; run.processes.len()] }
    }

    /// Waits for a moment, and has something befall one process at some time of it.
    pub(crate) fn during(&mut self, moment: Duration, step: u64) {
        let mut random = Random::of(&[self.run.seed, u64::MAX - 1, step]);
        let first = moment.mul_f64(random.below(1000) as f64 / 1000.0);
        std::thread::sleep(first);
        let at = random.below(self.run.processes.len() as u64) as usize;
        let interruption = Interruption::choose(&mut random, self.stalled[at]);
        self.befall(at, interruption);
        std::thread::sleep(moment - first);
    }

    /// Lets all of them go on.
    pub(crate) fn end(&mut self) {
        for at in 0..self.stalled.len() {
            if self.stalled[at] {
                self.befall(at, Interruption::GoesOn);
            }
        }
    }

    fn befall(&mut self, at: usize, interruption: Interruption) {
        let process = &self.run.processes[at];
        // Before: what comes of it is told later.
        self.run.record.note(&process.name, &format!("{interruption:?}"));
        let is_there = interruption.befall(process);
        self.stalled[at] = is_there && matches!(interruption, Interruption::Stalled);
        if !is_there {
            self.run.record.note(&process.name, "which did not run");
        }
    }
}
