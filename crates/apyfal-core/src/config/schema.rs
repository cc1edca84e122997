//! The sections and keys of `accelerator.conf`: one table, from which the warnings, the environment
//! variables and the reference page come.

mod sections;

pub use sections::SECTIONS;

/// How the text of a key is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is: digits stay text.
    Text,
    /// `True` or `False`; also `yes`, `no`, `on`, `off`, `1` and `0`, in any case.
    Bool,
    /// A Python literal; what is none stays text.
    Literal,
    /// One item a line.
    Lines,
}

/// Whether a key names files. A relative path is looked for beside the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// It names none.
    None,
    /// A path, or where the form is a list of lines one on each.
    Path,
    /// A path, or text that means itself.
    PathOrText,
    /// A program or package: a path only where it has a `/` or ends with `.apyfal`.
    Program,
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Its name, in the case that it must have.
    pub name: &'static str,
    /// How it is read.
    pub form: Form,
    /// Whether it names files.
    pub files: Files,
    /// What it means, in one line.
    pub meaning: &'static str,
}

/// A section.
#[derive(Clone, Copy, Debug)]
pub struct SectionSpec {
    /// The first part of its name.
    pub name: &'static str,
    /// What may follow behind a dot: `<host_type>`. Empty where there are no subsections.
    pub subsections: &'static str,
    /// Whether any other key is fine too; it is read as [`Form::Literal`].
    pub open: bool,
    /// What it is for, in one line.
    pub meaning: &'static str,
    /// Its keys.
    pub keys: &'static [KeySpec],
}

/// The host types, as they are spelled. Case does not matter where a user writes one.
pub const HOST_TYPES: &[&str] =
    &["AWS", "OpenStack", "Alibaba", "localhost", "ssh", "Slurm", "sim"];

/// The storage types, each with the other name that means it.
pub const STORAGE_TYPES: &[(&str, &str)] =
    &[("AWS", "s3"), ("Alibaba", "oss"), ("OpenStack", "swift")];

/// The section that a name belongs to, by its first part.
pub fn section(name: &str) -> Option<&'static SectionSpec> {
    let top = name.split('.').next();
    SECTIONS.iter().find(|spec| Some(spec.name) == top)
}

/// How a key of a section is read. What is not in the table is text.
pub fn form(section_name: &str, key: &str) -> Form {
    let Some(spec) = section(section_name) else { return Form::Text };
    let known = spec.keys.iter().find(|spec| spec.name == key);
    known.map_or(if spec.open { Form::Literal } else { Form::Text }, |spec| spec.form)
}

/// Whether names that begin so are the same in any case.
pub(super) fn ignores_case(section_name: &str) -> bool {
    matches!(section_name.split('.').next(), Some("host" | "storage" | "configuration" | "process"))
}

/// The name that a section has today, with host and storage types spelled as in the tables.
pub(super) fn present_name(name: &str) -> String {
    let mut words: Vec<&str> = name.split('.').collect();
    if is_legacy(name) {
        words[0] = "host";
    }
    if let [top, kind, ..] = &mut words[..] {
        let known = match *top {
            "host" => HOST_TYPES.iter().find(|known| known.eq_ignore_ascii_case(kind)).copied(),
            "storage" => STORAGE_TYPES
                .iter()
                .find(|(known, other)| {
                    known.eq_ignore_ascii_case(kind) || other.eq_ignore_ascii_case(kind)
                })
                .map(|(known, _)| *known),
            _ => None,
        };
        *kind = known.unwrap_or(kind);
    }
    words.join(".")
}

/// Whether a section is `csp`, which `host` was called before.
pub(super) fn is_legacy(section_name: &str) -> bool {
    section_name.split('.').next() == Some("csp")
}

/// The present name of a key that had another one in the section `csp`.
pub(super) fn present_key(key: &str) -> Option<&'static str> {
    match key {
        "ssh_key" => Some("key_pair"),
        "provider" => Some("host_type"),
        "instance_ip" => Some("host_ip"),
        "instance_name_prefix" => Some("host_name_prefix"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Form::{Bool, Literal, Text};
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for (written, expected) in [
            ("csp", "host"),
            ("csp.aws", "host.AWS"),
            ("host.openstack", "host.OpenStack"),
            ("host.Other", "host.Other"),
            ("storage.s3", "storage.AWS"),
            ("storage.SWIFT.archive.x", "storage.OpenStack.archive.x"),
            ("configuration.aws", "configuration.aws"),
            ("cspx", "cspx"),
        ] {
            assert_eq!(present_name(written), expected);
        }
    }

    #[test]
    fn forms_follow_the_table() {
        assert_eq!(form("host.AWS", "spot_instance"), Bool);
        assert_eq!(form("host", "instance_id"), Text);
        assert_eq!(form("process.gzip", "level"), Literal);
        assert_eq!(form("elsewhere", "level"), Text);
        for spec in SECTIONS {
            for key in spec.keys {
                assert!(key.meaning.len() > 5 && !key.meaning.ends_with('.'), "{}", key.name);
                let kwargs = key.name.ends_with("kwargs");
                assert!(!kwargs || key.form == Literal, "{}", key.name);
            }
        }
    }
}
