//! Lists, a page at a time.

use apyfal_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// How many items a page has.
pub const PAGE: u64 = 20;

/// A page of a list, the newest items first.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct List<T> {
    /// How many items there are on all pages.
    pub count: u64,
    /// The absolute URL of the next page.
    pub next: Option<String>,
    /// The absolute URL of the page before.
    pub previous: Option<String>,
    /// Whether the request was refused.
    pub inerror: bool,
    /// The items.
    pub results: Vec<T>,
}

impl<T> List<T> {
    /// The page with this number, the first one being 1, of a list at `url`.
    pub fn new(url: &str, page: u64, count: u64, results: Vec<T>) -> Self {
        let at = |page| format!("{url}?page={page}");
        Self {
            count,
            next: (page < pages(count)).then(|| at(page + 1)),
            previous: (page > 1).then(|| at(page - 1)),
            inerror: false,
            results,
        }
    }
}

/// How many pages a list of so many items has: one where it is empty.
pub fn pages(count: u64) -> u64 {
    count.div_ceil(PAGE).max(1)
}

/// The number of the page that a query asks for: `page=2`, 1 where it says nothing.
///
/// # Errors
/// It is no number from 1. Whether there is such a page is for the caller to say.
pub fn page(query: Option<&str>) -> Result<u64> {
    let given = query.into_iter().flat_map(|query| query.split('&'));
    match given.filter_map(|pair| pair.strip_prefix("page=")).next_back() {
        None => Ok(1),
        Some(text) => match text.parse() {
            Ok(page @ 1..) => Ok(page),
            _ => Err(no_page(text)),
        },
    }
}

/// The error for a page that does not exist.
pub fn no_page(page: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no page '{page}'"))
        .hint("pages are numbered from 1; 'next' has the URL of the one after")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_to_each_other() {
        let list = |page| List::new("http://a/v1.0/process/", page, 41, vec![0_u8]);
        let url = |page| Some(format!("http://a/v1.0/process/?page={page}"));
        assert_eq!((list(1).previous, list(1).next), (None, url(2)));
        assert_eq!((list(2).previous, list(2).next), (url(1), url(3)));
        assert_eq!((list(3).previous, list(3).next), (url(2), None));
        assert_eq!((pages(0), pages(20), pages(21)), (1, 1, 2));
    }

    #[test]
    fn a_page_is_a_number_from_1() {
        assert_eq!(page(None).unwrap(), 1);
        assert_eq!(page(Some("")).unwrap(), 1);
        assert_eq!(page(Some("a=b&page=7")).unwrap(), 7);
        for query in ["page=0", "page=", "page=-1", "page=x", "page=99999999999999999999"] {
            assert_eq!(page(Some(query)).unwrap_err().kind(), ErrorKind::NotFound, "{query}");
        }
    }
}
