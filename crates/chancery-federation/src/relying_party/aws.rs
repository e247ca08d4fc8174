//! AWS IAM and STS.

use std::time::Duration;

use chancery_core::Algorithm::{Es256, Es384, Es512, Rs256, Rs384, Rs512};
use chancery_core::AlgorithmSet;

use super::Certainty::{Reported, Unverified, Verified};
use super::{Length, RelyingParty, Requirement, Rule};

const PROVIDER: &str = "IAM API Reference, CreateOpenIDConnectProvider";
const USER_GUIDE: &str = "IAM User Guide, Create an OpenID Connect (OIDC) identity provider in IAM";
const STS: &str = "STS API Reference, AssumeRoleWithWebIdentity";

pub(super) const AWS: RelyingParty = RelyingParty {
    name: "AWS",
    rules: &[
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[
                Rs256, Rs384, Rs512, Es256, Es384, Es512,
            ])),
            USER_GUIDE,
        ),
        Rule::should(
            Requirement::KeysOfFamily(100),
            Reported,
            "reports from the field",
        ),
        Rule::should(Requirement::KeyId, Reported, "reports from the field"),
        Rule::must(Requirement::Https, PROVIDER),
        Rule::must(Requirement::IssuerUrl(Length::characters(1, 255)), PROVIDER),
        Rule::should(Requirement::NoPort, Verified, PROVIDER),
        Rule::should(
            Requirement::Discovery(&[
                "issuer",
                "jwks_uri",
                "response_types_supported",
                "subject_types_supported",
                "id_token_signing_alg_values_supported",
                "claims_supported",
            ]),
            Verified,
            USER_GUIDE,
        ),
        Rule::should(
            Requirement::Claims(&["iss", "sub", "aud", "exp", "iat"]),
            Reported,
            "reports from the field",
        ),
        Rule::must(Requirement::Token(Length::characters(4, 20_000)), STS),
        Rule::must(
            Requirement::AudienceLength(Length::characters(1, 255)),
            PROVIDER,
        ),
        Rule::should(Requirement::Audiences(100), Verified, PROVIDER),
        Rule::should(Requirement::OneAudience, Unverified, STS),
        Rule::must(
            Requirement::AuthorizedPartyFirst,
            "IAM User Guide, IAM and AWS STS condition context keys",
        ),
        Rule::should(
            Requirement::Subject(Length::characters(6, 255)),
            Unverified,
            STS,
        ),
        Rule::must(
            Requirement::OnlyVerifiedEmail,
            "IAM User Guide, IAM and AWS STS condition context keys",
        ),
        Rule::must(Requirement::Leeway(Duration::from_secs(300)), STS),
        Rule::must(
            Requirement::AwsClaims,
            "IAM User Guide, Pass session tags in AWS STS",
        ),
    ],
};
