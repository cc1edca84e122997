use super::*;

fn error(text: &[u8]) -> String {
    Ini::parse(text, "a.conf").unwrap_err().to_string()
}

#[test]
fn errors_name_file_line_section_and_key() {
    for (text, expected) in [
        (&b"[host]\r\na = 1\r\nb = caf\xe9\r\n"[..], "byte 0xE9 is not UTF-8 (line 3)"),
        (b"\n\xff", "byte 0xFF is not UTF-8 (line 2)"),
        (b"# x\nregion = 1", "this line stands before any section (line 2)"),
        (b"[host]\n= 1", "there is no key before the delimiter (line 2, section host)"),
        (b"[host]\n[host]", "this section is there twice (line 2, section host)"),
        (
            b"[host]\na = 1\n\na = 2",
            "this key is there twice in its section (line 4, section host, key a)",
        ),
        (
            b"[host]\na\n  1",
            "an indented line continues a value, but the key above has none \
             (line 3, section host, key a)",
        ),
    ] {
        assert_eq!(error(text), format!("cannot read 'a.conf': {expected}"));
    }
    let ini = Ini::parse(b"[host]\na = 1\nb = %(c)s", "a.conf").unwrap();
    assert_eq!(
        ini.get("host", "b").unwrap_err().to_string(),
        "cannot read 'a.conf': it refers to the key 'c', which does not exist \
         (line 3, section host, key b)"
    );
}

#[test]
fn secrets_are_not_shown() {
    let text = b"[host]\nsecret_id = hunter2\nregion = r\n\
                 boto3_session_kwargs = {'aws_secret_access_key': 'hunter3', 'x': 1}\n\
                 nova_client_kwargs = {'password': 'hunter4'\n";
    let ini = Ini::parse(text, "a.conf").unwrap();
    let shown = format!("{ini:?} {:?} {:?}", ini.sections["host"], ini.entry("host", "secret_id"));
    assert!(!shown.contains("hunter") && shown.contains("\"r\""), "{shown}");
}
