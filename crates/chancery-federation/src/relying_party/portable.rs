//! What all take.

use std::time::Duration;

use chancery_core::Algorithm::{Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
use chancery_core::AlgorithmSet;

use super::Certainty::Verified;
use super::{Length, RelyingParty, Requirement, Rule};

const TRIED: &str = "28 verifiers in eight languages, tried with RS256";
const COMMON: &str = "what the relying parties have in common";

pub(super) const PORTABLE: RelyingParty = RelyingParty {
    name: "a verifier in general",
    rules: &[
        Rule::should(
            Requirement::Algorithms(AlgorithmSet::of(&[Rs256])),
            Verified,
            TRIED,
        ),
        Rule::should(
            Requirement::OnlyKeysOf(AlgorithmSet::of(&[
                Rs256, Rs384, Rs512, Ps256, Ps384, Ps512,
            ])),
            Verified,
            TRIED,
        ),
        Rule::should(Requirement::Keys(8), Verified, COMMON),
        Rule::should(Requirement::FirstKey, Verified, TRIED),
        Rule::should(Requirement::Https, Verified, COMMON),
        Rule::should(Requirement::NoPort, Verified, COMMON),
        Rule::should(Requirement::OneAudience, Verified, TRIED),
        Rule::should(Requirement::NoAuthorizedParty, Verified, COMMON),
        Rule::should(
            Requirement::Subject(Length::characters(6, 127)),
            Verified,
            COMMON,
        ),
        Rule::should(Requirement::AsciiSubject, Verified, COMMON),
        Rule::should(
            Requirement::Lifetime(Duration::from_secs(60 * 60)),
            Verified,
            COMMON,
        ),
        Rule::should(Requirement::PlainType, Verified, TRIED),
    ],
};
