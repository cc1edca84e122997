//! Telling of hosts that are done without.

use std::collections::HashSet;

use apyfal::Accelerator;

use crate::printer::Printer;

/// Tells of each host that is done without, once.
#[derive(Debug, Default)]
pub(crate) struct Troubles(HashSet<String>);

impl Troubles {
    /// Whether there is one that was not told of yet.
    pub(crate) fn is_news(&self, accelerator: &Accelerator) -> bool {
        let mut hosts = accelerator.load().into_iter();
        hosts.any(|host| host.trouble.is_some() && !self.0.contains(&host.url))
    }

    /// Tells of those that were not told of yet.
    pub(crate) fn tell(&mut self, accelerator: &Accelerator, printer: &Printer) {
        for host in accelerator.load() {
            if let Some(why) = host.trouble
                && self.0.insert(host.url.clone())
            {
                printer.warning(format!("{} is done without: {why}", host.url));
                why.hints().iter().for_each(|hint| printer.note(&format!("  hint: {hint}")));
            }
        }
    }
}
