//! Two machines with a cable between them, as far as their network is concerned.

use std::process::Command;

use crate::common::machine::Machine;
use crate::common::namespaces;

/// The address of the first machine.
pub(crate) const HOST: &str = "10.77.0.1";

/// Two network namespaces, and a cable.
pub(crate) struct TwoMachines {
    pub(crate) host: Machine,
    pub(crate) client: Machine,
}

impl TwoMachines {
    /// None where the environment says that there can be none, which is told.
    pub(crate) fn new() -> Option<Self> {
        let words = namespaces::network()?;
        let has_user = words.len() > 1;
        let mut unshare = Command::new("unshare");
        unshare.args(words);
        let host = Machine::hold(unshare, has_user);
        // The second one is of the same user namespace, or no cable could be laid.
        let mut unshare = host.enter();
        unshare.args(["unshare", "--net"]);
        let client = Machine::hold(unshare, has_user);
        host.lay_cable("cable", &client, "cable");
        for (machine, address) in [(&host, "10.77.0.1/24"), (&client, "10.77.0.2/24")] {
            machine.ip(&["link", "set", "lo", "up"]);
            machine.ip(&["address", "add", address, "dev", "cable"]);
            machine.ip(&["link", "set", "cable", "up"]);
        }
        Some(Self { host, client })
    }

    /// From now on nothing comes through, and neither system knows.
    pub(crate) fn pull_the_cable(&self) {
        for (machine, other) in [(&self.host, "10.77.0.2"), (&self.client, "10.77.0.1")] {
            let nobody = ["lladdr", "02:00:00:00:00:99", "nud", "permanent"];
            machine.ip(&[&["neighbour", "replace", other, "dev", "cable"], &nobody[..]].concat());
        }
    }
}
