//! MinIO.

use std::time::Duration;

use chancery_core::Algorithm::{
    EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
};
use chancery_core::AlgorithmSet;

use super::Certainty::Unverified;
use super::{RelyingParty, Requirement, Rule};

const CODE: &str = "minio/minio, internal/config/identity/openid";

pub(super) const MINIO: RelyingParty = RelyingParty {
    name: "MinIO",
    rules: &[
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[
                Rs256, Rs384, Rs512, Es256, Es384, Es512,
            ])),
            CODE,
        ),
        // An Ed25519 key is decoded only under the name `EdDSA`.
        Rule::must(
            Requirement::OnlyKeysOf(AlgorithmSet::of(&[
                Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, Es512, EdDsa,
            ])),
            CODE,
        ),
        Rule::must(Requirement::KeyId, CODE),
        Rule::should(Requirement::UniqueKeyIds, super::Certainty::Verified, CODE),
        Rule::must(Requirement::Claims(&["sub"]), CODE),
        Rule::must(Requirement::AuthorizedPartyElse, CODE),
        // Policies have the variable jwt:email, and none for email_verified.
        Rule::must(Requirement::OnlyVerifiedEmail, CODE),
        Rule::should(Requirement::Leeway(Duration::ZERO), Unverified, CODE),
    ],
};
