use serde_json::json;

use super::*;

fn parse(text: &str) -> Literal {
    Literal::parse(text).unwrap_or_else(|| panic!("not read as a literal: {text}"))
}

#[test]
fn json_holds_every_literal() {
    let text = "{'a': (1, -2.5, None), 2: {True}, None: b'\\xff', 1.5: 1+2j, 'h': 0xffff_ffff_ffff_ffff_f}";
    assert_eq!(
        parse(text).to_json(),
        json!({"a": [1, -2.5, null], "2": [true], "null": "ÿ", "1.5": "(1.0+2.0j)",
               "h": "295147905179352825855"})
    );
    assert_eq!(parse("18446744073709551615").to_json(), json!(u64::MAX));
    assert_eq!(parse("-1e999").to_json(), json!("-1e999"));
}

#[test]
fn what_json_does_not_have_is_told() {
    for (text, what) in [
        ("b'x'", "bytes"),
        ("[1, {2}]", "a set"),
        ("(0, 1j)", "a complex number"),
        ("-1e999", "a number that is not finite"),
        ("{'a': {'b': 18446744073709551616}}", "an integer of more than 64 bits"),
        ("{b'a': 1}", "bytes"),
        ("{(1, 2): 1}", "a tuple as a key"),
    ] {
        assert_eq!(parse(text).try_json(), Err(what), "{text}");
    }
    for text in [
        "{'a': (1, -2.5, None), 2: [True], None: 'x', 18446744073709551616: 1}",
        "-9223372036854775808",
    ] {
        assert_eq!(parse(text).try_json(), Ok(parse(text).to_json()), "{text}");
    }
}

#[test]
fn text_stays_text() {
    for text in ["sha3-256", "", "true", "1 2", "/tmp/x", "a b", "[1", "2024-01-01", "'a' + 'b'"] {
        assert_eq!(read_value(text), json!(text));
    }
}

#[test]
fn what_is_left_out_on_purpose() {
    for text in [r"'\ud800'", r"'\N{BULLET}'", "...", "(set)()"] {
        assert_eq!(Literal::parse(text), None, "{text}");
    }
    assert!(Literal::parse(&format!("0x{}", "f".repeat(3571))).is_some());
    assert_eq!(Literal::parse(&format!("0x{}", "f".repeat(3572))), None);
}

#[test]
fn depth_and_length_are_no_danger() {
    for (open, close) in [("[", "]"), ("(", ")"), ("{1:", "}"), ("-", "1"), ("set(", ")")] {
        let text = open.repeat(100_000) + &close.repeat(100_000);
        assert_eq!(Literal::parse(&text), None);
    }
    let nested = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(parse(&nested).to_json().to_string(), nested);
    assert_eq!(Literal::parse(&"9".repeat(10_000_000)), None);
    let long = format!("{{{}}}", (0..100_000).map(|n| format!("{n}:{n},")).collect::<String>());
    assert!(matches!(parse(&long), Literal::Dict(items) if items.len() == 100_000));
}

#[test]
fn what_is_written_reads_back() {
    for text in [
        "None",
        "[True, False]",
        "-17",
        "1e+300",
        "-1e999",
        "(1-2j)",
        r#"'it\'s "q" \\ \n \x00 é %'"#,
        r"b'\x00\xff\'\\'",
        "(1,)",
        "()",
        "set()",
        "{1, 'a'}",
        "{'a': {'b': [1.5]}, (1, 2): 0}",
    ] {
        let literal = parse(text);
        assert_eq!(parse(&literal.to_string()), literal, "{literal}");
    }
    let value = json!({"a": [1, -2, 2.5, true, null, u64::MAX], "b": "it's\n"});
    assert_eq!(parse(&Literal::from(&value).to_string()).to_json(), value);
}
