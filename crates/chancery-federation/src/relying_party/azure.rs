//! Microsoft Entra.

use chancery_core::Algorithm::Rs256;
use chancery_core::AlgorithmSet;

use super::Certainty::Verified;
use super::{Length, RelyingParty, Requirement, Rule};

const CONSIDERATIONS: &str =
    "Microsoft Entra, Important considerations and restrictions for federated identity credentials";

pub(super) const AZURE: RelyingParty = RelyingParty {
    name: "Azure",
    rules: &[
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[Rs256])),
            CONSIDERATIONS,
        ),
        Rule::should(Requirement::Keys(100), Verified, CONSIDERATIONS),
        Rule::must(Requirement::Https, CONSIDERATIONS),
        Rule::must(
            Requirement::IssuerUrl(Length::characters(1, 600)),
            CONSIDERATIONS,
        ),
        Rule::must(
            Requirement::Subject(Length::characters(1, 600)),
            CONSIDERATIONS,
        ),
        Rule::must(Requirement::OneAudience, CONSIDERATIONS),
        Rule::must(
            Requirement::AudienceLength(Length::characters(1, 600)),
            CONSIDERATIONS,
        ),
        // National clouds have other values, and a credential may name another.
        Rule::should(
            Requirement::Audience("api://AzureADTokenExchange"),
            Verified,
            CONSIDERATIONS,
        ),
    ],
};
