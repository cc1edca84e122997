//! What a host may be called: nothing that could be an address.

/// Longer names are no help.
const LONGEST: usize = 63;

/// Why a text cannot be the name of a host, if it cannot.
pub(super) fn problem(name: &str) -> Option<&'static str> {
    let is_of_names = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() {
        Some("it is empty")
    } else if looks_like_an_address(name) {
        Some("it looks like an address")
    } else if !name.chars().all(is_of_names) {
        Some("it has other characters than letters, digits, '-' and '_'")
    } else if name.starts_with('-') {
        Some("it begins with '-', as options do")
    } else if name.len() > LONGEST {
        Some("it has more than 63 characters")
    } else {
        None
    }
}

/// A number alone is a port or an address of IPv4, as `0x7f000001` is.
fn looks_like_an_address(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let digits = lower.strip_prefix("0x").unwrap_or(&lower);
    lower == "localhost"
        || name.contains(['.', ':', '/', '['])
        || !digits.is_empty() && digits.len() < lower.len() && is_hex(digits)
        || digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a host may be called whose machine is called so.
pub(super) fn name_for(text: &str) -> String {
    let label = text.split('.').next().unwrap_or_default();
    let of_names = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = label.chars().map(of_names).take(LONGEST).collect();
    let name = name.trim_matches('-').to_owned();
    if problem(&name).is_none() { name } else { "host".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_addresses() {
        for name in ["gpu", "gpu1", "GPU-1", "4090_box", "x", "cafe", "face0"] {
            assert_eq!(problem(name), None, "{name}");
        }
        for address in [
            "10.0.0.1",
            "a:8000",
            "http://a",
            "::1",
            "[::1]",
            "localhost",
            "LOCALHOST",
            "8000",
            "2130706433",
            "0x7f000001",
        ] {
            assert_eq!(problem(address), Some("it looks like an address"), "{address}");
        }
        for wrong in ["", "a,b", "a b", "é", "-x", "a%41", &"x".repeat(64)] {
            assert!(problem(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn every_machine_has_a_name() {
        for (text, name) in [
            ("worker1", "worker1"),
            ("worker1.example.org", "worker1"),
            ("it's mine", "it-s-mine"),
            ("", "host"),
            ("8000", "host"),
            ("--", "host"),
            ("2130706433", "host"),
        ] {
            assert_eq!(name_for(text), name, "{text}");
        }
    }
}
