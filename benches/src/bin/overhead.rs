//! x
use std::sync::Arc;
use std::time::Instant;
use chancery::*;
use chancery_benches::*;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jwk = Jwk::from_json(br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#)?;
    let s = Signature::new(Algorithm::Es256, &[7; 64])?;
    let issuer = issuer(Arc::new(FreeSigner(jwk, s)))?;
    for p in Payload::ALL {
        let claims = p.claims()?;
        let t = issuer.issue(&claims)?;
        let l = t.as_str().split('.').nth(1).unwrap().len();
        println!("{p:?} {} payload", l * 3 / 4);
        let mut out = String::new();
        let fixed = claims.clone().with_token_id("01JD3Z8M4T6V9X2B5C7D8E");
        for (name, c) in [("random", &claims), ("fixed", &fixed)] {
            let mut best = f64::MAX;
            for _ in 0..50 {
                let t = Instant::now();
                for _ in 0..2000 { issuer.issue_into(c, &mut out)?; }
                best = best.min(t.elapsed().as_nanos() as f64 / 2000.0);
            }
            println!("{name} {best} ns");
        }
        let mut best = f64::MAX;
        for _ in 0..50 { let t = Instant::now(); for _ in 0..2000 { std::hint::black_box(issuer.issue(&p.claims()?)?); } best = best.min(t.elapsed().as_nanos() as f64 / 2000.0); }
        println!("built {best} ns");
        let mut best = f64::MAX;
        for _ in 0..50 { let t = Instant::now(); for _ in 0..2000 { std::hint::black_box(issuer.jwks()?); } best = best.min(t.elapsed().as_nanos() as f64 / 2000.0); }
        println!("jwks {best} ns");
    }
    Ok(())
}
