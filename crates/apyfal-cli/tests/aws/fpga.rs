//! What is asked of AWS for an accelerator that runs on an FPGA alone, beside one that needs none.

use std::collections::BTreeMap;
use std::process::Stdio;

use apyfal_testkit::{Cloud, CloudInstance};

use crate::common::server::until_some;
use crate::common::{Home, text};

/// The catalog of its owner, which alone knows one of them: its machine is not named.
fn catalog() -> String {
    format!(
        "[accelerator.gzip.AWS.'*']\nimage = {{ ssm = '{IMAGE}' }}\ninstancetype = 't3.micro'\n\
         [accelerator.mine.AWS.'*']\n\
         image = {{ ssm = '{IMAGE}' }}\nfpgaimage = 'agfi-0123456789abcdef0'\n"
    )
}

const IMAGE: &str = "/aws/service/debian/release/12/latest/amd64";

/// The instance that a start asks for. Nobody waits for its host.
fn asked_for(cloud: &Cloud, home: &Home, accelerator: &str) -> CloudInstance {
    let words = ["--name", accelerator, "--accelerator", accelerator, "--host_type", "AWS"];
    let words = [&["create"], &words[..]].concat();
    let created = home.apyfal(&words).envs(cloud.environment()).output().unwrap();
    assert!(created.status.success(), "{}", text(&created.stderr));
    let mut start = home.apyfal(&["start", "--name", accelerator]);
    let mut start = start.envs(cloud.environment()).stderr(Stdio::null()).spawn().unwrap();
    let instance = until_some("it is made", || {
        let found = cloud.instances().into_iter();
        found.rev().find(|made| made.tags["apyfal:accelerator"] == accelerator)
    });
    start.kill().unwrap();
    start.wait().unwrap();
    instance
}

#[test]
fn only_what_needs_an_fpga_gets_one() {
    let (cloud, home) = (Cloud::start().unwrap(), Home::new());
    home.write("catalog.toml", catalog());
    home.write(
        "accelerator.conf",
        "[accelize]\ncatalog = catalog.toml\n[host.AWS]\nallowed_cidr = 192.0.2.7\n",
    );

    let plain = asked_for(&cloud, &home, "gzip");
    let left = cloud.left();
    let rights = ["roles", "policies", "profiles"].map(|kind| left.get(kind).map_or(0, Vec::len));
    assert_eq!((plain.instance_type.as_str(), &plain.profile), ("t3.micro", &None));
    assert_eq!(cloud.count("CreateRole") + cloud.count("CreatePolicy"), 0, "{rights:?}");
    assert!(!plain.user_data.contains("aws-fpga") && !plain.user_data.contains("--devices"));
    assert!(plain.user_data.contains("169.254.169.254"), "its jobs get no metadata");

    let fpga = asked_for(&cloud, &home, "mine");
    assert_eq!(fpga.instance_type, "f2.6xlarge");
    assert_eq!(fpga.image, plain.image);
    assert_eq!(fpga.profile.as_deref(), Some("AccelizeLoadFPGA"));
    // The tools that load images, and the helper that has the right to.
    assert!(fpga.user_data.contains("aws-fpga") && fpga.user_data.contains("install --devices"));
    let calls = cloud.calls();
    let made = |action: &str| -> Vec<&BTreeMap<_, _>> {
        let calls = calls.iter().filter(|call| call.action == action);
        calls.map(|call| &call.parameters).collect()
    };
    assert_eq!((made("CreateRole").len(), made("CreatePolicy").len()), (1, 1));
    let policy = made("CreatePolicy")[0]["PolicyDocument"].as_str().unwrap().to_owned();
    for right in ["AssociateFpgaImage", "DisassociateFpgaImage", "DescribeFpgaImages"] {
        assert!(policy.contains(&format!("ec2:{right}")), "{policy}");
    }
    assert!(!policy.contains("s3:"), "{policy}");
    // All else of the two is the same.
    let requests = made("RunInstances");
    let differ = |name: &str| {
        let [plain, fpga] = [0, 1].map(|number| requests[number].get(name));
        plain != fpga
    };
    let mut names: Vec<_> = requests.iter().flat_map(|request| request.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| differ(name) && !name.starts_with("TagSpecification"));
    assert_eq!(names, ["ClientToken", "IamInstanceProfile.Name", "InstanceType"]);
}

#[test]
fn what_the_catalog_does_not_know_either_is_refused() {
    let (cloud, home) = (Cloud::start().unwrap(), Home::new());
    home.write("catalog.toml", catalog());
    home.write("accelerator.conf", "[accelize]\ncatalog = catalog.toml\n");
    home.write("notes.txt", "notes");
    for words in [
        &["create", "--accelerator", "mien", "--host_type", "AWS"][..],
        &["run", "mien", "notes.txt", "out", "--host_type", "AWS"],
    ] {
        let refused = home.apyfal(words).envs(cloud.environment()).output().unwrap();
        let said = text(&refused.stderr);
        assert!(!refused.status.success() && said.contains("'mien'"), "{said}");
    }
    assert_eq!(cloud.count("RunInstances"), 0);
}
