//! Spoiling signatures.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::fault::Effect;

/// Signatures of the last two inputs that differ, for whoever replays.
static EARLIER: Mutex<[Option<Made>; 2]> = Mutex::new([None, None]);

struct Made {
    data: Vec<u8>,
    signature: Vec<u8>,
}

/// Applies those of the effects that change the signature over `data`.
pub(crate) fn spoil(signature: &mut Vec<u8>, data: &[u8], effects: &[Effect]) {
    let earlier = remember(data, signature);
    for effect in effects {
        match *effect {
            Effect::FlipBit => flip(signature),
            Effect::Shorten(by) => signature.truncate(signature.len().saturating_sub(by)),
            Effect::Lengthen(by) => signature.resize(signature.len() + by, 0xa5),
            Effect::Random => signature.fill_with(random_byte),
            Effect::Replay => {
                if let Some(earlier) = &earlier {
                    signature.clone_from(earlier);
                }
            }
            _ => {}
        }
    }
}

/// By how much the effects overstate the length.
pub(crate) fn overstatement(effects: &[Effect]) -> usize {
    let overstatement = |effect: &Effect| match *effect {
        Effect::Overstate(by) => by,
        _ => 0,
    };
    effects.iter().map(overstatement).sum()
}

fn flip(signature: &mut [u8]) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let bits = signature.len() * 8;
    if bits > 0 {
        // A prime step visits all bits of any usual length, first and last bytes early.
        let bit = NEXT.fetch_add(37, Ordering::Relaxed) % bits;
        signature[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Keeps the signature; hands back the last one over other data.
fn remember(data: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let mut earlier = EARLIER.lock().unwrap_or_else(PoisonError::into_inner);
    let [last, one_before] = &mut *earlier;
    if last.as_ref().is_none_or(|last| last.data != data) {
        *one_before = last.take();
    }
    *last = Some(Made {
        data: data.to_vec(),
        signature: signature.to_vec(),
    });
    one_before.as_ref().map(|made| made.signature.clone())
}

/// Bytes without a pattern, the same in every run (splitmix64).
fn random_byte() -> u8 {
    static STATE: AtomicUsize = AtomicUsize::new(0);
    let step = STATE.fetch_add(1, Ordering::Relaxed) as u64;
    let mut mixed = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed.to_be_bytes()[0]
}
