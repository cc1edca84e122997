//! Programs in Python whose hosts are on AWS: as users of the original wrote them, and as the page of
//! its manual has them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Home, page, text};
use crate::made::{assert_nothing_is_left, is_right, owner};
use crate::metal::Metal;

/// The package as it is installed: its Python part, and the core beside it.
pub(crate) fn package(home: &Home) -> PathBuf {
    if std::env::var_os("APYFAL_TEST_ALL").is_none() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package", "apyfal-python"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = apyfal_testkit::by_a_user(&mut cargo).status().unwrap();
        assert!(built.success(), "the core of the package for Python cannot be built");
    }
    let site = home.path("site");
    let package = site.join("apyfal");
    std::fs::create_dir_all(&package).unwrap();
    for entry in std::fs::read_dir(page::root().join("python/apyfal")).unwrap() {
        let entry = entry.unwrap();
        std::os::unix::fs::symlink(
            entry.path().canonicalize().unwrap(),
            package.join(entry.file_name()),
        )
        .unwrap();
    }
    // Where all tests are run, it is beside them.
    let core = std::env::current_exe().unwrap().with_file_name("lib_apyfal.so");
    std::os::unix::fs::symlink(core, package.join("_apyfal.abi3.so")).unwrap();
    site
}

/// Runs a program, with every warning of Python an error. What it prints.
fn run(metal: &Metal, home: &Home, site: &Path, program: &str) -> String {
    let mut python = metal.client.command(home, "python3", &["-W", "error", "-c", program]);
    let output = python
        .envs(metal.cloud.environment())
        .env("PYTHONPATH", site)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_host_is_made_used_twice_and_ended() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    let site = package(&home);
    std::fs::create_dir(home.path("out")).unwrap();
    let program = "
import apyfal
apyfal.get_logger(True)
with apyfal.Accelerator(accelerator='gzip', host_type='AWS', region='us-east-1', client_id='AK', secret_id='SK',
                        accelize_client_id='C', accelize_secret_id='S') as accel:
    accel.start()
    accel.process(src='notes.txt', dst='out/1.gz')
    accel.process('notes.txt', 'out/2.gz')
";
    let program = program.replace("'AK'", "'AKIAIOSFODNN7EXAMPLE'");
    let program = program.replace("'SK'", "'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'");
    run(&metal, &home, &site, &program);
    assert!(is_right(&home, "out/1.gz") && is_right(&home, "out/2.gz"));
    assert_eq!(metal.cloud.count("RunInstances"), 1);
    assert_nothing_is_left(&metal, "the end of the block");
}

#[test]
fn a_host_is_kept_found_and_ended() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    let site = package(&home);
    let program = "
import apyfal
with apyfal.Accelerator(accelerator='gzip', host_type='AWS') as accel:
    accel.start(stop_mode='keep')
    instance_id, host_ip = accel.host.instance_id, accel.host.host_ip
with apyfal.Accelerator(accelerator='gzip', host_type='AWS', region='us-east-1', instance_id=instance_id) as accel:
    accel.start()
with apyfal.Accelerator(accelerator='gzip', host_ip=host_ip) as accel:
    accel.start(); accel.process(src='notes.txt', dst='3.gz')
print(instance_id)
";
    let kept = run(&metal, &home, &site, program);
    assert_eq!(metal.instance().id, kept.trim());
    assert!(is_right(&home, "3.gz"));
    let program = "
import apyfal
for accel in apyfal.iter_accelerators(host_type='AWS', accelerator='gz.*'):
    print(accel, accel.host.public_ip, accel.client.url, accel.public_ip)
    accel.stop('term')
";
    let address = metal.instance().public_address.unwrap();
    let told = run(&metal, &home, &site, program);
    assert_eq!(told.matches(&format!(" {address} ")).count(), 1, "{told}");
    assert!(told.trim_end().ends_with(&address) && told.contains("AWS"), "{told}");
    assert_eq!(metal.cloud.count("RunInstances"), 1);
    assert_nothing_is_left(&metal, "what was found was ended");
}

#[test]
fn a_pool_has_a_host_for_each() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    let site = package(&home);
    let program = "
import apyfal
files = ['notes.txt'] * 6
outs = [f'{number}.gz' for number in range(6)]
with apyfal.AcceleratorPoolExecutor(accelerator='gzip', host_type='AWS', workers_count=3) as pool:
    pool.start()
    for result in pool.process_map(srcs=files, dsts=outs): ...
    assert len({host.instance_id for host in pool.hosts}) == 3
    assert len(pool.accelerators) == len({client.url for client in pool.clients}) == 3
";
    run(&metal, &home, &site, program);
    assert!((0..6).all(|number| is_right(&home, &format!("{number}.gz"))));
    assert_eq!(metal.cloud.instances().len(), 3);
    assert_nothing_is_left(&metal, "the end of the pool");
}

#[test]
fn hosts_by_themselves() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    let site = package(&home);
    let program = "
from apyfal.host import Host
from apyfal.host.aws import AWSHost
host = AWSHost(region='us-east-1', spot_instance=False)
host.start(accelerator='gzip', image_id='ami-0a000000000000012', instance_type='f2.6xlarge')
host.info; host.url; host.stop('term')
";
    run(&metal, &home, &site, program);
    let [instance] = &metal.cloud.instances()[..] else { panic!("one instance") };
    assert_eq!(instance.image, "ami-0a000000000000012");
    assert_eq!(instance.instance_type, "f2.6xlarge");
    assert_eq!(instance.spot_request, None);
    assert_nothing_is_left(&metal, "stopped");
}

#[test]
fn the_page_of_the_manual_has_its_spot_instance() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    let site = package(&home);
    let program = "
import apyfal

 # Based on AWS documentation, create a dict containing arguments to pass
 # to the \"create_instances\" method.
use_spot_instance = {
    'InstanceMarketOptions': {
        'MarketType': 'spot',
        'SpotOptions': {
            'SpotInstanceType': 'one-time',
            'InstanceInterruptionBehavior': 'terminate'}},
    'InstanceInitiatedShutdownBehavior': 'terminate'}

# On Accelerator instantiation, pass the dict to the
# \"boto3_create_instances_kwargs\" argument.
with apyfal.Accelerator(
        accelerator='gzip', host_type='AWS',
        boto3_create_instances_kwargs=use_spot_instance) as myaccel:

    # Continue the use of the accelerator as normal.
    myaccel.start()
    myaccel.process('notes.txt', 'notes.gz')
";
    run(&metal, &home, &site, program);
    assert!(is_right(&home, "notes.gz"));
    let [instance] = &metal.cloud.instances()[..] else { panic!("one instance") };
    assert!(instance.spot_request.is_some());
    assert_eq!(instance.at_shutdown, "terminate");
    let calls = metal.cloud.calls();
    let asked = calls.iter().find(|call| call.action == "RunInstances").unwrap();
    let market = |name: &str| asked.parameters[&format!("InstanceMarketOptions.{name}")].clone();
    assert_eq!(market("MarketType"), "spot");
    assert_eq!(market("SpotOptions.SpotInstanceType"), "one-time");
    assert_eq!(market("SpotOptions.InstanceInterruptionBehavior"), "terminate");
    assert_nothing_is_left(&metal, "the end of the block");
}

#[test]
fn the_guide_runs_in_python() {
    let Some(metal) = Metal::new() else { return };
    let home = owner("");
    let site = package(&home);
    let programs = page::programs("docs/guides/aws.md");
    for program in &programs {
        run(&metal, &home, &site, program);
    }
    assert!(is_right(&home, "again.gz") && is_right(&home, "cheap.gz"));
    assert_eq!(metal.cloud.count("RunInstances"), programs.len());
    assert_nothing_is_left(&metal, "the end of the guide");
}

#[test]
fn a_host_is_made_for_what_no_catalog_has() {
    let Some(metal) = Metal::with_systemd() else { return };
    let home = owner("region = us-east-1\n");
    let site = package(&home);
    metal.cloud.add_image("ami-58d7e821");
    let program = "
import apyfal
from apyfal.host import Host
config = apyfal.configuration.Configuration()
config['host']['host_type'] = 'AWS'
needs = {'accelerator': 'of_nobody', 'us-east-1': {
    'image': 'ami-58d7e821', 'instancetype': 't2.nano', 'fpgaimage': 'None'}}
Host._PARAMETER_PREFIX = 'Mine'
with Host(config=config, stop_mode='stop') as first:
    first.start(accel_parameters=needs)
    made, name, keys = first.instance_id, first.host_name, first.key_pair
assert '_of_nobody_' in name and keys == 'MineAWSKeyPair', (name, keys)
with Host(config=config, instance_id=made, stop_mode='keep') as again:
    again.start(accel_parameters=needs)
    assert again.instance_id == made
with Host(config=config, host_ip=again.url) as known:
    known.start(accel_parameters=needs)
    assert known.url == again.url
# It serves what there is, and says what there is not.
with apyfal.Accelerator('gzip', host_ip=again.url) as gzip:
    gzip.start()
    gzip.process('notes.txt', 'notes.gz')
with apyfal.Accelerator('of_nobody', host_ip=again.url) as nothing:
    try:
        nothing.start()
    except apyfal.exceptions.ClientConfigurationException as error:
        print(error, *error.hints)
with Host(config=config, instance_id=made, stop_mode='term') as last:
    last.start(accel_parameters=needs)
assert not list(apyfal.iter_accelerators(config=config))
";
    let told = run(&metal, &home, &site, program);
    assert!(told.contains("of_nobody"), "{told}");
    assert!(is_right(&home, "notes.gz"));
    assert_eq!(metal.cloud.count("RunInstances"), 1);
    let [instance] = &metal.cloud.instances()[..] else { panic!("one instance") };
    assert_eq!(instance.instance_type, "t2.nano");
    assert_nothing_is_left(&metal, "the end");
}
