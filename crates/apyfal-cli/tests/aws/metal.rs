//! Real machines for the instances of a cloud: each has its address, lets in what its security groups
//! let in, runs its user data once, and ends or stops as the cloud says. One that shuts down by itself
//! is told to the cloud.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use apyfal_testkit::{Cloud, CloudInstance};

use crate::common::debian::Debian;
use crate::common::machine::Machine;
use crate::common::namespaces;
use crate::server::Server;
use crate::system::{self, Install};

/// Where the cloud is.
const CLOUD: &str = "10.77.0.1";
/// Where its owner is.
pub(crate) const CLIENT: &str = "10.77.0.2";
/// Where the machines find their way out.
const ROUTER: &str = "172.31.0.1";
const METADATA: &str = "169.254.169.254";

/// A cloud with its machines, and whoever uses it.
pub(crate) struct Metal {
    pub(crate) cloud: Arc<Cloud>,
    /// Where its owner works.
    pub(crate) client: Machine,
    machines: Arc<Mutex<BTreeMap<String, Server>>>,
    ends: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Metal {
    /// Machines that start at once. None where the environment says that there can be none, which is
    /// told.
    pub(crate) fn new() -> Option<Self> {
        Self::of(system::bare)
    }

    /// Machines whose image has the agent.
    pub(crate) fn with_agent() -> Option<Self> {
        Self::of(system::with_agent)
    }

    /// Machines that systemd runs.
    pub(crate) fn with_systemd() -> Option<Self> {
        Self::of_debians(system::debian)
    }

    /// The same, to whose addresses somebody else answers by ssh.
    pub(crate) fn with_another_at_ssh() -> Option<Self> {
        Self::of_debians(system::debian_of_another)
    }

    fn of_debians(install: Install) -> Option<Self> {
        Debian::new("1M", "--private-network", |_| {})?;
        Self::of(install)
    }

    fn of(install: Install) -> Option<Self> {
        let words = namespaces::network()?;
        let has_user = words.len() > 1;
        let mut unshare = Command::new("unshare");
        unshare.args(words);
        let hub = Machine::hold(unshare, has_user);
        hub.ip(&["link", "set", "lo", "up"]);
        for address in [CLOUD, ROUTER, METADATA] {
            hub.ip(&["address", "add", address, "dev", "lo"]);
        }
        hub.feed(&["tee", "/proc/sys/net/ipv4/ip_forward"], "1");
        let client = attached(&hub, "client", CLIENT, CLOUD);
        let cloud = Arc::new(Cloud::start_in(hub.enter(), CLOUD).expect("a cloud"));
        let machines = Arc::<Mutex<BTreeMap<String, Server>>>::default();
        let ends = Arc::<AtomicBool>::default();
        let mut watched =
            Watched { hub, cloud: cloud.clone(), machines: machines.clone(), install, number: 0 };
        let told = ends.clone();
        let watcher = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                watched.follow();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Some(Self { cloud, client, machines, ends, watcher: Some(watcher) })
    }

    /// The machines that there are, by their instances.
    pub(crate) fn machines(&self) -> MutexGuard<'_, BTreeMap<String, Server>> {
        self.machines.lock().expect("a watcher that did not panic")
    }

    /// The only instance that is not terminated.
    pub(crate) fn instance(&self) -> CloudInstance {
        let mut living = self.living();
        assert_eq!(living.len(), 1, "{living:?}");
        living.remove(0)
    }

    /// The instances that are not terminated.
    pub(crate) fn living(&self) -> Vec<CloudInstance> {
        let mut instances = self.cloud.instances();
        instances.retain(|instance| !is_over(&instance.state));
        instances
    }
}

impl Drop for Metal {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// Another machine on the network, with an address.
fn attached(hub: &Machine, name: &str, address: &str, router: &str) -> Machine {
    let mut unshare = hub.enter();
    unshare.args(["unshare", "--net"]);
    let machine = Machine::hold(unshare, hub.has_user());
    hub.lay_cable(name, &machine, "eth0");
    hub.ip(&["link", "set", name, "up"]);
    hub.ip(&["route", "add", address, "dev", name]);
    for words in [
        &["link", "set", "lo", "up"][..],
        &["address", "add", address, "dev", "eth0"],
        &["link", "set", "eth0", "up"],
        &["route", "add", "default", "via", router, "dev", "eth0", "onlink"],
    ] {
        machine.ip(words);
    }
    machine
}

fn is_over(state: &str) -> bool {
    ["shutting-down", "terminated"].contains(&state)
}

/// What the watcher has.
struct Watched {
    hub: Machine,
    cloud: Arc<Cloud>,
    machines: Arc<Mutex<BTreeMap<String, Server>>>,
    install: Install,
    /// How many machines there were.
    number: usize,
}

impl Watched {
    /// Makes the machines what the cloud says of them.
    fn follow(&mut self) {
        let instances = self.cloud.instances();
        let machines = self.machines.clone();
        let mut machines = machines.lock().expect("a test that did not panic");
        for instance in instances {
            let id = &instance.id;
            if is_over(&instance.state) {
                machines.remove(id);
                continue;
            }
            let server = machines.entry(id.clone()).or_insert_with(|| self.install(&instance));
            if server.follow(&instance) {
                self.cloud.shut_down(id);
            }
            if let Some(public) = server.moved_to(&instance) {
                let way = ["via", server.address(), "dev", server.cable(), "onlink"];
                self.hub.ip(&[&["route", "replace", public], &way[..]].concat());
            }
            if let Some(console) = server.said() {
                self.cloud.set_console(id, &console);
            }
        }
    }

    fn install(&mut self, instance: &CloudInstance) -> Server {
        self.number += 1;
        let cable = format!("server{}", self.number);
        let address = instance.private_address.clone().expect("an address");
        let network = attached(&self.hub, &cable, &address, ROUTER);
        Server::new(network, cable, address, self.install)
    }
}
