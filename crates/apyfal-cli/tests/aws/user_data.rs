//! A host by `apyfal user-data`, on an instance that somebody made.

use crate::common::server::until;
use crate::common::{Home, peer, words};
use crate::metal::Metal;
use crate::{boto3, line, ok, run_instance, word_after};

/// Puts the agent where a machine can get it, and prints the address.
const UPLOAD: &str = "
from botocore.config import Config
s3 = boto3.client('s3', config=Config(signature_version='s3v4'))
s3.create_bucket(Bucket='agents')
s3.upload_file(sys.argv[1], 'agents', 'agent')
print(s3.generate_presigned_url('get_object', Params={'Bucket': 'agents', 'Key': 'agent'}))
";

#[test]
fn user_data_makes_an_instance_a_host_that_ends_itself() {
    let Some(metal) = Metal::new() else { return };
    let home = Home::new();
    let notes = words(300_000, 1);
    home.write("notes.txt", &notes);
    let agent = env!("CARGO_BIN_EXE_apyfal");
    let url = boto3(&metal, &home, UPLOAD, &[agent]);
    let digest = ok(&metal, &home, &format!("sha256sum {agent} | cut -d' ' -f1"));
    let made = line(
        &metal,
        &home,
        &format!(
            "apyfal user-data --accelerator gzip --agent '{url}' --agent_sha256 {} \
             --listen 0.0.0.0:443 --idle_timeout 3s >user-data",
            digest.trim()
        ),
    );
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(made.status.success(), "{said}");
    let pairing = said.lines().find(|line| line.contains("apyfal host add")).unwrap();

    let script = String::from_utf8(home.read("user-data")).unwrap();
    run_instance(&metal, &home, &script, &[22, 443]);
    until("it is a host", || {
        let Some(address) = metal.instance().public_address else { return false };
        line(&metal, &home, &pairing.replace("ADDRESS", &address)).status.success()
    });
    let name = word_after(pairing, "add");
    ok(&metal, &home, &format!("apyfal run gzip notes.txt notes.gz --host_ip {name}"));
    assert!(peer("gzip", &["-dc"], &home.read("notes.gz")) == notes);
    until("its lease ends, and the machine with it", || metal.living().is_empty());
}
