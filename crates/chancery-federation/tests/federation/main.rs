//! The tests of chancery-federation.

mod evaluator;
mod policy;
