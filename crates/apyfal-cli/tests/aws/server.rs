//! One machine of a cloud.

use apyfal_testkit::{CloudInstance, Rule};

use crate::common::machine::Machine;
use crate::system::{Install, System};

/// A machine that follows its instance.
pub(crate) struct Server {
    network: Machine,
    /// Its interface at the other end.
    cable: String,
    address: String,
    public: Option<String>,
    install: Install,
    system: Option<Box<dyn System>>,
    /// Which start of its instance it came from, and whether it shut down since then.
    start: u32,
    is_down: bool,
    rules: Option<Vec<Rule>>,
    /// How much of the console was told.
    told: usize,
}

impl Server {
    pub(crate) fn new(network: Machine, cable: String, address: String, install: Install) -> Self {
        Self {
            network,
            cable,
            address,
            public: None,
            install,
            system: None,
            start: 0,
            is_down: true,
            rules: None,
            told: 0,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn cable(&self) -> &str {
        &self.cable
    }

    /// What is on it.
    pub(crate) fn system(&self) -> &dyn System {
        self.system.as_deref().expect("a machine that was started")
    }

    /// Whether it runs.
    pub(crate) fn is_on(&mut self) -> bool {
        self.system.as_mut().is_some_and(|system| system.is_on())
    }

    /// Does what its instance does; whether it has just shut down by itself.
    pub(crate) fn follow(&mut self, instance: &CloudInstance) -> bool {
        if self.rules.as_ref() != Some(&instance.rules) {
            self.network.feed(&["nft", "-f", "-"], &ruleset(&instance.rules));
            self.rules = Some(instance.rules.clone());
        }
        match instance.state.as_str() {
            "pending" | "running" if self.start != instance.starts => {
                self.power_off();
                self.power_on();
                self.start = instance.starts;
                self.is_down = false;
            }
            "running" if !self.is_down => {
                self.is_down = !self.is_on();
                return self.is_down;
            }
            "stopping" | "stopped" => self.power_off(),
            _ => {}
        }
        false
    }

    fn power_on(&mut self) {
        match &mut self.system {
            Some(system) => system.power_on(),
            none => *none = Some((self.install)(&self.network)),
        }
    }

    fn power_off(&mut self) {
        if let Some(system) = &mut self.system {
            system.power_off();
        }
    }

    /// The public address of its instance, where that is another one than before.
    pub(crate) fn moved_to<'a>(&mut self, instance: &'a CloudInstance) -> Option<&'a str> {
        if self.public == instance.public_address {
            return None;
        }
        if let Some(before) = &self.public {
            self.network.ip(&["address", "delete", &format!("{before}/32"), "dev", "lo"]);
        }
        self.public.clone_from(&instance.public_address);
        let address = instance.public_address.as_deref()?;
        self.network.ip(&["address", "add", address, "dev", "lo"]);
        Some(address)
    }

    /// All that it said on its console, where it said more than before.
    pub(crate) fn said(&mut self) -> Option<String> {
        let console = self.system.as_ref()?.console();
        let is_more = console.len() > std::mem::replace(&mut self.told, console.len());
        is_more.then_some(console)
    }
}

/// The packet filter of a machine: answers come in, and what a rule lets in.
fn ruleset(rules: &[Rule]) -> String {
    let mut lines: Vec<_> = rules.iter().map(line).collect();
    lines.sort();
    format!(
        "table inet groups\ndelete table inet groups\ntable inet groups {{\nchain input {{\n\
         type filter hook input priority 0; policy drop;\n\
         ct state established,related accept\niif lo accept\n\
         icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept\n{}\n}}\n}}\n",
        lines.join("\n")
    )
}

fn line(rule: &Rule) -> String {
    let source = match &rule.source {
        Some(source) if source.contains(':') => format!("ip6 saddr {source} "),
        Some(source) => format!("ip saddr {source} "),
        None => return String::new(),
    };
    let what = match (rule.protocol.as_str(), rule.first, rule.last) {
        (protocol @ ("tcp" | "udp"), Some(first), Some(last)) => {
            format!("{protocol} dport {first}-{last} ")
        }
        ("-1", ..) => String::new(),
        (protocol, ..) => format!("meta l4proto {protocol} "),
    };
    format!("{source}{what}accept")
}
