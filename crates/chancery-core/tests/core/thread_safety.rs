//! What may be shared between threads and moved to another: checked when this compiles.

use std::fmt::Debug;

use chancery_core::{
    Claims, Document, Issuer, IssuerBuilder, IssuerUrl, Jwk, JwkSet, KeySet, Lease, Limits,
    PendingSignature, ProviderMetadata, ScheduledKey, SignError, Signature, SignatureCompleter,
    Signer, Token, UnsignedToken,
};

use crate::support::{claims, issuer};

const fn shared<T: Send + Sync + Debug + 'static + ?Sized>() {}

const fn cloned<T: Clone + Send + Sync + 'static>() {}

const fn sent<T: Send>(_: &T) {}

const _: () = {
    shared::<Issuer>();
    shared::<ScheduledKey>();
    shared::<UnsignedToken>();
    shared::<PendingSignature>();
    shared::<SignatureCompleter>();
    shared::<SignError>();
    shared::<dyn Signer>();
    cloned::<Claims>();
    cloned::<Document>();
    cloned::<IssuerBuilder>();
    cloned::<IssuerUrl>();
    cloned::<Jwk>();
    cloned::<JwkSet>();
    cloned::<KeySet>();
    cloned::<Lease>();
    cloned::<Limits>();
    cloned::<ProviderMetadata>();
    cloned::<Signature>();
    cloned::<Token>();
};

#[test]
fn the_future_of_a_token_moves_between_threads() {
    let (issuer, claims) = (issuer(), claims());
    let future = issuer.issue_async(&claims);
    sent(&future);
    assert!(crate::tokens::block_on(future).is_ok());
}

#[test]
fn errors_go_where_errors_go() {
    fn boxed<E: std::error::Error + Send + Sync + 'static>(error: E) -> Box<dyn std::error::Error> {
        Box::new(error)
    }

    let error = issuer().issue(&claims().with_nonce("")).unwrap_err();
    assert!(boxed(error).to_string().contains("nonce"));
    let error = IssuerUrl::parse("").unwrap_err();
    assert!(boxed(error).to_string().contains("https"));
}
