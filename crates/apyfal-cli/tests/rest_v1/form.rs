//! Bodies of type `multipart/form-data`.

use serde_json::Value;

/// What the original's client calls its boundaries.
const BOUNDARY: &str = "4b9c1f0fa9d24a6c9ff7a6a5ad7f9b3e";

/// A body in the making.
#[derive(Clone)]
pub(crate) struct Form {
    boundary: String,
    quoted: bool,
    parts: Vec<Vec<u8>>,
}

impl Form {
    pub(crate) fn new() -> Self {
        Self { boundary: BOUNDARY.to_owned(), quoted: false, parts: Vec::new() }
    }

    /// Another boundary than that of the original's client.
    pub(crate) fn boundary(mut self, boundary: &str, quoted: bool) -> Self {
        self.boundary = boundary.to_owned();
        self.quoted = quoted;
        self
    }

    /// A part of text, as the original's client writes it.
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.part(&format!("Content-Disposition: form-data; name=\"{name}\""), text.as_bytes())
    }

    /// The part `parameters`.
    pub(crate) fn parameters(self, parameters: &Value) -> Self {
        self.text("parameters", &parameters.to_string())
    }

    /// The part `datafile`, as the original's client writes it.
    pub(crate) fn data(self, data: &[u8]) -> Self {
        let headers = "Content-Disposition: form-data; name=\"datafile\"; filename=\"src\"\r\n\
                       Content-Type: application/octet-stream";
        self.part(headers, data)
    }

    /// A part with these headers.
    pub(crate) fn part(mut self, headers: &str, content: &[u8]) -> Self {
        self.parts.push([headers.as_bytes(), b"\r\n\r\n", content].concat());
        self
    }

    /// The parts in another order.
    pub(crate) fn ordered(mut self, order: &[usize]) -> Self {
        self.parts = order.iter().map(|index| self.parts[*index].clone()).collect();
        self
    }

    /// The value of the header `Content-Type`.
    pub(crate) fn kind(&self) -> String {
        let quote = if self.quoted { "\"" } else { "" };
        format!("multipart/form-data; boundary={quote}{}{quote}", self.boundary)
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for part in &self.parts {
            body.extend_from_slice(format!("--{}\r\n", self.boundary).as_bytes());
            body.extend_from_slice(part);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        body
    }
}
