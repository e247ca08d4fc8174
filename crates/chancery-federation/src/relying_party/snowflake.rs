//! Snowflake.

use chancery_core::Algorithm::Rs256;
use chancery_core::AlgorithmSet;

use super::Certainty::Unverified;
use super::{RelyingParty, Requirement, Rule};

const USER: &str = "Snowflake, CREATE USER, WORKLOAD_IDENTITY with TYPE = OIDC";

pub(super) const SNOWFLAKE: RelyingParty = RelyingParty {
    name: "Snowflake",
    rules: &[
        Rule::should(
            Requirement::Algorithms(AlgorithmSet::of(&[Rs256])),
            Unverified,
            USER,
        ),
        Rule::should(Requirement::Https, Unverified, USER),
        Rule::should(Requirement::Claims(&["sub", "aud"]), Unverified, USER),
    ],
};
