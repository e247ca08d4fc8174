//! Tests of the rotation of keys.

mod change_checks;
mod changes;
mod inequalities;
mod json;
mod plans;
mod policies;
mod properties;
mod state;
mod support;
mod years;
