//! A command in a setting or option: a list of words, or text that is split as a shell would.

use apyfal_core::read_value;
use serde_json::Value;

/// The words of a command; no shell runs it.
///
/// # Errors
/// Why it is none, for people.
pub(crate) fn words(text: &str) -> Result<Vec<String>, String> {
    let text = match read_value(text) {
        Value::Array(words) => {
            let word = |word: &Value| word.as_str().map(str::to_owned);
            let words: Option<Vec<_>> = words.iter().map(word).collect();
            return words
                .filter(|words| words.first().is_some_and(|program| !program.is_empty()))
                .ok_or_else(|| "it is no list of words that begins with a program".to_owned());
        }
        Value::String(text) => text,
        _ => text.to_owned(),
    };
    match shlex::split(&text) {
        Some(words) if !words.is_empty() => Ok(words),
        Some(_) => Err("it is empty".to_owned()),
        None => Err("a quote in it does not end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_list_or_text() {
        for (text, meant) in [
            ("shutdown -P now", &["shutdown", "-P", "now"][..]),
            ("'touch /x'", &["touch", "/x"]),
            ("[\"sh\", \"-c\", \"poweroff -f\"]", &["sh", "-c", "poweroff -f"]),
            ("sh -c 'poweroff -f'", &["sh", "-c", "poweroff -f"]),
        ] {
            assert_eq!(words(text).unwrap(), meant, "{text}");
        }
        for wrong in ["", "  ", "[]", "[1]", "sh -c 'x", "['']"] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }
}
