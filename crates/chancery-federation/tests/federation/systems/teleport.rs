//! Teleport: the whole set-up as artefacts, for an issuer of one customer.

use chancery_core::Claims;
use chancery_federation::aws::{Setup, TrustPolicy};
use chancery_federation::{Binding, RelyingParty, Sharing, SubjectTemplate, Variable};

use super::attacks::{Honest, is_denied_by_subject};
use super::{allowed, denied, provider, service, url};

const AUDIENCE: &str = "discover.teleport";

fn template() -> SubjectTemplate {
    SubjectTemplate::parse(
        "system:{role}",
        [Variable::one_of("role", ["proxy", "auth", "discovery"])],
    )
    .unwrap()
}

#[test]
fn the_proxy_comes_in_and_the_set_up_says_all_of_it() {
    let issuer = service(
        "https://proxy.example.com",
        [Binding::new(AUDIENCE, RelyingParty::AWS)],
    )
    .build()
    .unwrap();
    let provider = provider(&issuer, AUDIENCE);
    let claims = |role| Claims::new(template().subject(&[("role", role)]).unwrap());

    // As the vendor has it: by the audience alone, which an issuer of one's own allows.
    let by_audience = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .build()
        .unwrap();
    let proxy = claims("proxy")
        .with_private_claim("obo", "user:alice")
        .unwrap();
    allowed(
        &by_audience,
        &provider,
        &issuer,
        &proxy.clone().with_audience(AUDIENCE),
    );
    // Better: the part that needs the role.
    let pattern = template().aws_pattern(&[("role", "proxy")]).unwrap();
    let policy = TrustPolicy::new(&provider, Sharing::OneCustomer)
        .subject_pattern(&pattern)
        .build()
        .unwrap();
    let honest = Honest {
        issuer: &issuer,
        provider: &provider,
        policy: &policy,
        claims: &proxy,
        audience: AUDIENCE,
        authorized_party: None,
    };
    honest.withstands_what_all_do();
    is_denied_by_subject(&honest, claims("discovery"));
    is_denied_by_subject(&honest, Claims::new("system:proxy:x"));
    is_denied_by_subject(&honest, Claims::new("system:*"));

    // Another cluster's proxy has the same subject and audience.
    let other = issuer.tenant(url("https://proxy.other.example.com"));
    let denial = denied(
        &policy,
        &provider,
        &other,
        &proxy.clone().with_audience(AUDIENCE),
    );
    assert!(
        denial
            .to_string()
            .contains("No OpenIDConnect provider found"),
        "{denial}"
    );

    let setup = Setup::new(provider.clone())
        .with_tag("teleport.dev/cluster", "example.com")
        .and_then(|setup| setup.with_tag("teleport.dev/origin", "integration_awsoidc"))
        .and_then(|setup| setup.with_tag("teleport.dev/integration", "aws"))
        .and_then(|setup| setup.with_role("teleport-discovery", policy.clone()))
        .unwrap();
    for artefact in [
        setup.aws_commands(),
        setup.terraform().unwrap(),
        setup.cloudformation().unwrap(),
    ] {
        for part in [
            "https://proxy.example.com",
            "discover.teleport",
            "teleport-discovery",
            "teleport.dev/origin",
            "integration_awsoidc",
        ] {
            assert!(artefact.contains(part), "{part} in {artefact}");
        }
    }
}

#[test]
fn the_default_port_is_no_part_of_the_issuer() {
    assert!(chancery_core::IssuerUrl::parse("https://proxy.example.com:443").is_err());
}
