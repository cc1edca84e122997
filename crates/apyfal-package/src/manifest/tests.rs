use serde_json::json;

use super::*;

const WHOLE: &str = r#"
name = "upper"
version = "1.2.0"
summary = "Turn letters into capitals"
architectures = ["x86_64", "aarch64"]
command = "python3 ./upper.py --to {to} '{mode}'"
units = 4
env = { TABLE = "./tables/latin", LEVEL = 3 }

[parameters]
to = "A-Z"
mode = { type = "choice", choices = ["all", "first"], default = "all" }
an = 1

[requires]
system = ["python3"]
packages = { apt = ["python3"] }

[[image]]
device = "aws-f2"
agfi = "agfi-0123456789abcdef0"

[[image]]
device = "xrt"
file = "upper.xclbin"
platform = "12345678-90ab-cdef-1234-567890abcdef"
size = 3

[test]
src = "./test/in"
expect = "test/out"
parameters = { mode = "first" }
"#;

/// The error of a manifest, with all that it says.
fn refused(text: &str) -> String {
    let error = Manifest::parse(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    format!("{error}; {}", error.hints().join("; "))
}

fn with(line: &str) -> String {
    format!("name = \"a\"\nversion = \"1.0.0\"\ncommand = [\"cat\"]\n{line}\n")
}

#[test]
fn a_manifest_says_what_the_accelerator_is() {
    let manifest = Manifest::parse(WHOLE).unwrap();
    assert_eq!((manifest.name.as_str(), manifest.version.to_string()), ("upper", "1.2.0".into()));
    assert_eq!(manifest.images.len(), 2);
    assert_eq!(manifest.images[1].size, Some(3));
    let test = manifest.test.as_ref().unwrap();
    assert_eq!((test.src.as_deref(), test.expect.as_deref()), (Some("test/in"), Some("test/out")));
    assert_eq!(Value::Object(test.parameters.clone()), json!({"mode": "first"}));
    let declaration = manifest.declaration(Path::new("/packages/upper")).unwrap();
    let info = declaration.accelerator();
    assert_eq!(declaration.info().slots, apyfal_core::Slots::Fixed(4));
    let names: Vec<_> = info.params.iter().map(|spec| spec.name.as_ref()).collect();
    assert_eq!(names, ["to", "mode", "an"], "parameters keep their order");
}

#[test]
fn words_with_a_dot_and_a_slash_are_files_of_the_package() {
    let manifest = Manifest::parse(WHOLE).unwrap();
    let section = words::resolve(&manifest.section, Path::new("/p")).unwrap();
    assert_eq!(section["command"], json!(["python3", "/p/upper.py", "--to", "{to}", "{mode}"]));
    assert_eq!(section["env"], json!({"TABLE": "/p/tables/latin", "LEVEL": 3}));
    let error = words::resolve(&manifest.section, Path::new("/p{src}")).unwrap_err();
    assert!(error.to_string().contains("braces"), "{error}");
}

#[test]
fn mistakes_are_told_with_their_line_and_key() {
    for (line, told) in [
        ("commnad = 1", "there is no key 'commnad' (line 4, key commnad); did you mean 'command'?"),
        ("lock_directory = '/x'", "there is no key 'lock_directory' (line 4"),
        ("units = 0", "'units' cannot be 0 (line 4, key units); it takes a whole number from 1"),
        ("architectures = ['arm']", "cannot be \"arm\" (line 4, key architectures)"),
        (
            "aliases = ['b', 'a/b']",
            "'aliases' cannot be \"a/b\" (line 4, key aliases); it takes names",
        ),
        ("slots = 'many'", "'slots' cannot be \"many\" (line 4, key slots)"),
        ("[parameters]\nsrc = 1", "'src' has a meaning already (line 5, key parameters.src)"),
        (
            "[parameters]\na = 1\nb = {typ = 'text'}",
            "(line 6, key parameters.b); did you mean 'type'?",
        ),
        ("[requires]\nsytem = []", "(line 5, key requires.sytem); did you mean 'system'?"),
        ("[requires]\ndevice = true", "no image for (line 5, key requires.device)"),
        ("[requires]\nsystem = ['/bin/sh']", "'/bin/sh' is no name of a program (line 5"),
        ("[test]\nsrc = '../in'", "'src' cannot be \"../in\" (line 5, key test.src)"),
        ("[test]\nsha256 = 'ab'", "(line 5, key test.sha256)"),
        ("[[image]]\nfile = 'x'", "'device' is missing (line 4, key image.1)"),
        ("[[image]]\ndevice = 'f1'", "it takes aws-f2, xrt or opae"),
        ("[[image]]\ndevice = 'aws-f2'\nfile = 'x'", "an image for aws-f2 needs 'agfi' (line 5"),
        ("[[image]]\ndevice = 'aws-f2'\nagfi = 'afi-1'", "(line 6, key image.1.agfi)"),
        ("[[image]]\ndevice = 'opae'\nfile = '/abs'", "(line 6, key image.1.file)"),
        ("a = [1", "(line"),
        ("env = {A = './../x'}", "'./../x' is not a file of the package (line 4, key env.A)"),
        ("n = 99999999999999999999", "99999999999999999999 is out of range (line 4, key n)"),
    ] {
        let error = refused(&with(line));
        assert!(error.starts_with("cannot read 'accelerator.toml': "), "{error}");
        assert!(error.contains(told), "{line}: {error}");
    }
    assert!(refused("version = '1.0.0'").contains("'name' is missing"));
    assert!(refused("name = 'a b'").contains("'name' cannot be \"a b\" (line 1"));
    assert!(refused("name = 'a'\nversion = '1.0'").contains("three numbers"));
    assert!(refused("name = 'a'\nversion = '1.0.0'").contains("exactly one of 'command'"));
}

#[test]
fn files_that_are_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = Manifest::parse(WHOLE).unwrap();
    let told =
        || match manifest.check_files(folder.path(), |name| folder.path().join(name).exists()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
    assert!(told().contains("there is no file 'upper.py' (line 6, key command.2)"), "{}", told());
    std::fs::create_dir_all(folder.path().join("tables")).unwrap();
    std::fs::create_dir(folder.path().join("test")).unwrap();
    for (name, content) in
        [("upper.py", ""), ("tables/latin", ""), ("upper.xclbin", "1234"), ("test/in", "")]
    {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    assert!(told().contains("'upper.xclbin' has 4 bytes, not 3 (line 27"), "{}", told());
    std::fs::write(folder.path().join("upper.xclbin"), "123").unwrap();
    assert!(told().contains("there is no file 'test/out'"), "{}", told());
    std::fs::write(folder.path().join("test/out"), "").unwrap();
    assert_eq!(told(), "");
    let error = manifest.check_files(folder.path(), |name| name != "test/in").unwrap_err();
    assert!(error.to_string().contains("'test/in' is left out of the package"), "{error}");
}

#[test]
fn a_program_of_the_package_must_be_executable() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run"), "").unwrap();
    let text = "name = 'a'\nversion = '1.0.0'\nexecutable = './run'\n";
    let manifest = Manifest::parse(text).unwrap();
    let error = manifest.check_files(folder.path(), |_| true).unwrap_err();
    assert!(error.to_string().contains("'run' is not executable (line 3"), "{error}");
    assert_eq!(error.hints(), ["make it so: chmod +x run"]);
}

#[test]
fn a_machine_that_lacks_something_is_told_what() {
    let folder = tempfile::tempdir().unwrap();
    let machine = |architecture: &str| MachineFacts {
        architecture: architecture.into(),
        path: folder.path().into(),
        devices: vec![Device::Opae],
    };
    let manifest = Manifest::parse(WHOLE).unwrap();
    let error = manifest.check_machine(&machine("riscv64")).unwrap_err();
    assert!(error.message().contains("it is for x86_64 and aarch64"), "{error}");
    let error = manifest.check_machine(&machine("x86_64")).unwrap_err();
    assert_eq!(error.message(), "it needs a program that this machine lacks: 'python3'");
    assert_eq!(error.hints(), ["install it: sudo apt install python3"]);
    let program = folder.path().join("python3");
    std::fs::write(&program, "").unwrap();
    assert!(manifest.check_machine(&machine("x86_64")).is_err(), "it is not executable");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    manifest.check_machine(&machine("x86_64")).unwrap();
}

#[test]
fn a_machine_without_the_program_or_a_device_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let machine = |devices| MachineFacts::here(folder.path(), devices);
    let told =
        |text: &str, devices| match Manifest::parse(text).unwrap().check_machine(&machine(devices))
        {
            Ok(()) => String::new(),
            Err(error) => error.message().to_owned(),
        };
    let begin = "name = 'a'\nversion = '1.0.0'\n";
    for (program, lacks) in [
        ("command = 'lame -V 2'", "'lame'"),
        ("command = ['lame']\n[requires]\nsystem = ['lame']", "'lame'"),
        ("worker = ['lame']\n[requires]\nsystem = ['x']", "'x', 'lame'"),
        ("executable = 'lame'", "'lame'"),
        ("command = ['lame']\nsudo = true", "'sudo'"),
        ("command = ['./lame']", ""),
        ("command = ['/opt/lame']", ""),
        ("command = ['lame']\nenv = {PATH = './bin'}", ""),
    ] {
        let said = told(&format!("{begin}{program}"), Vec::new());
        assert!(said.ends_with(lacks) && said.is_empty() == lacks.is_empty(), "{program}: {said}");
    }
    let images = "command = ['/x']\n[requires]\ndevice = true\n[[image]]\ndevice = 'aws-f2'\n\
                  agfi = 'agfi-0123456789abcdef0'\n[[image]]\ndevice = 'opae'\nfile = 'x'\n";
    let images = format!("{begin}{images}");
    let lacking = "it needs a device that this machine lacks: aws-f2 or opae";
    assert_eq!(told(&images, vec![Device::Xrt]), lacking);
    assert_eq!(told(&images, vec![Device::Xrt, Device::Opae]), "");
}

#[test]
fn any_text_is_a_manifest_or_refused() {
    bolero::check!().with_iterations(2_000).with_max_len(1024).for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        match Manifest::parse(text) {
            Ok(manifest) => {
                assert!(is_name(&manifest.name), "{}", manifest.name);
                manifest.declaration(Path::new("/root/of/it")).unwrap();
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Configuration, "{error}"),
        }
    });
}
