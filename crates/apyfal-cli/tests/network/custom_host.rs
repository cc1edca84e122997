//! Hosts that are started by hand or by user data, on machines with a system of their own, and the
//! guide that leads to them.

use std::process::{Child, Stdio};

use crate::common::bare_machine::BareMachine;
use crate::common::machine::Machine;
use crate::common::server::until;
use crate::common::{Home, page, text, words};
use crate::two_machines::{HOST, TwoMachines};
use crate::{line, ok, word_after};

/// Where the catalog server is: on the client's machine.
const CATALOG: &str = "10.77.0.2:8001";

/// A catalog server with an accelerator that was packed just now, and the agent.
struct Catalog {
    child: Child,
}

impl Catalog {
    fn serve(client: &Machine, home: &Home) -> Self {
        let there = |words: &str| ok(client, home, words);
        there(
            "apyfal init my_accelerator --language c && make -s -C my_accelerator && apyfal pack my_accelerator",
        );
        std::fs::copy(env!("CARGO_BIN_EXE_apyfal"), home.path("agent")).unwrap();
        let digest =
            |file: &str| there(&format!("sha256sum {file} | cut -d' ' -f1")).trim().to_owned();
        let (package, agent) = (digest("my_accelerator-0.1.0.apyfal"), digest("agent"));
        let architecture = std::env::consts::ARCH;
        home.write(
            "catalog.toml",
            format!(
                "[agent.{architecture}]\nurl = 'agent'\nsha256 = '{agent}'\n\
                 [accelerator.my_accelerator]\n\
                 package = {{ url = 'my_accelerator-0.1.0.apyfal', sha256 = '{package}' }}\n\
                 [accelerator.my_accelerator.my_provider.my_region]\n\
                 image = 'ubuntu-24.04'\ninstancetype = 'f.large'\n"
            ),
        );
        there("apyfal catalog validate");
        there("echo my_secret_id_1 | apyfal catalog account add my_client_id --secret_stdin");
        let child = client
            .command(home, "apyfal", &["catalog", "serve", "--plain", "--listen", CATALOG])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let asking = format!("curl -sf http://{CATALOG}/healthz");
        until("the catalog is served", || line(client, home, &asking).status.success());
        // Those who ask find the server in their configuration, not the file beside them.
        std::fs::rename(home.path("catalog.toml"), home.path("kept.toml")).unwrap();
        Self { child }
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn account() -> String {
    format!(
        "[accelize]\nserver = http://{CATALOG}\nclient_id = my_client_id\n\
         secret_id = my_secret_id_1\nunsecure = True\n"
    )
}

/// What the package's program makes of text.
fn loud(text: &[u8]) -> Vec<u8> {
    text.to_ascii_uppercase()
}

#[test]
fn user_data_makes_a_bare_machine_a_host() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let (here, served) = (Home::new(), Home::new());
    let _catalog = Catalog::serve(&client, &served);
    here.write("accelerator.conf", account());
    let notes = words(300_000, 1);
    here.write("notes.txt", &notes);
    // A script of one's own is run as what it is: here by a program with an option.
    here.write(
        "own",
        "#!/usr/bin/perl -w\nopen F, '>', '/own'; printf F \"%04o $^W own\\n\", umask;\n",
    );
    let words = "apyfal user-data --accelerator my_accelerator --host_type my_provider \
                 --shutdown_command 'touch /ended' --idle_timeout 1h --init_script own";
    let made = line(&client, &here, words);
    let (script, said) = (text(&made.stdout), text(&made.stderr));
    assert!(made.status.success(), "{said}");
    assert!(script.starts_with("#!/bin/bash\n") && script.len() < 16 << 10, "{}", script.len());
    assert!(!script.contains("my_secret_id_1"), "a host needs no account");
    assert!(!script.contains("apyfal_"), "what opens the host is not for all who read user data");
    let pairing = said.lines().find(|line| line.contains("apyfal host add")).unwrap();

    let machine = BareMachine::boot(&host);
    let ran = machine.first_start(&script);
    let log = std::fs::read_to_string(machine.path("var/log/apyfal-user-data.log"));
    assert!(ran.status.success(), "{log:?}");
    assert!(machine.path("run/apyfal/up").exists());
    let own = std::fs::read_to_string(machine.path("own")).unwrap();
    assert_eq!(own, "0022 1 own\n", "the umask is the machine's");

    // Until its owner contacts it, the host serves nobody.
    let asking = format!("curl -sk https://{HOST}:8000/v2/host");
    assert!(ok(&client, &here, &asking).contains("it waits for its first contact"));
    let waits = machine.bash("apyfal host status --config /etc/apyfal/accelerator.conf");
    assert_eq!(text(&waits.stdout), "it waits for its first contact\n");
    let pair = machine.bash("apyfal serve --pair --config /etc/apyfal/accelerator.conf");
    assert_eq!(pair.status.code(), Some(8), "{}", text(&pair.stderr));
    ok(&client, &here, &pairing.replace("ADDRESS", HOST));
    let kept = word_after(pairing, "--first_contact");
    assert!(!std::path::Path::new(&kept).exists(), "it is of no more use");
    let name = word_after(pairing, "add");
    ok(&client, &here, &format!("apyfal create -a my_accelerator --host_ip {name}"));
    ok(&client, &here, "apyfal start && apyfal process -i notes.txt -o loud.txt && apyfal stop");
    assert!(here.read("loud.txt") == loud(&notes));
    let status = ok(&client, &here, &format!("apyfal host status {name}"));
    assert!(status.contains("default accelerator: my_accelerator"), "{status}");
    assert!(status.contains("idle_timeout 1 h") && status.contains("max_lifetime"), "{status}");
    assert!(!machine.path("ended").exists());

    // The service, a user of its own, finds what root installed. Where these tests run as somebody
    // else, the machine has no other user.
    let as_another = match host.has_user() {
        true => "HOME=/tmp",
        false => "HOME=/tmp chroot --userspec=65534:65534 /",
    };
    let program = "/usr/local/bin/apyfal run my_accelerator /tmp/in -";
    let output = machine.bash(&format!("echo quiet > /tmp/in && {as_another} {program}"));
    assert_eq!(text(&output.stdout), "QUIET\n", "{}", text(&output.stderr));

    // Nothing that others on the machine could read holds a secret.
    let token = text(&std::fs::read(machine.path("var/lib/apyfal/token")).unwrap());
    let token = token.trim();
    assert!(!script.contains(token) && !machine.path("var/lib/apyfal/first-contact").exists());
    let seen = text(
        &machine
            .bash("ls -l /var/lib/apyfal/token; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
            .stdout,
    );
    assert!(seen.contains("-rw-------") && !seen.contains(token), "{seen}");

    // The same once more, as some clouds do at every start, changes nothing.
    let again = machine.first_start(&script);
    assert!(again.status.success());
    ok(&client, &here, &format!("apyfal host status {name}"));
}

#[test]
fn a_first_contact_that_another_made_is_told() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let (here, served) = (Home::new(), Home::new());
    let _catalog = Catalog::serve(&client, &served);
    here.write("accelerator.conf", account());
    // The configuration goes with the first contact, as a secret, and over it goes what is on the
    // machine.
    here.write("sent.conf", "[storage.http]\nurl = https://example.org\n[serve]\nlisten = 1\n");
    let told = |kept: &str, more: &str| {
        let words = format!(
            "apyfal user-data --accelerator my_accelerator --host_type my_provider \
             --shutdown_command 'touch /ended' --first_contact {kept} {more}"
        );
        ok(&client, &here, &words)
    };
    let script = told("mine.json", "--init_config sent.conf");
    assert!(!script.contains("example.org"), "{script}");
    let _ = told("another.json", "");
    let machine = BareMachine::boot(&host);
    assert!(machine.first_start(&script).status.success());

    // One who has what user data says, and no more, gets nowhere.
    let add = |name: &str, kept: &str| {
        let words = format!("apyfal host add {name} https://{HOST}:8000 --first_contact {kept}");
        line(&client, &here, &words)
    };
    let read = |name: &str| serde_json::from_slice::<serde_json::Value>(&here.read(name)).unwrap();
    let mut forged = read("another.json");
    forged["shows"] = read("mine.json")["shows"].clone();
    here.write("forged.json", forged.to_string());
    let refused = add("forged", "forged.json");
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused.stderr));
    assert!(machine.path("var/lib/apyfal/first-contact").exists());

    // One who got hold of the owner's file is the first.
    let mut stolen = read("mine.json");
    stolen["host"] = read("another.json")["host"].clone();
    here.write("stolen.json", stolen.to_string());
    let mut same = read("mine.json");
    same["host"] = read("another.json")["host"].clone();
    here.write("same.json", same.to_string());
    assert!(add("stolen", "stolen.json").status.success());
    let refused = add("mine", "mine.json");
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{said}");
    assert!(said.contains("another one made it") && said.contains("end the machine"), "{said}");
    // Made once more by who made it, it is made: an answer may be lost.
    let again = add("stolen", "same.json");
    assert!(again.status.success(), "{}", text(&again.stderr));
}

#[test]
fn a_machine_that_becomes_no_host_ends_itself() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let home = Home::new();
    let words = format!(
        "apyfal user-data --accelerator gzip --agent http://{CATALOG}/nothing --agent_sha256 {} \
         --shutdown_command 'touch /ended'",
        "0".repeat(64)
    );
    let script = ok(&client, &home, &words);
    assert!(script.contains("sleep 1200"), "twenty minutes");
    // Here it need not take that long, nor to try to get what is not there.
    let script =
        script.replace("sleep 1200", "sleep 1").replace("for try in 1 2 3 4 5 6", "for try in 0");
    let machine = BareMachine::boot(&host);
    let ran = machine.first_start(&script);
    assert!(!ran.status.success());
    let log = std::fs::read_to_string(machine.path("var/log/apyfal-user-data.log")).unwrap();
    assert!(log.contains("apyfal: cannot get http://"), "{log}");
    until("the machine ends", || machine.path("ended").exists());
    assert!(!machine.path("usr/local/bin/apyfal").exists());
    assert!(!machine.path("etc/apyfal/host").exists());
}

#[test]
fn a_machine_whose_lease_runs_out_ends() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let (here, served) = (Home::new(), Home::new());
    let _catalog = Catalog::serve(&client, &served);
    here.write("accelerator.conf", account());
    let script = ok(
        &client,
        &here,
        "apyfal user-data --accelerator my_accelerator --host_type my_provider \
         --shutdown_command 'touch /ended' --idle_timeout 2s --max_lifetime none",
    );
    let machine = BareMachine::boot(&host);
    let ran = machine.first_start(&script);
    assert!(ran.status.success());
    until("the machine ends", || machine.path("ended").exists());
    let serving = machine.bash("grep -lz [s]erve /proc/[0-9]*/cmdline");
    assert_eq!(text(&serving.stdout), "", "and the host with it");
}

/// The line that a host printed, with the address and the name that the guide gives it.
fn as_my_host(pairing: &str) -> String {
    let name = word_after(pairing, "add");
    pairing.replace("ADDRESS", HOST).replace(&format!(" add {name} "), " add my_host ")
}

#[test]
fn a_machine_ends_with_its_lease_though_its_host_cannot_run() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let (here, served) = (Home::new(), Home::new());
    let _catalog = Catalog::serve(&client, &served);
    here.write("accelerator.conf", account());
    let script = ok(
        &client,
        &here,
        "apyfal user-data --accelerator my_accelerator --host_type my_provider \
         --shutdown_command 'touch /ended' --idle_timeout 1h --max_lifetime none",
    );
    // Here it looks more often.
    assert!(script.contains("sleep 30"), "{script}");
    let script = script.replace("sleep 30", "sleep 0.1");
    let machine = BareMachine::boot(&host);
    assert!(machine.first_start(&script).status.success());
    // Time goes by as the test says.
    let clock = "sed -i 's/^now=.*/&; now=$((now + $(cat \\/later))); touch \\/looked/' \
                 /usr/local/lib/apyfal/apyfal-end.sh";
    std::fs::write(machine.path("later"), "0").unwrap();
    assert!(machine.bash(clock).status.success());
    until("it looks at the lease", || machine.path("looked").exists());
    // A wrong configuration stays wrong: nobody starts the host again.
    std::fs::write(machine.path("etc/apyfal/accelerator.conf"), "[serve").unwrap();
    let kill = "kill -KILL $(grep -lz [s]erve /proc/[0-9]*/cmdline | cut -d/ -f3)";
    assert!(machine.bash(kill).status.success());
    std::fs::remove_file(machine.path("looked")).unwrap();
    until("it looks at the lease", || machine.path("looked").exists());
    assert!(!machine.path("ended").exists());
    std::fs::write(machine.path("later"), "4000000").unwrap();
    until("the machine ends", || machine.path("ended").exists());
}

#[test]
fn the_guide_leads_to_a_host() {
    let Some(TwoMachines { host, client }) = TwoMachines::new() else { return };
    let (here, served) = (Home::new(), Home::new());
    let _catalog = Catalog::serve(&client, &served);
    let notes = words(100_000, 2);
    here.write("notes.txt", &notes);
    let machine = BareMachine::boot(&host);
    // How a person would bring it there.
    std::fs::create_dir_all(machine.path("usr/local/bin")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_apyfal"), machine.path("usr/local/bin/apyfal")).unwrap();

    let guide = std::fs::read_to_string(page::root().join("docs/guides/custom-host.md")).unwrap();
    let guide = guide
        .replace(
            "server = https://catalog.example.org:8001",
            &format!("server = http://{CATALOG}\nunsecure = True"),
        )
        .replace("secret_id = my_secret_id", "secret_id = my_secret_id_1");
    let mut pairing: Option<String> = None;
    let mut ran = 0;
    for block in blocks(&guide) {
        let Some(script) = block.strip_prefix("# on the host\n") else {
            // What the host printed, in place of what the guide calls it.
            if block.contains("my_accelerator") {
                here.write("accelerator.conf", account());
            }
            for command in block.lines() {
                let command = match command.contains("ADDRESS") {
                    true => as_my_host(pairing.as_deref().expect("a pairing")),
                    false => command.to_owned(),
                };
                ok(&client, &here, &command);
                ran += 1;
            }
            if block.contains("process") {
                assert!(here.read("result.txt") == loud(&notes));
            }
            continue;
        };
        let output = machine.bash(&format!("set -e\n{script}"));
        assert!(output.status.success(), "{script}: {}", text(&output.stderr));
        let said = text(&output.stdout);
        let line = said.lines().find(|line| line.contains("--fingerprint"));
        pairing = pairing.or(line.map(str::to_owned));
        if script.contains("host install") {
            let again = machine.bash(script);
            let said = text(&again.stderr);
            assert!(said.starts_with("nothing to change"), "run twice: {said}");
        }
        ran += 1;
    }
    assert!(ran >= 12, "{ran}");
    assert!(!machine.path("etc/apyfal/host").exists(), "the guide ends with that");
    let serving = machine.bash("grep -lz [s]erve /proc/[0-9]*/cmdline");
    assert_eq!(text(&serving.stdout), "", "and the host has ended");
}

#[test]
fn systemd_has_the_host_serve_after_each_start_of_the_machine() {
    let Some(TwoMachines { host, client: _ }) = TwoMachines::new() else { return };
    let machine = BareMachine::boot(&host);
    std::fs::create_dir_all(machine.path("usr/local/bin")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_apyfal"), machine.path("usr/local/bin/apyfal")).unwrap();
    // All that can be seen of systemd: that it runs, and its command.
    let stand_in = "mkdir -p /run/systemd/system\n\
        printf '#!/bin/sh\\necho \"$@\" >> /calls\\n' > /usr/local/bin/systemctl\n\
        chmod 755 /usr/local/bin/systemctl";
    assert!(machine.bash(stand_in).status.success());
    let calls = |command: &str| {
        let ran = machine.bash(&format!("rm -f /calls; {command} 2>&1 && cat /calls"));
        assert!(ran.status.success(), "{command}: {}", text(&ran.stdout));
        text(&ran.stdout)
    };
    let quiet = |words: &str| calls(&format!("touch /calls; apyfal --quiet {words}"));
    assert_eq!(quiet("host install --no_start"), "");
    // What the first one wrote is what the second one starts.
    let started = "daemon-reload\nenable --now apyfal-end.timer\nenable apyfal.service\n\
                   start apyfal.service\n";
    assert_eq!(quiet("host install"), started);
    assert_eq!(quiet("host install"), started);
    assert!(machine.bash("rm /etc/systemd/system/apyfal.service").status.success());
    assert_eq!(quiet("host install"), started.replace("\nstart ", "\nrestart "));
    assert_eq!(
        quiet("host uninstall"),
        "disable --now apyfal-end.timer\ndisable --now apyfal.service\ndaemon-reload\n"
    );
}

/// The blocks of a guide that are typed.
fn blocks(guide: &str) -> Vec<String> {
    let mut parts = guide.split("```sh\n").skip(1);
    let block = |part: &str| part.split("```").next().unwrap_or_default().to_owned();
    parts.by_ref().map(block).collect()
}
