//! The command line, as a library with a thin main.
