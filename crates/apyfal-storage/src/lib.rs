//! Storage URLs: open, create, copy.
