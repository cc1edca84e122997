//! What goes wrong with hosts, in an order that the seed decides.

use std::time::Duration;

use rustix::process::Signal;

use super::host::Host;
use super::interruption::Interruptions;
use super::link::LinkState;
use super::model::{Cause, Held};
use super::random::Random;
use super::run::Run;

/// Something that is wrong with a host for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9`; undone by a start.
    Killed,
    /// It was told to end, and did; undone by a start.
    Drained,
    /// SIGSTOP; undone by SIGCONT.
    Stopped,
    /// Its disk is full to the last byte; undone by making room.
    FullDisk,
    /// Its link is slow, silent, or breaks; undone by a link that carries all.
    Link(LinkState),
    /// Its clock of the day is off by so many seconds; undone by one that is right.
    Jumped(i64),
}

const DAY: i64 = 24 * 3600;
const YEARS: i64 = 3650 * DAY;

impl Fault {
    /// A fault that can befall a host which has these.
    fn choose(random: &mut Random, host: &Host, present: &[Self]) -> Option<Self> {
        let fault = match random.below(12) {
            0..=2 => Self::Killed,
            3 => Self::Drained,
            4..=5 => Self::Stopped,
            6..=7 => Self::FullDisk,
            8 => Self::Link(LinkState::Slow),
            9 => Self::Link(LinkState::Silent),
            10 => Self::Link(LinkState::BreaksAfter(100 + random.below(500_000))),
            _ => Self::Jumped(*random.pick(&[DAY, -DAY, YEARS, -YEARS])),
        };
        let is_away = present.iter().any(|other| matches!(other, Self::Killed | Self::Drained));
        let is_stopped = present.contains(&Self::Stopped);
        let may_be = match fault {
            Self::Killed => !is_away,
            // Who hears nothing cannot be told, and what nobody takes is waited for.
            Self::Drained => {
                !is_away && !is_stopped && !present.contains(&Self::Link(LinkState::Silent))
            }
            Self::Stopped => !is_away && !is_stopped,
            Self::FullDisk => host.has_disk() && !present.contains(&fault),
            Self::Link(_) => !present.iter().any(|other| matches!(other, Self::Link(_))),
            Self::Jumped(_) => !present.iter().any(|other| matches!(other, Self::Jumped(_))),
        };
        may_be.then_some(fault)
    }

    /// What it excuses.
    fn causes(self) -> &'static [Cause] {
        match self {
            Self::Killed => &[Cause::Killed, Cause::Away],
            Self::Drained | Self::Stopped => &[Cause::Away],
            Self::FullDisk => &[Cause::Full],
            Self::Link(_) => &[Cause::Link],
            Self::Jumped(_) => &[],
        }
    }

    fn begin(self, host: &Host) -> Held {
        match self {
            Self::Killed => host.kill(),
            Self::Drained => host.drain()?,
            Self::Stopped => host.signal(Signal::STOP),
            Self::FullDisk => host.fill_disk(),
            Self::Link(way) => host.link().set(way),
            Self::Jumped(seconds) => host.set_clock(seconds),
        }
        Ok(())
    }

    fn undo(self, run: &Run, host: &Host) -> Held {
        match self {
            Self::Killed | Self::Drained => host.start(&run.home)?,
            Self::Stopped => host.signal(Signal::CONT),
            Self::FullDisk => host.free_disk(),
            Self::Link(_) => host.link().set(LinkState::Open),
            Self::Jumped(_) => host.set_clock(0),
        }
        Ok(())
    }
}

/// Lets so many things happen, one after the other, then puts all in order.
pub(crate) fn happen(run: &Run, steps: u64) -> Held {
    let mut present: Vec<Vec<Fault>> = run.hosts.iter().map(|_| Vec::new()).collect();
    let mut interruptions = Interruptions::of(run);
    for step in 0..steps {
        let mut random = Random::of(&[run.seed, u64::MAX, step]);
        interruptions.during(Duration::from_millis(random.below(600)), step);
        if run.is_over() {
            break;
        }
        let at = random.below(run.hosts.len() as u64) as usize;
        let (host, present) = (&run.hosts[at], &mut present[at]);
        // The more is wrong, the sooner something is undone.
        if random.below(4) < present.len() as u64 {
            let fault = present.swap_remove(random.below(present.len() as u64) as usize);
            undo(run, host, fault, present)?;
        } else if let Some(fault) = Fault::choose(&mut random, host, present) {
            run.record.note(&format!("host {at}"), &format!("{fault:?}"));
            fault.causes().iter().for_each(|cause| host.troubles.begin(*cause));
            fault.begin(host)?;
            if fault == Fault::Killed {
                present.retain(|other| *other != Fault::Stopped);
            }
            present.push(fault);
        }
    }
    interruptions.end();
    for (host, mut present) in run.hosts.iter().zip(present) {
        while let Some(fault) = present.pop() {
            undo(run, host, fault, &present)?;
        }
    }
    Ok(())
}

/// Undoes a fault. It is no excuse any more once the host is seen to be well.
fn undo(run: &Run, host: &Host, fault: Fault, left: &[Fault]) -> Held {
    run.record.note(&format!("host {}", host.number), &format!("not {fault:?} any more"));
    fault.undo(run, host)?;
    let keeps_from_ready = |fault: &Fault| {
        matches!(fault, Fault::Killed | Fault::Drained | Fault::Stopped | Fault::FullDisk)
    };
    if left.iter().any(keeps_from_ready) {
        return Ok(());
    }
    host.becomes_ready()?;
    for cause in [Cause::Killed, Cause::Away, Cause::Full, Cause::Link] {
        if !left.iter().any(|other| other.causes().contains(&cause)) {
            host.troubles.end(cause);
        }
    }
    Ok(())
}
