//! The service on a machine that systemd runs: from its installation to its removal, and how the
//! machine ends with its lease, whatever happens to the host.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;

use common::debian::Debian;
use common::server::until;
use common::text;

/// A host that only this machine sees.
const INSTALL: &str = "apyfal host install --accelerator gzip --listen 127.0.0.1:8000";
/// What others would see of a job.
const RUN: &str = "echo hello > /tmp/in && apyfal run gzip /tmp/in /tmp/out --host_ip 127.0.0.1:8000 \
                   && gunzip -c /tmp/out";
/// All files of the machine but those that systemd keeps for itself.
const FILES: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /tmp -o -path /root \
                     -o -path /var/log/journal -o -path /var/lib/systemd \\) -prune -o -print | sort";

impl Debian {
    fn is_serving(&self) -> bool {
        self.bash("apyfal host status --host_ip 127.0.0.1:8000").status.success()
    }

    /// What the journal of the machine has of a unit.
    fn log(&self, unit: &str) -> String {
        self.ok(&format!("journalctl --no-pager -u {unit}"))
    }

    /// Has time seem to go by, for what looks at the lease.
    fn later(&self, hours: u32) {
        self.ok(&format!(
            "sed -i 's/^now=.*/&; now=$((now + {hours} * 3600000))/' \
             /usr/local/lib/apyfal/apyfal-end.sh"
        ));
    }
}

#[test]
fn a_service_is_installed_killed_started_again_and_removed() {
    let Some(mut machine) = Debian::boot() else { return };
    let before = machine.ok(FILES);
    machine.ok(INSTALL);
    assert_eq!(machine.ok(RUN), "hello\n");
    assert_eq!(machine.ok("systemctl is-active apyfal-end.timer"), "active\n");

    // Killed, it comes again.
    machine.ok("systemctl kill --signal=KILL apyfal");
    until("it serves again", || machine.is_serving());
    assert!(machine.log("apyfal").contains("status=9/KILL"), "{}", machine.log("apyfal"));
    // With the machine too.
    machine.reboot();
    until("it serves again", || machine.is_serving());
    assert_eq!(machine.ok(RUN), "hello\n");

    // Without a lease a host may be as wrong as it likes.
    machine.ok("cp /etc/apyfal/accelerator.conf /etc/apyfal/right.conf; \
                echo '[serve' > /etc/apyfal/accelerator.conf; systemctl restart apyfal || true");
    until("it fails", || machine.log("apyfal").contains("status=3"));
    machine.ok("systemctl kill --signal=KILL apyfal || true");
    machine.later(10_000);
    machine.ok("systemctl start apyfal-end.service");
    machine.ok("mv /etc/apyfal/right.conf /etc/apyfal/accelerator.conf; systemctl start apyfal");
    assert!(machine.is_serving());

    machine.ok("apyfal host uninstall --purge");
    // The journal of the system is its own, and the program was there before.
    let after = machine.ok(FILES);
    let set = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (set(&before), set(&after));
    let left: Vec<_> = after.difference(&before).collect();
    let lost: Vec<_> = before.difference(&after).collect();
    assert!(left.is_empty() && lost == ["/usr/local/bin/apyfal"], "{left:?} {lost:?}");
    let units = machine.ok("systemctl list-units --all --plain --no-legend 'apyfal*'");
    assert!(!units.contains("active"), "{units}");
}

#[test]
fn a_machine_ends_with_its_host_though_the_disk_is_full() {
    let Some(mut machine) = Debian::boot() else { return };
    // As soon as it serves, the disk is full, and no job is taken.
    let full = "mkdir -p /etc/apyfal /etc/systemd/system/apyfal.service.d
        cat > /etc/systemd/system/apyfal.service.d/full.conf <<'END'
[Service]
ExecStartPost=-+/bin/sh -c 'cat /dev/zero > /full || true'
ExecStartPost=-+/usr/local/bin/apyfal run gzip /etc/passwd /run/out --host_ip 127.0.0.1:8000
END
        cat > /etc/apyfal/shut-down <<'END'
#!/bin/sh
journalctl --no-pager -u apyfal > /mnt/said
systemctl poweroff
END
        chmod 755 /etc/apyfal/shut-down";
    machine.ok(full);
    // Nothing but the host itself ends it.
    machine.ok("systemctl mask apyfal-end.timer");
    machine.bash(&format!("{INSTALL} --no_start --idle_timeout 3s && systemctl start apyfal"));
    machine.ended();
    let said = machine.kept("said");
    assert!(said.contains("nobody used this host for too long"), "{said}");
    assert!(said.contains("the disk of the host is full"), "{said}");
}

#[test]
fn a_machine_ends_with_its_lease_though_no_host_can_run() {
    let Some(mut machine) = Debian::boot() else { return };
    // It has the agent, and so needs no network to get it.
    machine.ok("cd && apyfal user-data --accelerator gzip --idle_timeout 1h --max_lifetime 12h \
                --shutdown_command 'sh -c \"journalctl -u apyfal-end > /mnt/said; poweroff\"' \
                --agent http://127.0.0.1/apyfal --first_contact /root/contact \
                --agent_sha256 $(sha256sum /usr/local/bin/apyfal | cut -d' ' -f1) > user-data \
                && bash user-data || { cat /var/log/apyfal-user-data.log; false; }");
    assert_eq!(machine.ok("systemctl is-active apyfal-end.timer apyfal"), "active\nactive\n");
    machine.ok("apyfal host add mine https://127.0.0.1:8000 --first_contact /root/contact");
    let looks = |machine: &Debian| machine.ok("systemctl start apyfal-end.service");

    // On a full disk no work is taken that needs it, and a lease can be made longer.
    machine.ok("cat /dev/zero > /full || true");
    let refused = machine.bash(
        "export HOME=/run; apyfal create --name full --accelerator gzip \
         --host_ip https://127.0.0.1:8000 --token $(cat /var/lib/apyfal/token) \
         --fingerprint $(apyfal serve --pair --config /etc/apyfal/accelerator.conf | \
                         sed 's/.*--fingerprint //') && apyfal start --name full",
    );
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(23), "{said}");
    assert!(said.contains("the disk of the host is full"), "{said}");
    machine.ok("apyfal host extend 20h");
    machine.ok("rm /full");
    machine.later(15);
    looks(&machine);

    // Neither does a journal that cannot be opened end it before its time,
    machine.ok("systemctl stop apyfal; echo garbage > /var/lib/apyfal/journal.db; \
                systemctl start --no-block apyfal");
    until("it fails", || machine.log("apyfal").contains("it is damaged"));
    looks(&machine);
    // nor a configuration that is wrong when the machine starts again.
    machine.ok("echo '[serve' > /etc/apyfal/accelerator.conf");
    machine.reboot();
    until("it fails", || machine.log("apyfal").contains("status=3"));
    looks(&machine);
    // Then it is time. To see that here it looks more often.
    machine.ok("mkdir /etc/systemd/system/apyfal-end.timer.d
         printf '[Timer]\\nOnCalendar=*:*:*\\n' > /etc/systemd/system/apyfal-end.timer.d/often.conf
         systemctl daemon-reload && systemctl is-active apyfal-end.timer");
    machine.later(2);
    machine.ended();
    let said = machine.kept("said");
    assert!(said.contains("nobody used its host for too long"), "{said}");
}
