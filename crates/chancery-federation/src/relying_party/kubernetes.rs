//! The Kubernetes API server.

use std::time::Duration;

use chancery_core::Algorithm::{Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
use chancery_core::AlgorithmSet;

use super::Certainty::Verified;
use super::{RelyingParty, Requirement, Rule};

const DOCUMENTATION: &str = "Kubernetes, Authenticating, OpenID Connect Tokens";
const CODE: &str = "kubernetes/apiserver, plugin/pkg/authenticator/token/oidc";

pub(super) const KUBERNETES: RelyingParty = RelyingParty {
    name: "Kubernetes",
    rules: &[
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[
                Rs256, Rs384, Rs512, Es256, Es384, Es512, Ps256, Ps384, Ps512,
            ])),
            CODE,
        ),
        Rule::must(Requirement::Https, DOCUMENTATION),
        Rule::should(Requirement::VerifiedEmail, Verified, CODE),
        Rule::must(Requirement::Leeway(Duration::ZERO), CODE),
    ],
};

pub(super) const KUBERNETES_FLAGS: RelyingParty = RelyingParty {
    name: "Kubernetes (flags)",
    rules: &[
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[Rs256])),
            DOCUMENTATION,
        ),
        Rule::must(Requirement::Https, DOCUMENTATION),
        Rule::should(Requirement::VerifiedEmail, Verified, CODE),
        Rule::must(Requirement::Leeway(Duration::ZERO), CODE),
    ],
};
