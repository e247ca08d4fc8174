//! Ceph RGW.

use chancery_core::Algorithm::{Es256, Es384, Es512, Rs256, Rs384, Rs512};
use chancery_core::AlgorithmSet;

use super::Certainty::Verified;
use super::{RelyingParty, Requirement, Rule};

const CODE: &str = "ceph/ceph, src/rgw/rgw_rest_sts.cc";

/// A second one of these, out of a nested object, would be read beside the token's own.
const FLATTENED: &[&str] = &["sub", "aud", "azp", "iss", "client_id"];

pub(super) const CEPH: RelyingParty = RelyingParty {
    name: "Ceph",
    rules: &[
        // It needs no certificate for these, so that they are what a binding asks for.
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[Rs256, Rs384, Rs512])),
            CODE,
        ),
        Rule::must(
            Requirement::AlgorithmsWithCertificate(AlgorithmSet::of(&[
                Rs256, Rs384, Rs512, Es256, Es384, Es512,
            ])),
            CODE,
        ),
        Rule::should(Requirement::FirstKey, Verified, CODE),
        Rule::must(Requirement::NoNested(FLATTENED), CODE),
        Rule::must(Requirement::OnlyVerifiedEmail, CODE),
    ],
};

pub(super) const CEPH_16: RelyingParty = RelyingParty {
    name: "Ceph 16",
    rules: &[
        Rule::must(
            Requirement::Algorithms(AlgorithmSet::of(&[
                Rs256, Rs384, Rs512, Es256, Es384, Es512,
            ])),
            CODE,
        ),
        Rule::must(Requirement::FirstKey, CODE),
        Rule::must(Requirement::Certificate, CODE),
        Rule::must(Requirement::JwksAt("/protocol/openid-connect/certs"), CODE),
        Rule::must(Requirement::NoNested(FLATTENED), CODE),
        Rule::must(Requirement::OnlyVerifiedEmail, CODE),
    ],
};
