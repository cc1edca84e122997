use serde_json::json;

use super::*;
use crate::ErrorKind;

fn read(text: &str) -> Configuration {
    Configuration::parse(text.as_bytes(), "a.conf").unwrap()
}

fn warnings(configuration: &Configuration) -> Vec<String> {
    configuration.warnings().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(configuration: &Configuration, section: &str, key: &str, expected: Option<&str>) {
    assert_eq!(configuration.section(section).get(key).unwrap().as_deref(), expected);
}

#[test]
fn unset_is_none_everywhere() {
    let config = read("[host]\nregion\nrole =\npolicy = %(role)s\n");
    for key in ["region", "role", "policy", "missing"] {
        check(&config, "host", key, None);
        check(&config, "host.AWS", key, None);
    }
    check(&Configuration::default(), "host", "region", None);
    assert_eq!(config.section("host").get_bool("use_private_ip").unwrap(), None);
    assert_eq!(config.section("host").get_list("region").unwrap(), [""; 0]);
}

#[test]
fn a_subsection_falls_back_on_the_first_part_of_its_name() {
    let config = read(
        "[DEFAULT]\nregion = d\nrole = d\nbase = x\n[host]\nregion = h\nkey_pair = %(base)s-h\n\
         [host.AWS]\nregion =\nkey_pair = a\n[configuration]\nlevel = 1\n[configuration.a]\nlevel = 2\n",
    );
    check(&config, "host.aws", "region", Some("h"));
    check(&config, "host.aws", "key_pair", Some("a"));
    check(&config, "host.OpenStack", "key_pair", Some("x-h"));
    check(&config, "host.AWS", "role", Some("d"));
    // Only the first part: an accelerator's name may have dots.
    check(&config, "configuration.a.b", "level", Some("1"));
    // An accelerator's name is the same in any case.
    check(&config, "configuration.A", "level", Some("2"));
}

#[test]
fn a_storage_falls_back_on_its_type_and_on_the_host_of_its_type() {
    let config = read(
        "[host]\nhost_type = AWS\nclient_id = h\nsecret_id = s\n[host.OpenStack]\nregion = o\n\
         [host.AWS]\nregion = w\n[storage.s3]\nregion = t\n[storage.aws.archive]\nclient_id = c\n",
    );
    check(&config, "storage.AWS.archive", "client_id", Some("c"));
    check(&config, "storage.AWS.archive", "region", Some("t"));
    check(&config, "storage.AWS.archive", "secret_id", Some("s"));
    check(&config, "storage.AWS", "client_id", Some("h"));
    check(&config, "storage.OpenStack", "region", Some("o"));
    // The keys of AWS are not for another provider.
    check(&config, "storage.OpenStack", "client_id", None);
    assert_eq!(config.subsections("storage"), ["AWS", "AWS.archive"]);
    let entries = config.section("storage.AWS.archive").entries().unwrap();
    assert_eq!(entries, [("region", "t".to_owned()), ("client_id", "c".to_owned())]);
}

#[test]
fn arguments_then_environment_then_file() {
    let file = "[host]\nregion = f\nrole = f\npolicy = f\n[host.AWS]\nregion = fa\n";
    let expect = |config: &Configuration| {
        check(config, "host.AWS", "region", Some("arg"));
        check(config, "host.AWS", "role", Some("env"));
        check(config, "host.AWS", "policy", Some("f"));
    };
    let variables = [("APYFAL__HOST__REGION", "env"), ("APYFAL__HOST__AWS__ROLE", "env")];
    let mut config = read(file);
    config.apply_environment(variables);
    config.set("host", "region", Some("arg"));
    expect(&config);
    let mut config = read(file);
    config.set("host", "region", Some("arg"));
    config.apply_environment(variables);
    config.set("host", "region", None);
    config.set("host", "region", Some(""));
    expect(&config);
    // A storage asks its host's section last, so an argument for the host is none for the storage.
    let mut config = read("[storage.AWS]\nregion = s\n");
    config.set("host", "region", Some("arg"));
    check(&config, "storage.AWS", "region", Some("s"));
}

#[test]
fn variables_find_section_and_key_in_any_case() {
    let mut config = read(
        "[accelerator.My-Tool]\ncommand = x\n[configuration.gzip]\nnbBytes = 1\n[storage.AWS.archive]\n",
    );
    config.apply_environment([
        ("APYFAL__HOST__OPENSTACK__AUTH_URL", "1"),
        ("APYFAL__host__slurm__region", "2"),
        ("APYFAL__CONFIGURATION__GZIP__NBBYTES", "3"),
        ("APYFAL__PROCESS__SHA3__TYPE", "4"),
        ("APYFAL__PROCESS__sha3__someKey", "5"),
        ("APYFAL__STORAGE__S3__ARCHIVE__REGION", "6"),
        ("APYFAL__ACCELERATOR__MY_TOOL__SUDO", "7"),
        ("APYFAL__CSP__SSH_KEY", "100%"),
        ("APYFAL__HOST__ROLE", ""),
        ("APYFAL_CONFIG_FILE", "/x"),
        ("PATH", "/bin"),
    ]);
    for (section, key, value) in [
        ("host.OpenStack", "auth_url", "1"),
        ("host.Slurm", "region", "2"),
        ("configuration.gzip", "nbBytes", "3"),
        ("process.sha3", "type", "4"),
        ("process.sha3", "someKey", "5"),
        ("storage.AWS.archive", "region", "6"),
        ("accelerator.My-Tool", "sudo", "7"),
        ("host", "key_pair", "100%"),
    ] {
        check(&config, section, key, Some(value));
    }
    check(&config, "host", "role", None);
    assert_eq!(
        warnings(&config),
        ["APYFAL__CSP__SSH_KEY: the section 'csp' is deprecated; call it 'host'"]
    );
}

#[test]
fn variables_that_mean_nothing_are_named() {
    let mut config = Configuration::default();
    config.apply_environment([
        ("APYFAL__REGION", "1"),
        ("APYFAL__HOST__", "1"),
        ("APYFAL__HSOT__REGION", "1"),
        ("APYFAL__HOST__REGOIN", "1"),
    ]);
    assert_eq!(
        warnings(&config),
        [
            "APYFAL__HOST__: it names no section and key",
            "APYFAL__HOST__REGOIN: unknown key 'regoin' in [host]; did you mean 'region'?",
            "APYFAL__HSOT__REGION: unknown section [hsot]; did you mean 'host'?",
            "APYFAL__REGION: it names no section; call it APYFAL__<SECTION>__REGION",
        ]
    );
}

#[test]
fn the_schema_says_how_a_key_is_read() {
    let config = read(
        "[host]\nproject_id = 1024\nspot_instance = no\nssl_cert_crt = False\n\
         boto3_client_kwargs = {'a': [1, 2]}\nuse_private_ip = maybe\n\
         [process.sha3]\nlength = 256\ntype = shake-128\nname = \"quoted\"\n",
    );
    let host = config.section("host.AWS");
    let literal = |key| host.get_literal(key).unwrap().unwrap();
    assert_eq!(literal("project_id"), "1024");
    assert_eq!(literal("spot_instance"), false);
    assert_eq!(literal("ssl_cert_crt"), false);
    assert_eq!(literal("boto3_client_kwargs"), json!({"a": [1, 2]}));
    assert_eq!(host.get_bool("spot_instance").unwrap(), Some(false));
    let error = host.get_bool("use_private_ip").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        error.to_string(),
        "cannot read 'a.conf': the value is no boolean (line 6, section host, key use_private_ip)"
    );
    assert_eq!(
        Value::Object(config.parameters("process", &["sha3"]).unwrap()),
        json!({"length": 256, "type": "shake-128", "name": "quoted"})
    );
}

#[test]
fn lists_are_one_item_a_line() {
    let config = read("[security]\nauthorized_host_dirs =\n  ~/shared\n\n  # no\n  /data\n");
    let list = config.section("security").get_list("authorized_host_dirs").unwrap();
    assert_eq!(list, ["~/shared", "/data"]);
}

#[test]
fn parameters_of_an_accelerator_overlay_the_general_ones() {
    let mut config = read(
        "[DEFAULT]\nbase = 7\n[configuration]\nlevel = 1\nmode = %(base)s\nparameters = {}\n\
         [configuration.cast_gzip]\nlevel = 2\nname = 'a'\n[configuration.gzip]\nlevel = 3\nempty =\n",
    );
    let names = ["gzip", "cast_gzip"];
    let parameters = |config: &Configuration| config.parameters("configuration", &names).unwrap();
    assert_eq!(Value::Object(parameters(&config)), json!({"level": 3, "mode": 7, "name": "a"}));
    config.set("configuration", "level", Some("9"));
    assert_eq!(parameters(&config)["level"], 9);
    check(&config, "configuration.gzip", "parameters", Some("{}"));
}

#[test]
fn parameters_that_json_cannot_say_are_refused() {
    let mut config =
        read("[process]\na = 1\n[process.sha3]\nkey = b'x'\n[process.gzip]\nkey = 'b'\n");
    let told = |config: &Configuration| config.parameters("process", &["sha3"]).unwrap_err();
    assert_eq!(told(&config).kind(), ErrorKind::Configuration);
    assert_eq!(
        told(&config).to_string(),
        "cannot read 'a.conf': the value has bytes, which JSON cannot say \
         (line 4, section process.sha3, key key)"
    );
    assert_eq!(config.parameters("process", &["gzip"]).unwrap()["key"], "b");
    config.set("process.sha3", "key", Some("1+2j"));
    assert!(
        told(&config).to_string().starts_with("cannot read the arguments: the value has a complex")
    );
    // A text is one whatever it looks like.
    config.set("process.sha3", "key", Some("\"b'x'\""));
    assert_eq!(config.parameters("process", &["sha3"]).unwrap()["key"], "b'x'");
}

#[test]
fn a_section_loses_only_what_it_has_itself() {
    let mut config = read(
        "[DEFAULT]\nd = x\n[host]\nregion = a\nrole =\n[host.AWS]\nregion = a\npolicy\n[csp.Alibaba]\nssh_key = k\n",
    );
    config.apply_environment([("APYFAL__HOST__AWS__REGION", "b"), ("APYFAL__HOST__KEY_PAIR", "k")]);
    config.set("host.aws", "project_id", Some("p"));
    assert_eq!(config.own_keys("host"), ["region", "role", "key_pair"]);
    assert_eq!(config.own_keys("HOST"), [""; 0]);
    assert_eq!(config.own_keys("host.aws"), ["region", "policy", "project_id"]);
    assert_eq!(config.own_keys("csp.alibaba"), ["key_pair"]);
    assert_eq!(config.own_keys("DEFAULT"), ["d"]);
    config.remove("host", "region");
    check(&config, "host", "region", None);
    check(&config, "host.AWS", "region", Some("b"));
    config.remove("host.AWS", "d");
    check(&config, "host.AWS", "d", Some("x"));
    config.remove("DEFAULT", "d");
    check(&config, "host.AWS", "d", None);
    config.remove("csp.Alibaba", "ssh_key");
    assert!(config.own_keys("host.Alibaba").is_empty());
    config.remove_section("host");
    assert_eq!(config.section_names(), ["host.AWS", "host.Alibaba"]);
    check(&config, "host.AWS", "region", Some("b"));
}

#[test]
fn the_section_csp_still_works() {
    let config = read(
        "[csp]\nprovider = OVH\nssh_key = k\nrole = %(ssh_key)s-%%(ssh_key)s\nregion = c\n\
         instance_name_prefix = p\n[csp.aws]\ninstance_ip = 1.2.3.4\n[host]\nregion = h\n",
    );
    check(&config, "host", "host_type", Some("OVH"));
    check(&config, "host", "region", Some("h"));
    check(&config, "host", "role", Some("k-%(ssh_key)s"));
    check(&config, "host.AWS", "host_ip", Some("1.2.3.4"));
    check(&config, "csp", "key_pair", Some("k"));
    assert_eq!(
        warnings(&config),
        [
            "a.conf, line 1: the section [csp] is deprecated; call it [host]",
            "a.conf, line 2: the key 'provider' is deprecated; call it 'host_type'",
            "a.conf, line 3: the key 'ssh_key' is deprecated; call it 'key_pair'",
            "a.conf, line 6: the key 'instance_name_prefix' is deprecated; call it 'host_name_prefix'",
            "a.conf, line 5: 'region' of [csp] is not read: [host] has it too",
            "a.conf, line 7: the section [csp.aws] is deprecated; call it [host.AWS]",
            "a.conf, line 8: the key 'instance_ip' is deprecated; call it 'host_ip'",
        ]
    );
    // The old names are old in the old section only.
    assert_eq!(warnings(&read("[host]\nssh_key = k\n")).len(), 1);
}

#[test]
fn unknown_names_are_told_with_the_nearest() {
    let config = read(
        "[host]\nregoin = 1\n[hosts]\n[host.AWSS]\n[host.ovh]\n[storage.S4]\n[storage.S3]\n[accelize.x]\n\
         [configuration]\nanything = 1\n[security\n[DEFAULT]\nmine = 1\n[agent]\nport = 1\n",
    );
    assert_eq!(
        warnings(&config),
        [
            "a.conf, line 2: unknown key 'regoin' in [host]; did you mean 'region'?",
            "a.conf, line 3: unknown section [hosts]; did you mean 'host'?",
            "a.conf, line 4: unknown host type 'AWSS'; did you mean 'AWS'?",
            "a.conf, line 6: unknown storage type 'S4'; did you mean 's3'?",
            "a.conf, line 8: [accelize.x] is not read: [accelize] has no subsections",
            "a.conf, line 14: unknown section [agent]",
        ]
    );
    let missing = read("[host]\n[security\n");
    assert_eq!(
        warnings(&missing),
        ["a.conf, line 2: '[security' is no section: the ']' is missing"]
    );
    let junk = format!("[host]\n{}", (0..100_000).map(|n| format!("x{n}\n")).collect::<String>());
    assert_eq!(read(&junk).warnings().len(), 100);
}

#[test]
fn names_of_accelerators_are_the_same_in_any_case() {
    let config = read(
        "[process.GZIP]\nlevel = 1\n[process.gzip]\nlevel = 2\nname = a\n[configuration.Sha3]\ntype = x\n",
    );
    let process = config.parameters("process", &["gzip", "cast_gzip"]).unwrap();
    assert_eq!(Value::Object(process), json!({"level": 1, "name": "a"}));
    assert_eq!(config.parameters("configuration", &["sha3"]).unwrap()["type"], "x");
    let told = ["a.conf, line 4: 'level' of [process.gzip] is not read: [process.GZIP] has it too"];
    assert_eq!(warnings(&config), told);
    let mut config = read("[process.GZIP]\nlevel = 1\n");
    config.apply_environment([("APYFAL__PROCESS__GZIP__LEVEL", "3")]);
    assert_eq!(config.parameters("process", &["gzip"]).unwrap()["level"], 3);
}

#[test]
fn sections_of_no_known_accelerator_are_told() {
    let mut config = read(
        "[process.gzp]\nlevel = 1\n[process.GZIP]\n[configuration.cast_gzip]\n[configuration.theirs]\n\
         [accelerator.mine]\ncommand = x\n[process]\n",
    );
    config.apply_environment([("APYFAL__PROCESS__SHA4__TYPE", "x")]);
    let told = |are_all| {
        let found = config.unknown_accelerators(&["gzip", "cast_gzip", "sha3"], are_all);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let mut likely = vec![
        "APYFAL__PROCESS__SHA4__TYPE: [process.sha4] is for no accelerator that is known here; did you mean 'sha3'?",
        "a.conf, line 1: [process.gzp] is for no accelerator that is known here; did you mean 'gzip'?",
    ];
    assert_eq!(told(false), likely);
    likely.push("a.conf, line 5: [configuration.theirs] is for no accelerator that is known here");
    assert_eq!(told(true), likely);
}

#[test]
fn paths_of_the_file_are_placed() {
    let mut config = read(
        "[host]\nssl_cert_crt = host.crt\ntoken_file = %(dir)s/token\ndir = a%%b\ninit_config = True\n\
         [host.AWS]\nssl_cert_crt = False\n[process]\nparameters = p.json\nlevel = p.json\n\
         [process.gzip]\nparameters = {'app': 1}\nfile_in = s3://bucket/x\n\
         [security]\nauthorized_host_dirs = one\n  /two\n  ~/three\npackage_keys = RWQ\n  key.pub\n\
         [serve]\naccelerator = gzip\n[accelerator.a]\ncommand = ['bin/a', 'in']\n\
         [accelerator.b]\ncommand = ./b -c x\n[accelerator.c]\ncommand = cat in\n",
    );
    config.set("serve", "token_file", Some("given"));
    config.apply_environment([("APYFAL__SERVE__SSL_CERT_CRT", "of_variable")]);
    let before = config.warnings().len();
    config.place_paths(&mut |path, files| {
        let is_text = files == schema::Files::PathOrText && !path.ends_with(".pub");
        Placed {
            path: (!is_text).then(|| format!("/conf 1%/{path}")),
            warning: (path == "p.json").then(|| "it is elsewhere".to_owned()),
        }
    });
    for (section, key, value) in [
        ("host", "ssl_cert_crt", "/conf 1%/host.crt"),
        ("host", "token_file", "/conf 1%/a%b/token"),
        ("host", "init_config", "True"),
        ("host.AWS", "ssl_cert_crt", "False"),
        ("process", "parameters", "/conf 1%/p.json"),
        ("process", "level", "p.json"),
        ("process.gzip", "parameters", "{'app': 1}"),
        ("process.gzip", "file_in", "s3://bucket/x"),
        ("security", "authorized_host_dirs", "/conf 1%/one\n/two\n~/three"),
        ("security", "package_keys", "RWQ\n/conf 1%/key.pub"),
        ("serve", "accelerator", "gzip"),
        ("serve", "token_file", "given"),
        ("serve", "ssl_cert_crt", "of_variable"),
        ("accelerator.b", "command", "'/conf 1%/./b' -c x"),
        ("accelerator.c", "command", "cat in"),
    ] {
        check(&config, section, key, Some(value));
    }
    let listed = config.section("accelerator.a").get_literal("command").unwrap();
    assert_eq!(listed, Some(json!(["/conf 1%/bin/a", "in"])));
    assert_eq!(warnings(&config)[before..], ["a.conf, line 9: it is elsewhere"]);
}

/// Everything that can be asked for.
fn everything(config: &Configuration) -> Vec<(String, String, Option<String>)> {
    let mut all = Vec::new();
    for name in config.section_names() {
        all.push((name.to_owned(), String::new(), None));
        let section = config.section(name);
        for key in section.keys() {
            all.push((name.to_owned(), key.to_owned(), section.get(key).unwrap()));
        }
    }
    all.sort();
    all
}

#[track_caller]
fn round_trip(config: &Configuration) -> Configuration {
    let text = config.write().unwrap();
    let back = read(&text);
    assert_eq!(everything(&back), everything(config), "{text}");
    assert_eq!(back.write().unwrap(), text);
    back
}

#[test]
fn what_is_written_reads_back_equal() {
    let mut config = read(
        "[DEFAULT]\nbase = 1\nurl = http://%(region)s\n[host]\nregion = %(base)s%%\nRole = a=b:c\n\
         empty =\nnone\nlist =\n  a\n\n  b\n[host.AWS]\nregion =\n[csp]\nssh_key = k\nrole = %(ssh_key)s\n\
         [storage.s3]\nregion = x\n[]]\na = 1\n[alone]\n",
    );
    round_trip(&config);
    config.set("host", "region", Some("50% of [x] = #1"));
    config.set("host.aws", "secret_id", Some("%(base)s"));
    config
        .apply_environment([("APYFAL__HOST__AWS__REGION", "env%"), ("APYFAL__PROCESS__A__B", "1")]);
    for (key, value) in [
        ("bool", json!(true)),
        ("number", json!(-1.5e300)),
        ("digits", json!("1024")),
        ("lines", json!("a\n# b\n\n c ")),
        ("percent", json!("100%")),
        ("nested", json!({"a": [1, "it's %(x)s\n", {"b": false}], "c": "\t\u{a0}"})),
        ("list", json!([])),
        ("null", json!(null)),
    ] {
        config.set_value("configuration", key, &value);
        let read = config.section("configuration").get_literal(key).unwrap();
        assert_eq!(read, Some(value).filter(|value| !value.is_null()));
    }
    config.set_value("host", "project_id", &json!("1024"));
    config.set_value("host", "spot_instance", &json!(false));
    config.set_value("host", "boto3_client_kwargs", &json!({"a": null}));
    let back = round_trip(&config);
    check(&back, "host", "region", Some("50% of [x] = #1"));
    check(&back, "host.AWS", "region", Some("50% of [x] = #1"));
    check(&back, "host", "Role", Some("a=b:c"));
    check(&back, "host", "list", Some("\na\n\nb"));
    check(&back, "host", "key_pair", Some("k"));
    assert_eq!(back.section("host").get_literal("project_id").unwrap(), Some(json!("1024")));
    assert_eq!(back.section("host").get_bool("spot_instance").unwrap(), Some(false));
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    for (section, key, value) in [
        ("host", "region", " a"),
        ("host", "region", "a\n"),
        ("host", "region", "a\n# b"),
        ("host", "region", "a\n  b"),
        ("host", "region", "a\rb"),
        ("host", "a=b", "c"),
        ("host", "#a", "c"),
        ("host", "[a", "]"),
        ("host", "a\nb", "c"),
        ("host]\n[x", "a", "c"),
        ("host\n", "a", "hunter2"),
    ] {
        let mut config = read("[host]\nrole = r\n");
        config.set(section, key, Some(value));
        let error = config.write().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn debug_shows_no_secret() {
    let mut config =
        read("[accelize]\nclient_id = c\nsecret_id = hunter2\n[host]\ntoken = hunter3\n");
    config.apply_environment([("APYFAL__HOST__SECRET_ID", "hunter4")]);
    config.set_value("host", "boto3_session_kwargs", &json!({"aws_secret_access_key": "hunter5"}));
    let shown = format!("{config:?} {:?}", config.section("host"));
    assert!(
        !shown.contains("hunter") && shown.contains("***") && shown.contains("\"c\""),
        "{shown}"
    );
}
