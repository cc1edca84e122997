//! Configuration files.

use apyfal_core::config::ini::{DEFAULT, Ini};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::{pick, python, refuse};

/// Our answer in the shape of the script's; error names are left out.
fn read_ini(bytes: &[u8]) -> Value {
    let Ok(ini) = Ini::parse(bytes, "test.conf") else { return json!("error") };
    let section = |name: &String| {
        let own = &ini.sections[name].entries;
        let defaults = &ini.section(DEFAULT).unwrap().entries;
        let inherited = defaults.iter().filter(|(key, _)| !own.contains_key(*key));
        let values: Vec<Value> = own
            .iter()
            .chain(inherited)
            .map(|(key, entry)| {
                let value = ini.get(name, key).map_or(json!("error"), |value| json!(value));
                json!([key, entry.raw, value])
            })
            .collect();
        json!([name, values])
    };
    ini.sections.keys().map(section).collect()
}

fn expected_ini(answer: &Value) -> Value {
    let Some(sections) = answer["sections"].as_array() else { return json!("error") };
    let value = |value: &Value| match value[2][0].as_str() {
        Some("value") => json!([value[0], value[1], value[2][1]]),
        _ => json!([value[0], value[1], "error"]),
    };
    let section =
        |s: &Value| json!([s[0], s[1].as_array().unwrap().iter().map(value).collect::<Vec<_>>()]);
    sections.iter().map(section).collect()
}

/// Compares all files; returns how many of them were read without error.
fn compare_ini(files: &[Vec<u8>]) -> usize {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let requests: Vec<Value> = files.iter().map(|bytes| json!({"ini": hex(bytes)})).collect();
    let (mut read, mut wrong) = (0, Vec::new());
    for (bytes, answer) in files.iter().zip(python(&requests)) {
        let ours = read_ini(bytes);
        let shown = String::from_utf8_lossy(bytes);
        if ours != expected_ini(&answer) {
            wrong.push(format!("{shown:?}\n   ours: {ours}\n Python: {answer}"));
        }
        read += usize::from(ours != "error");
    }
    refuse(&wrong);
    read
}

const FILES: &[&[u8]] = &[
    b"",
    b"\n\n",
    b"# only a comment",
    b"[host]",
    b"[host]\nregion = us-east-1\n",
    b"[host]\nregion: us-east-1\n",
    b"[host]\nregion=us-east-1",
    b"[host]\nregion\n",
    b"[host]\nregion =\n",
    b"[host]\nregion = \n\n\nother = 1\n",
    b"[host]\nKey = 1\nkey = 2\nKEY = 3\n",
    b"[host]\nkey = 1\nkey = 2\n",
    b"[host]\nkey = 1\nkey\n",
    b"[host]\nkey\nkey\n",
    b"[host]\na = 1\n[host]\nb = 2\n",
    b"[host]\n[Host]\n[ host ]\n[host ]\n",
    b"[DEFAULT]\na = 1\n[host]\nb = %(a)s\n",
    b"[DEFAULT]\na = 1\n[host]\na = 2\nb = %(a)s\n",
    b"[DEFAULT]\na = %(b)s\n[host]\nb = 2\n[other]\n",
    b"[DEFAULT]\na = 1\n[host]\n[DEFAULT]\nb = 2\n",
    b"[DEFAULT]\na = 1\n[host]\n[DEFAULT]\na = 2\n",
    b"[DEFAULT]\na = 1\n[host]\nx = 1\n[DEFAULT]\n  b = 2\n",
    b"[default]\na = 1\n[host]\n",
    b"[host.AWS]\na.b = 1\n[host.AWS.x]\n.c = 2\n",
    b"[host]\nkey = a=b:c\n",
    b"[host]\nkey == b\nother := c\nthird =: d\n",
    b"[host]\n= value\n",
    b"[host]\n: value\n  continued\n",
    b"[host]\nkey = 1\n  = 2\n",
    b"[host]\nlist =\n  a\n  b\n\n  c\n\nnext = 1\n",
    b"[host]\nlist = a\n\tb\n  c\n",
    b"[host]\nlist = a\n  # comment\n  b\n; comment\n  c\n",
    b"[host]\nlist = a\n\n  # comment\n\n  b\n",
    b"[host]\n  key = 1\n    more\n  other = 2\n   more\nlast = 3\n",
    b"[host]\n  key = 1\n other = 2\n",
    b"  [host]\n  key = 1\n    [not a section]\n  [section]\n",
    b"[host]\nkey\n  continued\n",
    b"[host]\nkey\n\n\n",
    b"[host]\nkey\n\n  continued\n",
    b"[host]\n  indented = 1\n",
    b"[host]\n\n  indented = 1\n  second = 2\n",
    b"[host]\nkey = value ; no comment\nother = value # no comment\n",
    b"[host]\n#key = 1\n ;key = 2\n\t# key\n",
    b"[host]\n;\n#\n",
    b"[host]\nkey = # value\n",
    b"key = 1\n[host]\n",
    b"  key = 1\n",
    b"[host\nkey = 1\n",
    b"[a]\n[host\nkey = 1\n",
    b"[a]\n[host = 1\n[b = c]\n",
    b"[]\n",
    b"[a]\n[]\n",
    b"[]]\na = 1\n",
    b"[[a]]\na = 1\n",
    b"[a]b]c\nx = 1\n",
    b"[a] # comment\nx = 1\n",
    b"[a] x = [1]\ny = 1\n",
    b"[a=b]\nx = 1\n",
    b"[#a]\nx = 1\n",
    b"[host]\na]\nb = [1\n]\n",
    b"[host]\na = %(b)s\nb = %(c)s\nc = 1\n",
    b"[host]\na = %(a)s\n",
    b"[host]\na = %(missing)s\n",
    b"[host]\na = %(b)s\nb\n",
    b"[host]\na = %(b)s\nb =\n",
    b"[host]\na = 100%\nb = 100%%\nc = %%%%\nd = %%(a)s\n",
    b"[host]\na = %(b\nb = 1\n",
    b"[host]\na = %(b)\nb = %()s\nc = %(b)d\nd = %s\ne = % (b)s\n",
    b"[host]\na = %(b c)s\nb c = 1\n",
    b"[host]\na = %(B)s\nb = 1\n",
    b"[host]\na = %(b\n  c)s\n",
    b"[host]\na = %(b)s%(b)s\nb = x%%y\n",
    b"[host]\na = %(%(b)s)s\nb = c\n%(b = 1\n",
    b"[host]\na0=%(a1)s\na1=%(a2)s\na2=%(a3)s\na3=%(a4)s\na4=%(a5)s\na5=%(a6)s\na6=%(a7)s\n\
      a7=%(a8)s\na8=%(a9)s\na9=%(b0)s\nb0=%(b1)s\nb1=%%\n",
    b"[host]\nkey = \"quoted\"\nother = 'a\n  b'\n",
    b"\xef\xbb\xbf[host]\nkey = 1\n",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf\xef\xbb\xbf[host]\n",
    b"[host]\n\xef\xbb\xbfkey = 1\n",
    b"[host]\r\nkey = 1\r\n  more\r\n\r\nother = 2\r\n",
    b"[host]\rkey = 1\r  more\rother = 2",
    b"[host]\n\rkey = 1\r\r\n  more\n",
    b"[host]\nkey = caf\xe9\n",
    b"\xff\xfe[\0h\0]\0",
    b"[host]\nkey = caf\xc3\xa9\n\xc3\xa9 = 1\n",
    b"[host]\nkey = \xed\xa0\x80\n",
    b"[host]\nkey = \xc3",
    b"[host]\nkey = \0\n\0 = 1\n\0\n",
    b"\0\0\0",
    b"[host]\nkey = a\x1cb\x1c\n\x1cmore\n\x1d\x1e\x1f\nother = \x1f1\n",
    b"[host]\nkey = a\x0bb\x0c\n\x0bmore\n\x0c\nother\x0c=\x0b1\n",
    "[host]\nkey\u{a0}=\u{a0}a\u{a0}\n\u{a0}more\n\u{2003}\n\u{3000}x\n".as_bytes(),
    "[host]\nkey = a\u{85}b\u{85}\n\u{2028}more\u{2029}\n\u{200b}zero = 1\n\u{180e}x\n".as_bytes(),
    "[host]\n\u{a0}key = 1\n\u{a0}\u{a0}more\n\u{a0}other = 2\n".as_bytes(),
    "[h\u{f6}st]\nsch\u{fc}ssel = \u{1f600}\n".as_bytes(),
    b"[host]\n\tkey = 1\n        more\n\t\tother = 2\n",
    b"[host]\n\x1a\n",
    b"[host]\nkwargs = {'a': [1,\n  2],\n  # gone\n  'b': 3}\n",
    b"[host]\nkey = 1   \n   \n \t\n[b]\n",
    b"[host]\n  key = 1\n\n    more\n\n\n  \n",
];

/// What random files are made of.
const WORDS: &[&str] = &[
    "a",
    "b",
    "key",
    "Key",
    "c.d",
    "x y",
    "",
    "",
    "=",
    ":",
    " = ",
    " : ",
    "==",
    "[a]",
    "[b]",
    "[DEFAULT]",
    "[host.AWS]",
    "[",
    "]",
    "[]",
    "#",
    ";",
    " # c",
    "%",
    "%%",
    "%(a)s",
    "%(b)s",
    "%(key)s",
    "%(c.d)s",
    "%(",
    ")s",
    "1",
    "True",
    "{'a': 1}",
    "é",
    "\u{a0}",
    "\u{2003}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\0",
    "\t",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1f",
    "  ",
    "\\",
    "\"",
    "'",
];

const INDENTS: &[&str] = &["", "", "", "", " ", "  ", "\t", "    ", "\u{a0}"];
const ENDS: &[&str] = &["\n", "\n", "\n", "\n", "\r\n", "\r", "\n\n", "\n \n"];

fn random_file(rng: &mut Rng) -> Vec<u8> {
    let mut text = String::new();
    if rng.u8(..10) > 0 {
        text.push_str(rng.choice(["[a]\n", "[DEFAULT]\n", "[x]\r\n", "\u{feff}[a]\n"]).unwrap());
    }
    for line in 0..rng.usize(1..9) {
        text.push_str(pick(rng, INDENTS));
        match rng.u8(..8) {
            // Most lines are well-formed, so that most files are read to their end.
            0..5 => {
                let key = pick(rng, &["a", "b", "key", "c.d", "Key", "x y"]);
                let key = if rng.u8(..4) > 0 { format!("{key}{line}") } else { key.to_owned() };
                let delimiter = pick(rng, &["=", " = ", ":", " : ", "", " =  "]);
                let value = if delimiter.is_empty() { "" } else { pick(rng, WORDS) };
                text.push_str(&format!("{key}{delimiter}{value}"));
            }
            5 => text.push_str(&format!("[{}{line}]", pick(rng, WORDS))),
            _ => (0..rng.usize(..5)).for_each(|_| text.push_str(pick(rng, WORDS))),
        }
        text.push_str(pick(rng, ENDS));
    }
    let mut bytes = text.into_bytes();
    if rng.u8(..30) == 0 {
        let at = rng.usize(..bytes.len());
        bytes[at] = rng.u8(..);
    }
    bytes
}

#[test]
fn files_read_as_python_reads_them() {
    let files: Vec<Vec<u8>> = FILES.iter().map(|bytes| bytes.to_vec()).collect();
    assert!(compare_ini(&files) > files.len() / 2);
}

#[test]
fn random_files_read_as_python_reads_them() {
    let mut rng = Rng::with_seed(0x0c0f);
    let files: Vec<Vec<u8>> = (0..6000).map(|_| random_file(&mut rng)).collect();
    let read = compare_ini(&files);
    assert!((1500..5500).contains(&read), "the corpus is one-sided: {read} of {}", files.len());
}

/// Ten megabytes of whatever: an answer within seconds even in a slow build, where anything more
/// than linear would take hours.
#[test]
fn ten_megabytes_of_junk_are_refused_at_once() {
    const SIZE: usize = 10_000_000;
    let mut rng = Rng::with_seed(7);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(SIZE).collect();
    let lines = |line: &str| format!("[host]\n{}", line.repeat(SIZE / line.len())).into_bytes();
    let refused = [
        noise,
        vec![0; SIZE],
        vec![b'['; SIZE],
        vec![b'a'; SIZE],
        lines("a = 1\n"),
        lines("=\n"),
        lines("[host]\n"),
        lines("a\n  b"),
    ];
    for junk in refused {
        let start = std::time::Instant::now();
        let error = Ini::parse(&junk, "junk.conf").unwrap_err();
        assert!(start.elapsed().as_secs() < 20, "{error}");
        let text = error.to_string();
        assert!(text.contains("junk.conf") && text.contains("line") && text.len() < 300, "{text}");
    }
    // Python takes these, so they only have to be quick.
    for junk in [lines(" \n"), lines("a"), lines("# a\n"), lines("a = b\n  c\n\n  ")] {
        assert!(Ini::parse(&junk, "junk.conf").is_ok());
    }
    let long_name = format!("[{}]\n", "x".repeat(SIZE / 2));
    let keys: String = (0..500_000).map(|n| format!("k{n}\n")).collect();
    assert!(Ini::parse((long_name + &keys).as_bytes(), "junk.conf").is_ok());
}
