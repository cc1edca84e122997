//! Literals.

use apyfal_core::Literal;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::{pick, python, refuse};

/// The same text as the script's `canonical`.
fn canonical(literal: &Literal) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let float = |value: f64| format!("f{:016x}", value.to_bits());
    let join = |items: &[Literal]| items.iter().map(canonical).collect::<Vec<_>>().join(",");
    match literal {
        Literal::None => "None".to_owned(),
        Literal::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Literal::Int(value) => format!("i{value}"),
        Literal::Float(value) => float(*value),
        Literal::Complex { re, im } => format!("c{}{}", float(*re), float(*im)),
        Literal::Str(text) => format!("s{}", hex(text.as_bytes())),
        Literal::Bytes(bytes) => format!("b{}", hex(bytes)),
        Literal::List(items) => format!("[{}]", join(items)),
        Literal::Tuple(items) => format!("({})", join(items)),
        Literal::Set(items) => {
            let mut items: Vec<String> = items.iter().map(canonical).collect();
            items.sort();
            format!("{{{}}}", items.join(","))
        }
        Literal::Dict(items) => {
            let pair = |(k, v): &(Literal, Literal)| format!("{}:{}", canonical(k), canonical(v));
            format!("<{}>", items.iter().map(pair).collect::<Vec<_>>().join(","))
        }
    }
}

/// Compares all texts; returns how many of them are literals.
fn compare_literals(texts: &[String]) -> usize {
    let requests: Vec<Value> = texts.iter().map(|text| json!({"text": text})).collect();
    let (mut read, mut wrong) = (0, Vec::new());
    for (text, answer) in texts.iter().zip(python(&requests)) {
        let ours = Literal::parse(text).map(|literal| canonical(&literal));
        if ours.as_deref() != answer["literal"].as_str() {
            wrong.push(format!("{text:?}\n   ours: {ours:?}\n Python: {answer}"));
        }
        read += usize::from(ours.is_some());
    }
    refuse(&wrong);
    read
}

/// Hand-made literals and near misses, one a line of this file's companion.
fn literals() -> Vec<String> {
    let list = include_str!("literals.txt");
    let mut texts: Vec<String> = list
        .lines()
        .filter(|line| !line.starts_with("//"))
        .map(|line| serde_json::from_str(&format!("\"{line}\"")).expect(line))
        .collect();
    for (open, close) in
        [("[", "]"), ("(", ")"), ("{1:", "}"), ("(", ",)"), ("-", "1"), ("[{0:(", ")}]")]
    {
        for depth in [1, 2, 50, 66, 67, 99, 100, 198, 199, 200, 201] {
            let middle = if open == "(" {
                "1"
            } else if open.ends_with(['(', '[']) {
                ""
            } else {
                "0"
            };
            texts.push(open.repeat(depth) + middle + &close.repeat(depth));
        }
    }
    for digits in [308, 309, 310, 4299, 4300, 4301, 5000] {
        let nines = "9".repeat(digits);
        texts.extend([
            nines.clone(),
            format!("-{nines}"),
            format!("{nines}+1j"),
            format!("{nines}.0"),
        ]);
        texts.extend([
            "0".repeat(digits),
            format!("{nines}j"),
            format!("0x{}", "f".repeat(digits)),
        ]);
    }
    texts
}

/// What random literals are made of.
const PIECES: &[&str] = &[
    "1",
    "0",
    "12",
    "1.5",
    ".5",
    "1e3",
    "2j",
    "0x_f",
    "1_0",
    "-",
    "+",
    "None",
    "True",
    "set()",
    "'a'",
    "\"b\"",
    "b'c'",
    "r'\\d'",
    "u'e'",
    "'''f\n'''",
    "'\\x41'",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ", ",
    ",",
    ":",
    ": ",
    " ",
    "\n",
    "\t",
    "\x0c",
    "\\\n",
    "#c\n",
    "#",
    "\r\n",
    "\\",
    "'",
    "\"",
    "_",
    "e",
    "j",
    "x",
    "é",
    "\u{a0}",
    "\0",
];

/// A literal that Python reads, of all kinds.
fn random_literal(rng: &mut Rng, depth: usize) -> String {
    let space = pick(rng, &["", "", " ", "\t"]);
    let count = rng.usize(..4);
    let items = |rng: &mut Rng| {
        let items: Vec<_> = (0..count).map(|_| random_literal(rng, depth + 1)).collect();
        items.join(if depth > 0 { ",\n" } else { ", " })
    };
    match rng.u8(..if depth > 3 { 5 } else { 9 }) {
        0 => format!("{space}{}", rng.i64(..)),
        1 => format!("{}{space}", f64::from_bits(rng.u64(..) & !(1 << 62))),
        2 => pick(rng, &["None", "True", "False", "set()", "1+2j", "-0x1F", "0b1_0", "1e-3"])
            .to_owned(),
        3..5 => {
            let quote = pick(rng, &["'", "\"", "'''", "\"\"\""]);
            let prefix = pick(rng, &["", "", "r", "b", "Rb", "u"]);
            let bodies = [
                "", "a b", "\\n", "\\x41", "\\101", "\\\\", "\\'", "\\z", "%", "\\\n", "\\u00e9",
                "#",
            ];
            format!("{prefix}{quote}{}{quote}{space}", pick(rng, &bodies))
        }
        5 => format!("[{space}{}]", items(rng)),
        6 => format!("({space}{})", items(rng)),
        7 => format!("{{{}}}", items(rng)),
        _ => {
            let pairs: Vec<_> = (0..count)
                .map(|n| format!("{n}:{space}{}", random_literal(rng, depth + 1)))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
    }
}

fn mutate(rng: &mut Rng, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=chars.len());
        let piece: Vec<char> = pick(rng, PIECES).chars().collect();
        match rng.u8(..3) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 if at < chars.len() => drop(chars.splice(at..=at, piece)),
            _ => drop(chars.splice(at..at, piece)),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn literals_read_as_python_reads_them() {
    let texts = literals();
    let read = compare_literals(&texts);
    assert!(texts.len() > 300 && read > texts.len() / 4, "{read} of {}", texts.len());
}

#[test]
fn random_literals_read_as_python_reads_them() {
    let mut rng = Rng::with_seed(0x117e);
    let corpus: Vec<String> = literals().into_iter().filter(|text| text.len() < 100).collect();
    let mut texts = Vec::new();
    for _ in 0..4000 {
        let whole = random_literal(&mut rng, 0);
        texts.push(mutate(&mut rng, &whole));
        texts.push(whole);
        let known = rng.choice(&corpus).unwrap().clone();
        texts.push(mutate(&mut rng, &known));
        texts.push((0..rng.usize(1..8)).map(|_| pick(&mut rng, PIECES)).collect());
    }
    // Left out on purpose, as the documentation of `Literal` says.
    texts.retain(|text| !text.contains("\\N") && !text.contains("..."));
    let read = compare_literals(&texts);
    assert!(read > 4000 && read < texts.len() - 4000, "{read} of {}", texts.len());
}
