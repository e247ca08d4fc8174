//! MechCloud: people in a portal, a trailing slash, one issuer for all customers.

use chancery_core::Claims;
use chancery_federation::aws::{Setup, TrustPolicy, TrustPolicyError};
use chancery_federation::{Binding, RelyingParty, Sharing, SubjectTemplate, Variable};

use super::attacks::{Honest, is_denied_by_subject};
use super::{allowed, provider, service};

const ISSUER: &str = "https://id.mechcloud.io/";
const CLIENT_ID: &str = "n6dMQlo8ZCE5QxLY4o2KjeBaSn8eefTX";

fn template() -> SubjectTemplate {
    SubjectTemplate::parse("auth0|{id}", [Variable::id("id")]).unwrap()
}

#[test]
fn a_person_assumes_the_role_that_names_them_and_nobody_else_does() {
    let issuer = service(ISSUER, [Binding::new(CLIENT_ID, RelyingParty::AWS)])
        .build()
        .unwrap();
    assert_eq!(RelyingParty::AWS.check(&issuer), []);
    assert_eq!(
        issuer.discovery().unwrap().path(),
        "/.well-known/openid-configuration"
    );
    let provider = provider(&issuer, CLIENT_ID);
    let subject = |id| template().subject(&[("id", id)]).unwrap();
    let policy = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .subject(subject("65f1c0ffee"))
        .build()
        .unwrap();
    let json = policy.to_string();
    // The slash stays: in the ARN, and in the names of the keys.
    assert!(json.contains(r#""arn:aws:iam::123456789012:oidc-provider/id.mechcloud.io/""#));
    assert!(
        json.contains(r#""id.mechcloud.io/:sub":"auth0|65f1c0ffee""#),
        "{json}"
    );

    let claims = Claims::new(subject("65f1c0ffee")).with_email("a@example.com", true);
    allowed(
        &policy,
        &provider,
        &issuer,
        &claims.clone().with_audience(CLIENT_ID),
    );
    let honest = Honest {
        issuer: &issuer,
        provider: &provider,
        policy: &policy,
        claims: &claims,
        audience: CLIENT_ID,
        authorized_party: None,
    };
    honest.withstands_what_all_do();

    // Another person who knows account and role.
    is_denied_by_subject(&honest, Claims::new(subject("65f1c0ffef")));
    // A name in another case is another person.
    is_denied_by_subject(&honest, Claims::new("auth0|65F1C0FFEE"));
    // An id that looks like a pattern is none, and cannot even be put in.
    is_denied_by_subject(&honest, Claims::new("auth0|*"));
    assert!(template().subject(&[("id", "*")]).is_err());

    // People may be named by their address as well.
    let by_email = TrustPolicy::new(&provider, Sharing::ManyCustomers)
        .email("a@example.com")
        .build()
        .unwrap();
    allowed(
        &by_email,
        &provider,
        &issuer,
        &claims.clone().with_audience(CLIENT_ID),
    );
    // Another customer's user who typed that address in: AWS would not ask whether it is theirs.
    let attacker = Claims::new(subject("65f1c0ffef"))
        .with_email("a@example.com", false)
        .with_audience(CLIENT_ID);
    let unbound = service(ISSUER, []).build().unwrap();
    allowed(
        &by_email,
        &super::provider(&unbound, CLIENT_ID),
        &unbound,
        &attacker,
    );
    let refused = issuer.issue(&attacker).unwrap_err().to_string();
    assert!(refused.contains("email_verified is false"), "{refused}");
    assert_eq!(
        TrustPolicy::new(&provider, Sharing::ManyCustomers)
            .audience(CLIENT_ID)
            .build(),
        Err(TrustPolicyError::NobodyIdentified)
    );

    let setup = Setup::new(provider.clone())
        .with_role("mechcloud", policy.clone())
        .unwrap();
    assert!(setup.terraform().unwrap().contains("id.mechcloud.io/"));
}
