//! The tests of chancery-federation.
