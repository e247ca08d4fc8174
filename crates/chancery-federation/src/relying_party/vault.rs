//! HashiCorp Vault and OpenBao.

use std::time::Duration;

use chancery_core::Algorithm::{
    EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
};
use chancery_core::AlgorithmSet;

use super::{RelyingParty, Requirement, Rule};

const CODE: &str = "hashicorp/cap, package jwt";

pub(super) const VAULT: RelyingParty = RelyingParty {
    name: "Vault",
    rules: &[
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[
                Rs256, Rs384, Rs512, Es256, Es384, Es512, Ps256, Ps384, Ps512, EdDsa,
            ])),
            CODE,
        ),
        Rule::must(Requirement::Discovery(&["issuer", "jwks_uri"]), CODE),
        // A role can ask for email_verified as well.
        Rule::should(
            Requirement::OnlyVerifiedEmail,
            super::Certainty::Verified,
            "Vault, JWT/OIDC auth method (API), bound_claims",
        ),
        Rule::must(
            Requirement::Leeway(Duration::from_secs(60)),
            "Vault, JWT/OIDC auth method (API), clock_skew_leeway",
        ),
    ],
};
