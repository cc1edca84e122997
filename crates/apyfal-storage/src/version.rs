//! Which version of a file an answer is of.

/// What tells two versions of a file apart, as far as a server says it.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// The entity tag, as it was sent.
    pub(crate) etag: Option<String>,
    /// The time of the last change, as it was sent.
    pub(crate) modified: Option<String>,
    /// The length of the whole file.
    pub(crate) len: u64,
}

impl Version {
    /// Whether both are of the same bytes. Where both have a strong tag, it and the length decide;
    /// else any difference is one of versions.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let has_tags = self.strong_tag().is_some() && other.strong_tag().is_some();
        self.len == other.len
            && self.etag == other.etag
            && (has_tags || self.modified == other.modified)
    }

    /// What changes with the bytes, where the server says anything of that.
    pub(crate) fn text(&self) -> Option<String> {
        if let Some(tag) = self.strong_tag() {
            return Some(tag.to_owned());
        }
        let told: Vec<_> = [&self.etag, &self.modified].into_iter().flatten().cloned().collect();
        (!told.is_empty()).then(|| told.join(" "))
    }

    /// The tag, where it stands for every byte. Swift sends its tags without quotes.
    pub(crate) fn strong_tag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| !tag.starts_with("W/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_tags_decide_and_else_any_difference() {
        let version = |etag: &str, modified: &str, len| Version {
            etag: Some(etag.to_owned()).filter(|tag| !tag.is_empty()),
            modified: Some(modified.to_owned()).filter(|date| !date.is_empty()),
            len,
        };
        for (one, other, is) in [
            (("\"a\"", "mon", 1), ("\"a\"", "mon", 1), true),
            (("\"a\"", "mon", 1), ("\"a\"", "tue", 1), true),
            (("\"a\"", "mon", 1), ("\"a\"", "", 1), true),
            (("\"a\"", "mon", 1), ("\"a\"", "mon", 2), false),
            (("\"a\"", "mon", 1), ("\"b\"", "mon", 1), false),
            (("\"a\"", "mon", 1), ("", "mon", 1), false),
            (("\"a\"", "mon", 1), ("W/\"a\"", "mon", 1), false),
            (("W/\"a\"", "mon", 1), ("W/\"a\"", "mon", 1), true),
            (("W/\"a\"", "mon", 1), ("W/\"a\"", "tue", 1), false),
            (("W/\"a\"", "mon", 1), ("W/\"b\"", "mon", 1), false),
            (("", "mon", 1), ("", "mon", 1), true),
            (("", "mon", 1), ("", "tue", 1), false),
            (("", "mon", 1), ("", "", 1), false),
            (("", "", 1), ("", "", 1), true),
            (("", "", 1), ("", "", 2), false),
        ] {
            let (one, other) = (version(one.0, one.1, one.2), version(other.0, other.1, other.2));
            assert_eq!((one.is(&other), other.is(&one)), (is, is), "{one:?} {other:?}");
        }
    }
}
