//! The tests of chancery-federation.

mod binding;
mod evaluator;
mod policy;
mod relying_party;
mod session_tags;
mod simulate;
mod subject;
mod subject_properties;
mod support;
mod token_file;
