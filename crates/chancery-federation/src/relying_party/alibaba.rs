//! Alibaba Cloud RAM.

use std::time::Duration;

use chancery_core::Algorithm::Rs256;
use chancery_core::AlgorithmSet;

use super::Certainty::{Reported, Unverified};
use super::{Length, RelyingParty, Requirement, Rule};

const PROVIDER: &str = "Alibaba Cloud RAM, CreateOIDCProvider";

pub(super) const ALIBABA: RelyingParty = RelyingParty {
    name: "Alibaba Cloud",
    rules: &[
        Rule::should(
            Requirement::Algorithms(AlgorithmSet::of(&[Rs256])),
            Unverified,
            PROVIDER,
        ),
        Rule::should(Requirement::Https, Reported, PROVIDER),
        Rule::should(
            Requirement::IssuerUrl(Length::characters(1, 255)),
            Reported,
            PROVIDER,
        ),
        Rule::should(
            Requirement::AudienceLength(Length::characters(1, 128)),
            Reported,
            PROVIDER,
        ),
        Rule::should(Requirement::Audiences(50), Reported, PROVIDER),
        // The provider's limit is set between 1 and 168 hours; one hour fits all of them.
        Rule::should(
            Requirement::Lifetime(Duration::from_secs(60 * 60)),
            Reported,
            PROVIDER,
        ),
    ],
};
