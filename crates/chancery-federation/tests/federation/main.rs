//! The tests of chancery-federation.

// The lints let the tests panic, but not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod artefacts;
mod binding;
mod by_aws_tools;
mod by_iam_simulate;
mod clouds;
mod commands;
mod evaluator;
mod guides;
mod lint;
mod policy;
mod relying_party;
mod session_tags;
mod simulate;
mod simulate_keys;
mod snippets;
mod subject;
mod subject_properties;
mod support;
mod systems;
mod token_file;
mod trust_policy;
