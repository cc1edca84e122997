//! Starters of real servers and behaviour suites for tests.
