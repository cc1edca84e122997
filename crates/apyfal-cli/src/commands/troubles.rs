//! Telling of hosts that are done without, and of those that hang.

use std::collections::HashSet;
use std::time::Duration;

use apyfal::{Accelerator, Remote};

use crate::printer::Printer;

/// How often it is looked whether there is anything to tell.
const LOOK: Duration = Duration::from_secs(1);

/// Tells of the hosts of an accelerator: once of each that is done without, and once whenever one
/// hangs that jobs wait for.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    accelerator: Option<Accelerator>,
    without: HashSet<String>,
    hanging: HashSet<String>,
}

impl Troubles {
    pub(crate) fn of(accelerator: &Accelerator) -> Self {
        Self { accelerator: Some(accelerator.clone()), ..Self::default() }
    }

    /// Whether there is one that was not told of yet.
    pub(crate) fn is_news(&self) -> bool {
        let Some(accelerator) = &self.accelerator else { return false };
        let mut hosts = accelerator.load().into_iter();
        hosts.any(|host| host.trouble.is_some() && !self.without.contains(&host.url))
            || accelerator
                .hosts()
                .iter()
                .any(|host| host.hang().is_some() != self.hanging.contains(&host.url()))
    }

    /// Tells of those that were not told of yet.
    pub(crate) fn tell(&mut self, printer: &Printer) {
        let Some(accelerator) = &self.accelerator else { return };
        for host in accelerator.load() {
            if let Some(why) = host.trouble
                && self.without.insert(host.url.clone())
            {
                printer.warning(format!("{} is done without: {why}", host.url));
                why.hints().iter().for_each(|hint| printer.note(&format!("  hint: {hint}")));
            }
        }
        for host in accelerator.hosts() {
            self.tell_whether_it_hangs(&host, printer);
        }
    }

    fn tell_whether_it_hangs(&mut self, host: &Remote, printer: &Printer) {
        let url = host.url();
        let Some(time) = host.hang() else {
            // It may do so again.
            self.hanging.remove(&url);
            return;
        };
        if self.hanging.insert(url.clone()) {
            let time = time.as_secs();
            printer.warning(format!("{url} has not answered for {time} s, and jobs wait for it"));
            printer
                .note("  hint: they go on once it does: look whether it is stopped or overloaded");
            printer.note("  hint: if it is gone for good, end this and begin anew");
        }
    }

    /// Waits for work, and tells meanwhile.
    pub(crate) async fn told<T>(&mut self, printer: &Printer, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(LOOK) => self.tell(printer),
            }
        }
    }
}
