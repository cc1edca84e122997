//! A machine ends though nobody tells it to, as its owner is gone.

use std::io::Read;
use std::process::Stdio;

use crate::common::Home;
use crate::common::server::until;
use crate::made::{assert_nothing_is_left, owner};
use crate::metal::Metal;
use crate::ok;

const CREATE: &str = "apyfal create --accelerator gzip --host_type AWS";

fn host(metal: &Metal, section: &str) -> Home {
    let home = owner(section);
    ok(metal, &home, &format!("{CREATE} && apyfal start"));
    home
}

#[test]
fn a_machine_ends_whose_client_was_killed_in_the_midst_of_a_job() {
    let Some(metal) = Metal::new() else { return };
    let home = host(&metal, "idle_timeout = 3s\n");
    // The job runs as long as its input goes on.
    let mut client = metal
        .client
        .command(&home, "bash", &["-c", "exec apyfal process -i - -o - </dev/urandom"])
        .envs(metal.cloud.environment())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdout.take().unwrap().read_exact(&mut [0; 1 << 20]).unwrap();
    assert_eq!(metal.living().len(), 1);
    client.kill().unwrap();
    client.wait().unwrap();
    until("its lease ends, and the machine with it", || metal.living().is_empty());
    assert_nothing_is_left(&metal, "the end of its lease");
}
