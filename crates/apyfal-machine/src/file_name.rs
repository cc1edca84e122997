//! File names for texts of people.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'@');

/// A file name for any text: what could mean something to the file system is percent-encoded, and
/// no name begins with a dot.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The text that has this file name, if there is one.
pub fn decode(name: &str) -> Option<String> {
    let text = percent_decode_str(name).decode_utf8().ok()?;
    (encode(&text) == name).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_stays_inside_its_folder() {
        for (text, name) in
            [("default", "default"), ("../x y", "%2E%2E%2Fx%20y"), ("é", "%C3%A9"), ("", "")]
        {
            assert_eq!(encode(text), name);
            assert_eq!(decode(name).as_deref(), Some(text));
        }
        assert!(decode("%2").is_none() && decode("%zz").is_none() && decode("%FF").is_none());
    }
}
