//! The machines themselves, of which these tests need to be sure.

use crate::common::Home;
use crate::common::server::until;
use crate::metal::Metal;
use crate::{boto3, line, run_instance, until_state};

/// Writes down each of its starts, and says something at two ports.
const SERVES: &str = r#"#!/usr/bin/perl
use IO::Socket::INET;
open my $starts, '>>', '/root/starts'; print $starts "started\n"; close $starts;
for my $port (443, 8000) {
    next if fork;
    my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 5, ReuseAddr => 1) or die;
    while (my $client = $server->accept) { <$client>; print $client "HTTP/1.0 200 OK\r\n\r\nit is $port\n"; }
}
print "it serves\n";
"#;

#[test]
fn a_machine_follows_its_instance() {
    let Some(metal) = Metal::new() else { return };
    let home = Home::new();
    let id = run_instance(&metal, &home, SERVES, &[443]);
    let asks = |address: &str, port: u16| {
        line(&metal, &home, &format!("curl -sf --max-time 2 http://{address}:{port}/"))
    };
    let on_machine = |script: &str| {
        let machines = metal.machines();
        String::from_utf8(machines[&id].system().bash(script).stdout).unwrap()
    };
    until("it serves", || {
        let address = metal.instance().public_address;
        address.is_some_and(|address| asks(&address, 443).stdout == b"it is 443\n")
    });
    let instance = metal.instance();
    let private = instance.private_address.unwrap();
    assert_eq!(asks(&private, 443).stdout, b"it is 443\n");
    // The other port is there, and its security group lets nobody in.
    assert_eq!(on_machine("curl -sf http://127.0.0.1:8000/"), "it is 8000\n");
    assert!(!asks(&private, 8000).status.success());
    let console = "print(ec2.get_console_output(InstanceId=sys.argv[1], Latest=True)['Output'])";
    until("its console is told", || boto3(&metal, &home, console, &[&id]) == "it serves");

    // Its metadata are its own, for those who ask in the second version alone.
    let told = "curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 9' \
                http://169.254.169.254/latest/api/token";
    let told = format!(
        "curl -s -H \"X-aws-ec2-metadata-token: $({told})\" \
         http://169.254.169.254/latest/meta-data/instance-id"
    );
    assert_eq!(on_machine(&told), id);

    let change =
        |call: &str| boto3(&metal, &home, &format!("ec2.{call}(InstanceIds=sys.argv[1:])"), &[&id]);
    change("stop_instances");
    until_state(&metal, "stopped");
    until("it is off", || !asks(&private, 443).status.success());
    change("start_instances");
    until_state(&metal, "running");
    until("it is on", || metal.machines().get_mut(&id).unwrap().is_on());
    // User data is for the first start alone, and the disk is what it was.
    assert_eq!(on_machine("cat /root/starts; ls /run"), "started\n");
    assert!(!asks(&private, 443).status.success());
    assert_ne!(metal.instance().public_address, instance.public_address);

    change("terminate_instances");
    until("it is gone", || metal.machines().is_empty());
    assert!(metal.living().is_empty());
}

#[test]
fn a_machine_that_shuts_down_ends_its_instance() {
    let Some(metal) = Metal::new() else { return };
    let home = Home::new();
    let id = run_instance(&metal, &home, "#!/bin/sh\nshutdown -P now\nsleep 100\n", &[]);
    until("it is gone", || metal.living().is_empty());
    let reason = "found = ec2.describe_instances(InstanceIds=sys.argv[1:])['Reservations']\n\
                  print(found[0]['Instances'][0]['StateReason']['Code'])";
    assert_eq!(boto3(&metal, &home, reason, &[&id]), "Client.InstanceInitiatedShutdown");
}
