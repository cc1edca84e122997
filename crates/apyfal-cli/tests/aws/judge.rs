//! The original's own tests, unmodified, for who has them: `APYFAL_ORIGINAL` is the folder of its source. Nothing of
//! them is here; `docs/reference/original-tests.md` says of each why it is run or not.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::common::server::until;
use crate::common::{Home, text};
use crate::made::{assert_nothing_is_left, owner};
use crate::metal::Metal;
use crate::python::package;
use crate::{boto3, line, ok};

/// Those that run, by their names.
const TESTS: [&str; 14] = [
    "test_client.py::test_acceleratorclient_new_init",
    "test_configuration.py::test_create_configuration",
    "test_configuration.py::test_configuration_access_token_real",
    "test_configuration.py::test_configuration_access_token_real_no_cred",
    "test_configuration.py::test_configuration_get_requirements_real",
    "test_configuration.py::test_legacy_backward_compatibility",
    "test_configuration.py::test_subsections",
    "test_host_aws.py::test_awsclass_import",
    "test_host_aws.py::test_awsclass_real",
    "test_storage.py::test_parse_url",
    "test_storage.py::test_open",
    "test_storage_alibaba.py::test_ossclass_import",
    "test_storage_aws.py::test_s3class_import",
    "test_storage_aws.py::test_s3class_real",
];

/// Where the catalog is served.
const CATALOG: &str = "127.0.0.1:8001";

/// A catalog that has what the tests ask for, until this is dropped.
struct Catalog(Child);

impl Catalog {
    fn serve(metal: &Metal, home: &Home) -> Self {
        let folder = home.path("catalog");
        std::fs::create_dir(&folder).unwrap();
        let image = "[accelerator.axonerve_hyperfire.AWS.\"*\"]\nimage = \"ami-2\"\n";
        std::fs::write(folder.join("catalog.toml"), image).unwrap();
        ok(
            metal,
            home,
            "cd catalog && echo secret_of_many | apyfal catalog account add me --secret_stdin",
        );
        let serve = format!("cd catalog && exec apyfal catalog serve --listen {CATALOG}");
        let mut served = metal.client.command(home, "bash", &["-c", &serve]);
        let child = served.stderr(Stdio::null()).spawn().unwrap();
        let asking = format!("curl -sf http://{CATALOG}/healthz");
        until("the catalog is served", || line(metal, home, &asking).status.success());
        Self(child)
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The tests beside nothing else of the original, so that they import what is installed.
fn copied(original: &Path, home: &Home) -> PathBuf {
    let tests = home.path("judge/tests");
    std::fs::create_dir_all(&tests).unwrap();
    for entry in std::fs::read_dir(original.join("tests")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), tests.join(entry.file_name())).unwrap();
    }
    tests
}

#[test]
fn the_tests_of_the_original_pass() {
    let Some(original) = std::env::var_os("APYFAL_ORIGINAL") else {
        return eprintln!(
            "APYFAL_ORIGINAL names no source of the original: its tests are left out"
        );
    };
    let Some(metal) = Metal::with_systemd() else { return };
    let keys = metal.cloud.environment();
    let key = |name: &str| keys.iter().find(|(key, _)| *key == name).unwrap().1.clone();
    let account = format!(
        "client_id = {}\nsecret_id = {}\n",
        key("AWS_ACCESS_KEY_ID"),
        key("AWS_SECRET_ACCESS_KEY")
    );
    let home = owner(&format!(
        "region = eu-west-1\n{account}\
         [storage.AWS]\nendpoint = {}\nunsecure = True\nregion = us-east-1\n{account}\
         [accelize]\nserver = http://{CATALOG}\nclient_id = me\nsecret_id = secret_of_many\n",
        metal.cloud.url(),
    ));
    let site = package(&home);
    let tests = copied(Path::new(&original), &home);
    let _catalog = Catalog::serve(&metal, &home);
    boto3(&metal, &home, "boto3.client('s3').create_bucket(Bucket='testaccelizestorage')", &[]);
    metal.cloud.add_image("ami-58d7e821");

    let words = ["-X", "dev", "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "ignore"];
    let named = TESTS.map(|name| tests.join(name).to_string_lossy().into_owned());
    let words: Vec<_> = words.into_iter().chain(named.iter().map(String::as_str)).collect();
    let judged = metal
        .client
        .command(&home, "python3", &words)
        .envs(keys)
        .env("PYTHONPATH", &site)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let told = text(&judged.stdout);
    let passed = told.lines().filter(|line| line.contains(" PASSED ")).count();
    assert!(judged.status.success() && passed == TESTS.len(), "{told}{}", text(&judged.stderr));
    assert_nothing_is_left(&metal, "the judge");
}
