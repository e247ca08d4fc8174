//! The discovery document and the JWKS, byte by byte, and how they are served.

use chancery_core::{
    Algorithm, Document, DocumentError, Issuer, IssuerBuilder, IssuerError, JwkError,
    ProviderMetadata, Schedule, ScheduledKey,
};
use serde_json::json;

use crate::support::{
    FakeSigner, ISSUER, NOW, Object, TurnableClock, always, builder, issuer, key_set, seconds,
    source, time, url,
};

fn es256() -> IssuerBuilder {
    builder(vec![always(Algorithm::Es256, "es256")])
}

fn issuer_at(text: &str) -> Issuer {
    Issuer::new(url(text), key_set(vec![always(Algorithm::Es256, "es256")]))
}

fn text(document: &Document) -> &str {
    std::str::from_utf8(document.bytes()).unwrap()
}

#[test]
fn the_discovery_document_is_this() {
    assert_eq!(
        text(&issuer().discovery().unwrap()),
        concat!(
            r#"{"issuer":"https://id.example.com","#,
            r#""jwks_uri":"https://id.example.com/.well-known/jwks.json","#,
            r#""response_types_supported":["id_token"],"#,
            r#""subject_types_supported":["public"],"#,
            r#""id_token_signing_alg_values_supported":["ES256"],"#,
            r#""claims_supported":["iss","sub","aud","iat","nbf","exp","jti"]}"#,
        )
    );
}

#[test]
fn the_jwks_of_an_ec_key_is_this() {
    assert_eq!(
        text(&issuer().jwks().unwrap()),
        concat!(
            r#"{"keys":[{"kty":"EC","use":"sig","alg":"ES256","kid":"es256","crv":"P-256","#,
            r#""x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#,
            r#""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
        )
    );
}

#[test]
fn the_jwks_has_every_kind_of_key_in_full() {
    let issuer = builder(
        Algorithm::all()
            .map(|algorithm| always(algorithm, algorithm.name()))
            .collect(),
    )
    .build()
    .unwrap();
    let jwks = Object::parse(issuer.jwks().unwrap().bytes());
    assert_eq!(jwks.names(), ["keys"]);
    let keys = jwks.find("keys").unwrap().as_array().unwrap();
    assert_eq!(keys.len(), Algorithm::all().count());
    for (key, algorithm) in keys.iter().zip(Algorithm::all()) {
        let mut expected: serde_json::Value = serde_json::from_str(&source(algorithm)).unwrap();
        expected["use"] = json!("sig");
        expected["alg"] = json!(algorithm.name());
        expected["kid"] = json!(algorithm.name());
        assert_eq!(*key, expected);
    }
}

#[test]
fn discovery_lists_the_algorithms_that_are_published_now() {
    let clock = TurnableClock::at(0);
    let issuer = Issuer::builder(
        url(ISSUER),
        key_set(vec![
            always(Algorithm::Rs256, "rs"),
            always(Algorithm::Rs256, "rs-2"),
            ScheduledKey::new(
                FakeSigner::new(Algorithm::Es256, "es"),
                Schedule {
                    announce: time(100),
                    activate: Some(time(200)),
                    stop: None,
                    retire: None,
                },
            ),
        ]),
    )
    .clock(clock.clone())
    .build()
    .unwrap();
    let algorithms = |now| {
        clock.turn(now);
        let discovery = Object::parse(issuer.discovery().unwrap().bytes());
        discovery
            .find("id_token_signing_alg_values_supported")
            .unwrap()
            .clone()
    };
    assert_eq!(algorithms(99), json!(["RS256"]));
    assert_eq!(algorithms(100), json!(["RS256", "ES256"]));
}

#[test]
fn the_operator_adds_members_and_replaces_defaults() {
    let metadata = ProviderMetadata::new()
        .with_claim_supported("email")
        .with_member("authorization_endpoint", "https://id.example.com/authorize")
        .and_then(|metadata| metadata.with_member("response_types_supported", json!(["code"])))
        .and_then(|metadata| metadata.with_member("a\"b\\c", json!({"d": null})))
        .unwrap();
    let issuer = es256().metadata(metadata).build().unwrap();
    let document = issuer.discovery().unwrap();
    let discovery = Object::parse(document.bytes());
    assert_eq!(discovery.text("issuer"), ISSUER);
    assert_eq!(
        discovery.text("authorization_endpoint"),
        "https://id.example.com/authorize"
    );
    assert_eq!(
        discovery.find("response_types_supported"),
        Some(&json!(["code"]))
    );
    assert_eq!(discovery.find("a\"b\\c"), Some(&json!({"d": null})));
    assert_eq!(
        discovery.find("claims_supported"),
        Some(&json!([
            "iss", "sub", "aud", "iat", "nbf", "exp", "jti", "email"
        ]))
    );
    // RFC 8414 and OpenID Connect read the same document.
    assert_eq!(discovery.0.len(), 8);
}

#[test]
fn members_that_follow_from_issuer_and_keys_are_refused() {
    for name in [
        "issuer",
        "jwks_uri",
        "id_token_signing_alg_values_supported",
    ] {
        let error = ProviderMetadata::new()
            .with_member(name, "x")
            .unwrap_err()
            .to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn the_issuer_is_the_same_bytes_everywhere() {
    for text in [
        "https://id.example.com",
        "https://id.example.com/",
        "https://id.example.com/idp",
        "https://id.example.com/idp/",
        "https://id.example.com:8443/a$b'(c)/",
    ] {
        let issuer = issuer_at(text);
        assert_eq!(issuer.url().as_str(), text);
        let discovery = Object::parse(issuer.discovery().unwrap().bytes());
        assert_eq!(discovery.text("issuer"), text);
        let payload = crate::support::payload(&issuer, &crate::support::claims());
        assert_eq!(payload.text("iss"), text);
    }
}

#[test]
fn every_path_that_relying_parties_try_is_answered() {
    for (text, path) in [
        ("https://id.example.com", ""),
        ("https://id.example.com/", ""),
        ("https://id.example.com:8443/idp", "/idp"),
        ("https://id.example.com/a/b/", "/a/b"),
    ] {
        let issuer = issuer_at(text);
        let discovery = issuer.discovery().unwrap();
        let jwks = issuer.jwks().unwrap();
        let jwks_path = format!("{path}/.well-known/jwks.json");
        for at in [
            format!("{path}/.well-known/openid-configuration"),
            format!("/.well-known/openid-configuration{path}"),
            format!("/.well-known/oauth-authorization-server{path}"),
        ] {
            assert_eq!(issuer.document(&at), Ok(Some(discovery.clone())), "{at}");
        }
        assert_eq!(issuer.document(&jwks_path), Ok(Some(jwks.clone())));
        assert_eq!(
            discovery.path(),
            format!("{path}/.well-known/openid-configuration")
        );
        assert_eq!(jwks.path(), jwks_path);
        let members = Object::parse(discovery.bytes());
        let origin = issuer.url().origin();
        assert_eq!(members.text("jwks_uri"), format!("{origin}{jwks_path}"));
    }
}

#[test]
fn other_paths_are_not_answered() {
    let issuer = issuer_at("https://id.example.com/idp");
    for path in [
        "",
        "/",
        "/idp",
        "/idp/",
        "/idp/.well-known/openid-configuration/",
        "//idp/.well-known/openid-configuration",
        "/idp//.well-known/openid-configuration",
        "idp/.well-known/openid-configuration",
        "/IDP/.well-known/openid-configuration",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
        "/idp/.well-known/oauth-authorization-server",
        "/idp/.well-known/jwks.json?x=1",
    ] {
        assert_eq!(issuer.document(path), Ok(None), "{path}");
    }
}

#[test]
fn a_jwks_elsewhere_on_the_host_is_served_there() {
    let issuer = es256()
        .jwks_uri(url("https://id.example.com/keys"))
        .build()
        .unwrap();
    let jwks = issuer.jwks().unwrap();
    assert_eq!(jwks.path(), "/keys");
    assert_eq!(issuer.document("/keys"), Ok(Some(jwks)));
    assert_eq!(issuer.document("/.well-known/jwks.json"), Ok(None));
    let discovery = Object::parse(issuer.discovery().unwrap().bytes());
    assert_eq!(discovery.text("jwks_uri"), "https://id.example.com/keys");
}

#[test]
fn a_jwks_on_another_host_is_not_served_here() {
    for elsewhere in [
        "https://keys.example.com/jwks.json",
        "https://id.example.com:8443/jwks.json",
        "https://id.example.com.evil.example/jwks.json",
    ] {
        let issuer = es256().jwks_uri(url(elsewhere)).build().unwrap();
        let jwks = issuer.jwks().unwrap();
        assert_eq!(jwks.path(), "/jwks.json");
        assert_eq!(issuer.document("/jwks.json"), Ok(None), "{elsewhere}");
        assert_eq!(issuer.document("/.well-known/jwks.json"), Ok(None));
        let discovery = Object::parse(issuer.discovery().unwrap().bytes());
        assert_eq!(discovery.text("jwks_uri"), elsewhere);
    }
}

#[test]
fn a_jwks_uri_without_a_path_of_its_own_is_refused() {
    for clash in [
        "https://keys.example.com",
        "https://id.example.com/.well-known/openid-configuration",
        "https://id.example.com/.well-known/oauth-authorization-server",
    ] {
        let built = es256().jwks_uri(url(clash)).build();
        assert_eq!(built.unwrap_err(), IssuerError::JwksUri, "{clash}");
    }
    assert!(
        es256()
            .jwks_uri(url(
                "https://keys.example.com/.well-known/openid-configuration"
            ))
            .build()
            .is_ok()
    );
}

#[test]
fn tenants_have_documents_of_their_own_over_the_same_keys() {
    let base = es256().max_age(seconds(60)).build().unwrap();
    let tenant = base.tenant(url("https://id.example.com/tenant-1"));
    let discovery = tenant.discovery().unwrap();
    assert_eq!(
        Object::parse(discovery.bytes()).text("issuer"),
        "https://id.example.com/tenant-1"
    );
    assert_eq!(discovery.cache_control(), "public, max-age=60");
    assert_eq!(tenant.jwks().unwrap().bytes(), base.jwks().unwrap().bytes());
    assert_ne!(discovery.etag(), base.discovery().unwrap().etag());

    let elsewhere = url("https://keys.example.com/jwks.json");
    let base = es256().jwks_uri(elsewhere).build().unwrap();
    let tenant = base.tenant(url("https://id.example.com/tenant-1"));
    assert_eq!(
        Object::parse(tenant.discovery().unwrap().bytes()).text("jwks_uri"),
        "https://keys.example.com/jwks.json"
    );
}

#[test]
fn documents_carry_their_headers() {
    let issuer = es256().max_age(seconds(3600)).build().unwrap();
    for document in [issuer.discovery().unwrap(), issuer.jwks().unwrap()] {
        assert_eq!(document.content_type(), "application/json");
        assert_eq!(document.cache_control(), "public, max-age=3600");
        assert_eq!(
            document.headers(),
            [
                ("content-type", "application/json"),
                ("cache-control", "public, max-age=3600"),
                ("etag", document.etag()),
            ]
        );
        assert_eq!(document.as_ref(), document.bytes());
    }
    assert_eq!(
        super::support::issuer().jwks().unwrap().cache_control(),
        "public, max-age=300"
    );
}

#[test]
fn the_jwks_has_its_own_media_type_where_asked_for() {
    let issuer = es256().jwk_set_media_type().build().unwrap();
    assert_eq!(
        issuer.jwks().unwrap().content_type(),
        "application/jwk-set+json"
    );
    assert_eq!(
        issuer.discovery().unwrap().content_type(),
        "application/json"
    );
}

#[test]
fn etags_are_strong_and_stable() {
    let one = issuer().jwks().unwrap();
    let other = issuer().jwks().unwrap();
    assert_eq!(one.etag(), other.etag());
    let inner = one
        .etag()
        .strip_prefix('"')
        .and_then(|etag| etag.strip_suffix('"'))
        .unwrap();
    assert!(inner.len() >= 20);
    assert!(!inner.contains('"'));
    let other_key = builder(vec![always(Algorithm::Es256, "es256-2")])
        .build()
        .unwrap();
    assert_ne!(one.etag(), other_key.jwks().unwrap().etag());
    assert_ne!(one.etag(), issuer().discovery().unwrap().etag());
}

#[test]
fn if_none_match_is_answered_as_rfc_9110_has_it() {
    let document = issuer().jwks().unwrap();
    let etag = document.etag();
    for header in [
        etag.to_owned(),
        format!("W/{etag}"),
        format!(r#""other", {etag}"#),
        format!(r#"{etag},"other""#),
        format!(r#"W/"other" ,  W/{etag}"#),
        format!("  {etag}\t"),
        "*".to_owned(),
        " * ".to_owned(),
    ] {
        assert!(document.is_not_modified(Some(&header)), "{header}");
    }
    for header in [
        String::new(),
        r#""other""#.to_owned(),
        etag.trim_matches('"').to_owned(),
        etag.to_uppercase(),
        format!("w/{etag}"),
        format!("W/W/{etag}"),
        format!("x{etag}"),
        r#""*""#.to_owned(),
        "**".to_owned(),
    ] {
        assert!(!document.is_not_modified(Some(&header)), "{header}");
    }
    assert!(!document.is_not_modified(None));
}

#[test]
fn documents_are_rendered_once_until_something_changes() {
    let clock = TurnableClock::at(NOW);
    let issuer = Issuer::builder(
        url(ISSUER),
        key_set(vec![
            always(Algorithm::Es256, "old"),
            ScheduledKey::new(
                FakeSigner::new(Algorithm::Es256, "new"),
                Schedule {
                    announce: time(NOW + 100),
                    activate: Some(time(NOW + 200)),
                    stop: None,
                    retire: None,
                },
            ),
        ]),
    )
    .clock(clock.clone())
    .build()
    .unwrap();
    let at = |now| {
        clock.turn(now);
        issuer.jwks().unwrap()
    };
    let is_same = |one: &Document, other: &Document| std::ptr::eq(one.bytes(), other.bytes());
    let first = at(NOW);
    assert!(is_same(&first, &at(NOW)));
    assert!(is_same(&first, &at(NOW + 99)));
    let second = at(NOW + 100);
    assert_ne!(first, second);
    assert!(is_same(&second, &at(NOW + 199)));
    let third = at(NOW + 200);
    assert_ne!(second, third);
    assert!(is_same(&third, &at(NOW + 1_000_000)));
}

fn not_yet() -> Issuer {
    builder(vec![ScheduledKey::new(
        FakeSigner::new(Algorithm::Es256, "es256"),
        Schedule {
            announce: time(NOW + 1),
            activate: Some(time(NOW + 1)),
            stop: None,
            retire: None,
        },
    )])
    .build()
    .unwrap()
}

#[test]
fn without_a_published_key_there_is_no_document() {
    let issuer = not_yet();
    let missing = DocumentError::NoPublishedKey { now: time(NOW) };
    assert_eq!(issuer.discovery().unwrap_err(), missing);
    assert_eq!(issuer.jwks().unwrap_err(), missing);
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/jwks.json",
    ] {
        assert_eq!(issuer.document(path).unwrap_err(), missing);
    }
    let filtered = es256().algorithms([Algorithm::Rs256]).build().unwrap();
    assert_eq!(filtered.jwks().unwrap_err(), missing);
}

/// A service asks the issuer about every path; its other pages must not go down with the keys.
#[test]
fn without_a_published_key_foreign_paths_are_still_foreign() {
    for path in ["/", "/login", "/.well-known/acme-challenge/x"] {
        assert_eq!(not_yet().document(path), Ok(None), "{path}");
    }
    let elsewhere = url("https://keys.example.com/jwks.json");
    let issuer = es256()
        .jwks_uri(elsewhere)
        .algorithms([Algorithm::Rs256])
        .build()
        .unwrap();
    assert_eq!(issuer.document("/jwks.json"), Ok(None));
}

const P256_CERTIFICATE: &[u8] = include_bytes!("../data/p256-certificate.der");
const RSA_CERTIFICATE: &[u8] = include_bytes!("../data/rsa-certificate.der");
const ED25519_CERTIFICATE: &[u8] = include_bytes!("../data/ed25519-certificate.der");

/// The public keys of the certificates, as OpenSSL printed them.
const CERTIFIED: [(&str, &[u8]); 3] = [
    (
        r#"{"kty":"EC","crv":"P-256","x":"C7brFWFufX-Y4BDUjA7KmrjOAlZJnYAxkxE0tI-eRP4","y":"uXPB47A3ea7bfRdGL48xJwN9q79Bw1RaX7cl4SPSN7k"}"#,
        P256_CERTIFICATE,
    ),
    (
        r#"{"kty":"RSA","n":"ovNxuJBc_4P_ToBjaYD23D4qbwOJGPI-onQ4nyDlNiNAVixv6gp7S01xdt86Ckt63TPaWJaweszcBBEUNn5nei7Fj5wbNC0YrVf-_WPRu9OwFA-iV392Vu-o0z1p9oHbwVsXYF7KztG582DhWECiT2MIoTEkjWheWNt1eRmzCmw0W13zIfeQw4nd-8UEqyjJCOzYbqwIL38Oh8WmNsuoXraT6gsDhK5IGH9Vff-2QiZYd8GXz2Ud4ROamAb5SlZO1sQMoXCEnbTQSPOvcr5KB5cFOU7cnYrugsiVpXIjYorik2mTfNSCOPhxZuwaHVvWzsa-9hxUiRFGipVyeJBH6Q","e":"AQAB"}"#,
        RSA_CERTIFICATE,
    ),
    (
        r#"{"kty":"OKP","crv":"Ed25519","x":"QVQkOdh18pbrMuEaXg1TmMT1cRtAtEKx-_7Qy2kz0io"}"#,
        ED25519_CERTIFICATE,
    ),
];

#[test]
fn a_certificate_chain_is_published_as_x5c() {
    for (json, certificate) in CERTIFIED {
        let jwk = chancery_core::Jwk::from_json(json.as_bytes()).unwrap();
        let key = ScheduledKey::without_signer(jwk, Schedule::ALWAYS)
            .with_certificate_chain(vec![certificate.to_vec(), RSA_CERTIFICATE.to_vec()])
            .unwrap();
        let issuer = builder(vec![key]).build().unwrap();
        let document = issuer.jwks().unwrap();
        let jwks = Object::parse(document.bytes());
        let published = &jwks.find("keys").unwrap()[0];
        let chain = published["x5c"].as_array().unwrap();
        assert_eq!(chain.len(), 2);
        for (text, der) in chain.iter().zip([certificate, RSA_CERTIFICATE]) {
            // Standard base64 with padding, not base64url (RFC 7517 §4.7).
            let url_safe = text.as_str().unwrap().replace('+', "-").replace('/', "_");
            assert_eq!(url_safe.len() % 4, 0);
            assert_eq!(crate::support::decode(url_safe.trim_end_matches('=')), der);
        }
        let set = chancery_core::JwkSet::from_json(document.bytes()).unwrap();
        assert_eq!(set.keys()[0].certificate_chain().len(), 2);
    }
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    for (json, own) in CERTIFIED {
        for (_, certificate) in CERTIFIED {
            let jwk = chancery_core::Jwk::from_json(json.as_bytes()).unwrap();
            let key = ScheduledKey::without_signer(jwk, Schedule::ALWAYS);
            let attached = key.with_certificate_chain(vec![certificate.to_vec()]);
            if certificate == own {
                assert!(attached.is_ok());
            } else {
                assert_eq!(attached.unwrap_err(), JwkError::Certificate { index: 0 });
            }
        }
    }
    // The keys of the RFCs are not those of the certificates.
    let attached =
        always(Algorithm::Es256, "es256").with_certificate_chain(vec![P256_CERTIFICATE.to_vec()]);
    assert_eq!(attached.unwrap_err(), JwkError::Certificate { index: 0 });
}

#[test]
fn a_broken_certificate_is_refused_by_its_place() {
    let (json, own) = CERTIFIED[0];
    let attach = |chain: Vec<Vec<u8>>| {
        let jwk = chancery_core::Jwk::from_json(json.as_bytes()).unwrap();
        ScheduledKey::without_signer(jwk, Schedule::ALWAYS).with_certificate_chain(chain)
    };
    for length in 0..own.len() {
        assert!(attach(vec![own[..length].to_vec()]).is_err(), "{length}");
    }
    let mut trailing = own.to_vec();
    trailing.push(0);
    assert_eq!(
        attach(vec![trailing.clone()]).unwrap_err(),
        JwkError::Certificate { index: 0 }
    );
    assert_eq!(
        attach(vec![own.to_vec(), RSA_CERTIFICATE.to_vec(), trailing]).unwrap_err(),
        JwkError::Certificate { index: 2 }
    );
    // PEM is not DER.
    assert!(attach(vec![b"-----BEGIN CERTIFICATE-----".to_vec()]).is_err());
}
