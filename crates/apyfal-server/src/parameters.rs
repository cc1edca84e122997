//! The parameters of a header: `form-data; name="…"; filename="…"`.

/// The values of these parameters, each where it is there. Of two with one name the first counts.
///
/// Values may be quoted, in any order, and hold whatever a value may, such as `; name=x`.
pub(crate) fn of<const COUNT: usize>(
    header: &str,
    wanted: [&str; COUNT],
) -> [Option<String>; COUNT] {
    let mut found = [const { None }; COUNT];
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = value(after.trim_start());
        let key = key.trim().trim_start_matches(';').trim();
        if let Some(place) = wanted.iter().position(|wanted| key.eq_ignore_ascii_case(wanted)) {
            found[place].get_or_insert(value);
        }
        rest = after;
    }
    found
}

/// A value, and what comes behind it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            // Some write Windows paths as they are, so only what must be escaped is.
            '\\' if quoted[at + 1..].starts_with(['"', '\\']) => {
                value.extend(chars.next().map(|(_, c)| c));
            }
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_written() {
        for (header, name, filename) in [
            ("form-data; name=\"a\"", Some("a"), None),
            ("form-data;name=a;filename=b", Some("a"), Some("b")),
            ("form-data; filename=\"x; name=y\"; name=\"a\"", Some("a"), Some("x; name=y")),
            ("form-data; NAME=\"a \\\"b\\\" c\"; FileName=\"\"", Some("a \"b\" c"), Some("")),
            ("form-data; name=\"a\"; filename=\"C:\\dir\\b\"", Some("a"), Some("C:\\dir\\b")),
            ("form-data; name = a ; filename*=utf-8''b", Some("a"), None),
            ("form-data; name=\"unfinished", Some("unfinished"), None),
            ("form-data; filename=\"é😀\"; name=\"a\"; name=\"b\"", Some("a"), Some("é😀")),
            ("form-data", None, None),
            ("", None, None),
            (";=;=;=\"", None, None),
        ] {
            let found = of(header, ["name", "filename"]);
            assert_eq!(found, [name, filename].map(|value| value.map(str::to_owned)), "{header}");
        }
    }
}
