//! The systems of machines in a cloud: the programs of the one that the tests run on, which starts
//! at once, and a Debian that systemd runs, as the images of clouds have it.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output};

use crate::common::bare_machine::BareMachine;
use crate::common::debian::Debian;
use crate::common::machine::Machine;
use crate::common::text;

/// What runs at each start: user data at the first one, which it has from the metadata service.
const CLOUD_INIT: &str = r#"#!/bin/sh
kept=/var/lib/cloud/instance
[ -e $kept ] && exit
mkdir -p $kept
service=http://169.254.169.254/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $service/api/token)
curl -sf -H "X-aws-ec2-metadata-token: $token" -o $kept/user-data $service/user-data || exit
chmod 700 $kept/user-data
# Whoever has the key pair logs in as the user of the image.
if [ -e /usr/sbin/sshd ]; then
    useradd --create-home --shell /bin/bash ubuntu
    install -d -m 700 -o ubuntu /home/ubuntu/.ssh
    curl -sf -H "X-aws-ec2-metadata-token: $token" -o /home/ubuntu/.ssh/authorized_keys \
        $service/meta-data/public-keys/0/openssh-key
    ssh-keygen -A
    systemctl start --no-block ssh
fi
exec $kept/user-data
"#;

/// The same as a service.
const UNIT: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\nKillMode=process\n\
                    TimeoutStartSec=0\nStandardOutput=append:/mnt/console\nStandardError=inherit\n\
                    ExecStart=/usr/lib/cloud-init\n";

/// What a machine is made of beside its network.
pub(crate) trait System: Send {
    /// Starts it, with the disk as it is.
    fn power_on(&mut self);

    /// Ends all that runs on it.
    fn power_off(&mut self);

    /// Whether it runs, and did not shut down.
    fn is_on(&mut self) -> bool;

    /// Runs a script as root.
    fn bash(&self, script: &str) -> Output;

    /// All that it said on its console.
    fn console(&self) -> String;
}

/// Makes the system of a machine in its network.
pub(crate) type Install = fn(&Machine) -> Box<dyn System>;

/// One that starts at once.
pub(crate) fn bare(network: &Machine) -> Box<dyn System> {
    started(BareMachine::boot(network))
}

/// The same of an image that has the agent.
pub(crate) fn with_agent(network: &Machine) -> Box<dyn System> {
    let machine = BareMachine::boot(network);
    let folder = machine.path("usr/local/bin");
    std::fs::create_dir_all(&folder).expect("a directory");
    std::fs::copy(env!("CARGO_BIN_EXE_apyfal"), folder.join("apyfal")).expect("a copy");
    started(machine)
}

fn started(machine: BareMachine) -> Box<dyn System> {
    let folder = tempfile::tempdir().expect("a directory");
    let mut bare = Bare { machine, cloud_init: None, folder };
    bare.first_steps();
    Box::new(bare)
}

/// One that systemd runs.
pub(crate) fn debian(network: &Machine) -> Box<dyn System> {
    debian_with(network, |_| {})
}

/// The same, which shows other keys to who logs in than it says on its console.
pub(crate) fn debian_of_another(network: &Machine) -> Box<dyn System> {
    debian_with(network, |layer| {
        let key = "/etc/ssh/another_key";
        let folder = layer.join("etc/ssh/sshd_config.d");
        std::fs::create_dir_all(&folder).expect("a directory");
        std::fs::write(folder.join("key.conf"), format!("HostKey {key}\n")).expect("a file");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(layer.join(key.trim_start_matches('/')))
            .status();
        assert!(made.expect("ssh-keygen runs").success());
    })
}

fn debian_with(network: &Machine, fill: fn(&Path)) -> Box<dyn System> {
    let network = format!("--network-namespace-path={}", network.network());
    let mut debian = Debian::new("1G", &network, |layer| {
        let wanted = layer.join("etc/systemd/system/multi-user.target.wants");
        let program = layer.join("usr/lib/cloud-init");
        std::fs::create_dir_all(&wanted).expect("a directory");
        std::fs::create_dir_all(layer.join("usr/lib")).expect("a directory");
        std::fs::write(layer.join("etc/systemd/system/cloud-init.service"), UNIT).expect("a file");
        symlink("../cloud-init.service", wanted.join("cloud-init.service")).expect("a link");
        std::fs::write(&program, CLOUD_INIT).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(program, mode).expect("a file of this process");
        fill(layer);
    })
    .expect("a test that asked before");
    debian.power_on();
    Box::new(debian)
}

struct Bare {
    machine: BareMachine,
    cloud_init: Option<Child>,
    folder: tempfile::TempDir,
}

impl Bare {
    fn first_steps(&mut self) {
        let console = self.folder.path().join("console");
        let console = File::options().create(true).append(true).open(console).expect("a file");
        let mut command = self.machine.command(CLOUD_INIT);
        command.stdout(console.try_clone().expect("a file")).stderr(console);
        self.cloud_init = Some(command.spawn().expect("nsenter runs"));
    }
}

impl System for Bare {
    fn power_on(&mut self) {
        self.machine.power_on();
        self.first_steps();
    }

    fn power_off(&mut self) {
        self.machine.power_off();
        if let Some(mut steps) = self.cloud_init.take() {
            let _ = steps.wait();
        }
    }

    fn is_on(&mut self) -> bool {
        self.machine.is_on()
    }

    fn bash(&self, script: &str) -> Output {
        self.machine.bash(script)
    }

    fn console(&self) -> String {
        let console = std::fs::read(self.folder.path().join("console"));
        text(&console.unwrap_or_default())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.power_off();
    }
}

impl System for Debian {
    fn power_on(&mut self) {
        Debian::power_on(self);
    }

    fn power_off(&mut self) {
        Debian::power_off(self);
    }

    fn is_on(&mut self) -> bool {
        self.has_ended().is_none()
    }

    fn bash(&self, script: &str) -> Output {
        Debian::bash(self, script)
    }

    fn console(&self) -> String {
        text(&std::fs::read(self.kept_at("console")).unwrap_or_default()) + &Debian::console(self)
    }
}
