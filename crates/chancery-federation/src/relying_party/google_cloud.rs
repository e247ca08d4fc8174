//! Google Cloud.

use std::time::Duration;

use chancery_core::Algorithm::{Es256, Rs256};
use chancery_core::AlgorithmSet;

use super::Certainty::{Reported, Verified};
use super::{Length, RelyingParty, Requirement, Rule};

const STS: &str = "Security Token Service API, method token, subjectToken";
const GUIDE: &str =
    "Google Cloud, Configure Workload Identity Federation with other identity providers";
const PROVIDER: &str = "IAM API, projects.locations.workloadIdentityPools.providers";
const LIBRARIES: &str = "Google's auth libraries, two of which were tried";

pub(super) const GOOGLE_CLOUD: RelyingParty = RelyingParty {
    name: "Google Cloud",
    rules: &[
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[Rs256, Es256])),
            STS,
        ),
        Rule::must(Requirement::KeyId, STS),
        Rule::should(Requirement::PlainUpload, Verified, PROVIDER),
        Rule::must(Requirement::Https, PROVIDER),
        Rule::must(
            Requirement::Claims(&["iss", "iat", "exp", "sub", "aud"]),
            STS,
        ),
        Rule::must(
            Requirement::AudienceLength(Length::characters(1, 256)),
            PROVIDER,
        ),
        // Each provider has as many; an issuer may have several providers.
        Rule::should(Requirement::Audiences(10), Verified, PROVIDER),
        Rule::should(Requirement::OneAudience, Reported, LIBRARIES),
        // The limit is that of google.subject, which a mapping can make shorter than sub.
        Rule::should(
            Requirement::Subject(Length::bytes(1, 127)),
            Verified,
            PROVIDER,
        ),
        // The limit is that of what is mapped, which need not be all there is.
        Rule::should(Requirement::MappedBytes(8 * 1024), Verified, PROVIDER),
        // A condition can ask for email_verified as well.
        Rule::should(Requirement::OnlyVerifiedEmail, Verified, PROVIDER),
        // The reference of its STS has another limit beside it: `exp` less than 48 h after `iat`.
        Rule::should(
            Requirement::Lifetime(Duration::from_secs(24 * 60 * 60)),
            Verified,
            GUIDE,
        ),
    ],
};
