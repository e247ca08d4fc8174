//! The libraries, each used as its documentation and its fastest public way allow: keys and
//! headers prepared once, claims filled anew for each token.

mod biscuit;
mod compact_jwt;
mod josekit;
mod jsonwebtoken_11;
mod jsonwebtoken_9;
mod jwt_simple;

use crate::candidate::{Candidate, Case, Failure};

pub(crate) use jsonwebtoken_11::install_provider;

/// All peers that know the algorithm.
pub(crate) fn candidates(case: Case<'_>) -> Result<Vec<Candidate>, Failure> {
    let mut candidates = jsonwebtoken_11::candidates(case);
    candidates.push(jsonwebtoken_9::candidate(case));
    candidates.push(josekit::candidate(case)?);
    candidates.push(jwt_simple::candidate(case)?);
    candidates.extend(biscuit::candidate(case)?);
    candidates.extend(compact_jwt::candidate(case)?);
    Ok(candidates)
}
