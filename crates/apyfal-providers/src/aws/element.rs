//! Answers in XML, as trees.

use apyfal_core::{Error, ErrorKind, Result};
use quick_xml::Reader;
use quick_xml::events::Event;

/// An element: its name without a namespace, and what is in it.
#[derive(Debug, Default)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// Reads a document; its outermost element.
    ///
    /// # Errors
    /// It is not well formed.
    pub(crate) fn parse(document: &str) -> Result<Self> {
        let wrong = |why: String| Error::new(ErrorKind::Unavailable, why);
        let mut reader = Reader::from_str(document);
        let mut root = Self::default();
        let mut open = Vec::new();
        loop {
            let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
            let parent = open.last_mut().unwrap_or(&mut root);
            match event {
                Event::Start(tag) => open.push(Self::named(tag.local_name().as_ref())),
                Event::Empty(tag) => parent.children.push(Self::named(tag.local_name().as_ref())),
                Event::End(_) => {
                    if let Some(closed) = open.pop() {
                        open.last_mut().unwrap_or(&mut root).children.push(closed);
                    }
                }
                Event::Text(text) => parent.text.push_str(&text.xml10_content()),
                Event::CData(text) => parent.text.push_str(&text.xml10_content()),
                Event::GeneralRef(name) => {
                    let character = match &*name.xml10_content() {
                        "lt" => Some('<'),
                        "gt" => Some('>'),
                        "amp" => Some('&'),
                        "quot" => Some('"'),
                        "apos" => Some('\''),
                        _ => name.resolve_char_ref().map_err(|error| wrong(error.to_string()))?,
                    };
                    parent.text.extend(character);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        match root.children.pop() {
            Some(element) if open.is_empty() => Ok(element),
            _ => Err(wrong("it is cut off".to_owned())),
        }
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The first element at a path of names below this one: `placement/availabilityZone`.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == name)
        })
    }

    /// The text of the element at a path, where it has any.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.own_text()
    }

    /// Its own text, where it has any.
    pub(crate) fn own_text(&self) -> Option<&str> {
        Some(self.text.trim()).filter(|text| !text.is_empty())
    }

    /// The elements within the one at a path; none where there is no such one: those of
    /// `instancesSet`.
    pub(crate) fn items(&self, path: &str) -> impl Iterator<Item = &Self> {
        self.at(path).into_iter().flat_map(|set| &set.children)
    }

    /// The same, with the elements their own.
    pub(crate) fn into_items(mut self, path: &str) -> Vec<Self> {
        for name in path.split('/') {
            match self.children.into_iter().find(|child| child.name == name) {
                Some(child) => self = child,
                None => return Vec::new(),
            }
        }
        self.children
    }

    /// The tag of a resource of EC2: in `tagSet`, with `key` and `value`.
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        let mut tags = self.items("tagSet");
        tags.find(|tag| tag.text("key") == Some(key))?.text("value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_by_paths() {
        let element = Element::parse(
            "<?xml version='1.0'?><r xmlns='http://x/'><a><b>1 &lt;&#x41;</b></a>\n<s><item>\
             <tagSet><item><key>k</key><value>v</value></item></tagSet></item><item/></s></r>",
        )
        .unwrap();
        assert_eq!(element.name(), "r");
        assert_eq!(element.text("a/b"), Some("1 <A"));
        assert_eq!(element.text("a/c"), None);
        assert_eq!(element.items("s").count(), 2);
        assert_eq!(element.items("none").count(), 0);
        assert_eq!(element.items("s").next().unwrap().tag("k"), Some("v"));
        assert_eq!(element.into_items("s").len(), 2);
        for cut in ["", "<a>", "<a></b>", "<a><b></a>", "no"] {
            assert!(Element::parse(cut).is_err(), "{cut}");
        }
    }
}
