//! What a machine is told by its cloud is not for the jobs on it.

use crate::made::{assert_nothing_is_left, owner};
use crate::metal::Metal;
use crate::ok;

/// Says how asking for a token of the metadata service ends, by either of its addresses.
const ASKS: &str = "[accelerator.asks]\ncommand = ['sh', '-c', 'cat >/dev/null; for address in \
                    169.254.169.254 [fd00:ec2::254]; do curl -s --max-time 3 -X PUT -H \
                    X-aws-ec2-metadata-token-ttl-seconds:9 http://$address/latest/api/token \
                    >/dev/null; echo $?; done']\n";

#[test]
fn jobs_do_not_reach_what_their_machine_is_told() {
    let Some(metal) = Metal::with_systemd() else { return };
    let home = owner(ASKS);
    ok(&metal, &home, "apyfal create --accelerator asks --host_type AWS && apyfal start");
    ok(&metal, &home, "apyfal process -i notes.txt -o said");
    let said = home.read("said");
    // No answer came, and there is no way to the other one.
    assert_eq!(String::from_utf8_lossy(&said), "28\n7\n");
    let id = metal.instance().id;
    let on_machine = |script: &str| metal.machines()[&id].system().bash(script);
    // The service is there, for whoever is not a job.
    let asks = "curl -sf -X PUT -H X-aws-ec2-metadata-token-ttl-seconds:9 \
                http://169.254.169.254/latest/api/token";
    assert!(on_machine(asks).status.success());
    let denied = on_machine("systemctl show apyfal --property IPAddressDeny").stdout;
    let denied = String::from_utf8_lossy(&denied).into_owned();
    assert!(denied.contains("fd00:ec2::254"), "{denied}");
    ok(&metal, &home, "apyfal stop");
    assert_nothing_is_left(&metal, "stopped");
}
