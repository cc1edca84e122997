//! The catalog that needs no server and no file.

use apyfal_core::Result;

use crate::Catalog;

const TEXT: &str = include_str!("built_in.toml");
/// What the entry for all accelerators is called in the file.
const EACH: &str = "each";

impl Catalog {
    /// The built-in accelerators on stock images: all that they need is a machine.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn built_in<'a>(accelerators: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut catalog = Self::parse(TEXT, "built-in")?;
        let entry = catalog.accelerators.remove(EACH).unwrap_or_default();
        for name in accelerators {
            catalog.accelerators.insert(name.to_owned(), entry.clone());
        }
        Ok(catalog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_read() {
        let catalog = Catalog::built_in(["gzip", "sha3"]).unwrap();
        let found = catalog.requirements("AWS", "sha3").unwrap();
        let there = found.region(Some("eu-west-1")).unwrap();
        assert!(there.image.as_ref().unwrap().as_id().unwrap().starts_with("resolve:ssm:/aws/"));
        assert!(catalog.accelerator(EACH).is_err());
    }
}
