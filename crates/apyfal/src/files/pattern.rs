//! Patterns of names: `*`, `?` and `[a-z]` within one part of a path, `**` across parts.

/// Whether a text has characters of a pattern.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Splits what is before the first part with such characters, its '/' included, from the rest.
pub(crate) fn split(text: &str) -> (&str, &str) {
    let first = text.find(['*', '?', '[']).unwrap_or(text.len());
    text.split_at(text[..first].rfind('/').map_or(0, |slash| slash + 1))
}

/// Whether a name is of a pattern.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let parts: Vec<&str> = pattern.split('/').collect();
    let names: Vec<&str> = name.split('/').collect();
    parts_match(&parts, &names)
}

/// Whether names below a directory of this name may be of a pattern.
pub(crate) fn leads_below(pattern: &str, folder: &str) -> bool {
    let mut parts = pattern.split('/');
    for name in folder.split('/') {
        match parts.next() {
            Some("**") => return true,
            Some(part) if parts_match(&[part], &[name]) => {}
            _ => return false,
        }
    }
    parts.next().is_some()
}

fn parts_match(parts: &[&str], names: &[&str]) -> bool {
    match (parts, names) {
        ([], []) => true,
        (["**", rest @ ..], names) => {
            let mut from = 0..=names.len();
            // Behind the last one is a name at least.
            from.any(|from| parts_match(rest, &names[from..])) || rest.is_empty()
        }
        ([part, parts @ ..], [name, names @ ..]) => {
            let (part, name): (Vec<_>, Vec<_>) = (part.chars().collect(), name.chars().collect());
            part_matches(&part, &name) && parts_match(parts, names)
        }
        _ => false,
    }
}

/// Goes back to the last `*` where it must, and so needs no more than the product of the lengths.
fn part_matches(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut star = None;
    while next < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, next));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[at..], name[next]),
            Some(c) if *c == name[next] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => (at, next) = (at + step, next + 1),
            (None, Some((star_at, from))) => {
                star = Some((star_at, from + 1));
                (at, next) = (star_at + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// The length of a class such as `[a-z]` where a character is of it. One that has no end is a
/// bracket.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let Some(end) = pattern.iter().skip(2).position(|c| *c == ']').map(|end| end + 2) else {
        return (c == '[').then_some(1);
    };
    let is_negated = matches!(pattern[1], '!' | '^');
    let mut members = &pattern[1 + usize::from(is_negated)..end];
    let mut is_member = false;
    while let [first, rest @ ..] = members {
        if let ['-', last, rest @ ..] = rest {
            is_member |= (*first..=*last).contains(&c);
            members = rest;
        } else {
            is_member |= *first == c;
            members = rest;
        }
    }
    (is_member != is_negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_should() {
        for (pattern, names, others) in [
            ("*.txt", &["a.txt", ".txt", "a.b.txt"][..], &["a.txt.gz", "b/a.txt", "txt"][..]),
            ("a?c", &["abc", "aéc"], &["ac", "abbc"]),
            ("[a-c]x[!0-9]", &["axy", "cx-"], &["dxy", "ax0"]),
            ("[]x", &["[]x"], &["x"]),
            ("**/*.jpg", &["a.jpg", "b/a.jpg", "c/b/a.jpg"], &["a.png", "a.jpg/b"]),
            ("a/**", &["a/b", "a/b/c"], &["b/a"]),
            ("a/*/c", &["a/b/c"], &["a/c", "a/b/b/c"]),
            ("*a*b*", &["ab", "xaxbx", "aab"], &["ba", ""]),
        ] {
            for name in names {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in others {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
        assert!(!matches(&"*a".repeat(50), &"a".repeat(49)));
    }

    #[test]
    fn only_what_may_have_matches_is_looked_into() {
        for (pattern, folders, others) in [
            ("**", &["a", "a/b"][..], &[][..]),
            ("*.txt", &[], &["a", "a.txt"]),
            ("a*/*.txt", &["a", "ab"], &["b", "a/b"]),
            ("a/**/*.txt", &["a", "a/b", "a/b/c"], &["b", "b/a"]),
        ] {
            for folder in folders {
                assert!(leads_below(pattern, folder), "{pattern} {folder}");
            }
            for folder in others {
                assert!(!leads_below(pattern, folder), "{pattern} {folder}");
            }
        }
    }

    #[test]
    fn the_fixed_part_is_split_off() {
        assert_eq!(split("a/b*/c"), ("a/", "b*/c"));
        assert_eq!(split("*.txt"), ("", "*.txt"));
        assert_eq!(split("s3://bucket/x?"), ("s3://bucket/", "x?"));
    }
}
