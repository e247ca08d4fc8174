//! Databricks.

use chancery_core::Algorithm::{Es256, Rs256};
use chancery_core::AlgorithmSet;

use super::Certainty::Unverified;
use super::{RelyingParty, Requirement, Rule};

const POLICY: &str = "Databricks, Configure a federation policy";

pub(super) const DATABRICKS: RelyingParty = RelyingParty {
    name: "Databricks",
    rules: &[
        Rule::should(
            Requirement::Algorithms(AlgorithmSet::of(&[Rs256, Es256])),
            Unverified,
            POLICY,
        ),
        Rule::should(Requirement::Https, Unverified, POLICY),
        Rule::should(Requirement::Claims(&["sub", "aud"]), Unverified, POLICY),
    ],
};
