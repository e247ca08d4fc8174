//! Public keys, and the checks that keep weak and malformed ones out.

use std::fmt;

use crypto_bigint::modular::constant_mod::ResidueParams as _;
use crypto_bigint::{Encoding as _, U256, U384, U640, const_residue, impl_modulus};

use crate::algorithm::{Curve, KeyType};

/// The public half of a key, as numbers.
///
/// This is plain data: a [`Jwk`](crate::Jwk) is made of one only after it was checked.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// A point on a NIST curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// The point, uncompressed: `0x04 ‖ x ‖ y` (SEC 1 §2.3.3).
        point: Vec<u8>,
    },
    /// An RSA key.
    Rsa {
        /// The modulus n, big-endian.
        modulus: Vec<u8>,
        /// The public exponent e, big-endian.
        exponent: Vec<u8>,
    },
    /// An Ed25519 key: a compressed point (RFC 8032 §5.1.5).
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// The kind of key this is.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        match self {
            Self::Ec { curve, .. } => KeyType::Ec(*curve),
            Self::Rsa { .. } => KeyType::Rsa,
            Self::Ed25519(_) => KeyType::Ed25519,
        }
    }

    /// Checks that the key is one a relying party may trust: an EC point on its curve, an Ed25519
    /// point on the curve and not of small order, an RSA modulus of 2048 to 4096 bits with an odd
    /// exponent of at least 3 and without the ROCA fingerprint (CVE-2017-15361). Leading zeros of
    /// RSA numbers are dropped on the way.
    pub(crate) fn validated(self) -> Result<Self, PublicKeyError> {
        match self {
            Self::Ec { curve, point } => {
                let len = curve.coordinate_len();
                if point.len() != 1 + 2 * len || point[0] != 4 {
                    return Err(PublicKeyError::PointEncoding { curve });
                }
                if !on_curve(curve, &point[1..=len], &point[1 + len..]) {
                    return Err(PublicKeyError::NotOnCurve { curve });
                }
                Ok(Self::Ec { curve, point })
            }
            Self::Rsa { modulus, exponent } => {
                let modulus = without_leading_zeros(modulus);
                let exponent = without_leading_zeros(exponent);
                check_rsa(&modulus, &exponent)?;
                Ok(Self::Rsa { modulus, exponent })
            }
            Self::Ed25519(point) => {
                if ed25519::is_usable(&point) {
                    Ok(Self::Ed25519(point))
                } else {
                    Err(PublicKeyError::Ed25519Point)
                }
            }
        }
    }

    /// The length in bytes of every signature of this key.
    pub(crate) fn signature_len(&self) -> usize {
        match self {
            Self::Ec { curve, .. } => 2 * curve.coordinate_len(),
            Self::Rsa { modulus, .. } => modulus.len(),
            Self::Ed25519(_) => 64,
        }
    }
}

/// Shows the kind of key; the numbers are in the JWK, in a form that people can compare.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.key_type())
    }
}

fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    number.drain(..zeros);
    number
}

/// Computes y² = x³ − 3x + b in the field of a NIST curve (SP 800-186 §3.2.1).
///
/// The numbers are public, so their timing tells nothing.
macro_rules! weierstrass {
    ($name:ident, $modulus:ident, $uint:ty, $p:literal, $b:literal) => {
        mod $name {
            use super::*;

            impl_modulus!($modulus, $uint, $p);

            pub(super) fn contains(x: &[u8], y: &[u8]) -> bool {
                let (Some(x), Some(y)) = (element(x), element(y)) else {
                    return false;
                };
                let b = <$uint>::from_be_hex($b);
                let x = const_residue!(x, $modulus);
                let y = const_residue!(y, $modulus);
                let b = const_residue!(b, $modulus);
                y * y == x * x * x - (x + x + x) + b
            }

            fn element(coordinate: &[u8]) -> Option<$uint> {
                let mut bytes = [0; <$uint>::BYTES];
                let start = bytes.len().checked_sub(coordinate.len())?;
                bytes[start..].copy_from_slice(coordinate);
                let number = <$uint>::from_be_bytes(bytes);
                (number < $modulus::MODULUS).then_some(number)
            }
        }
    };
}

weierstrass!(
    p256,
    P256,
    U256,
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"
);
weierstrass!(
    p384,
    P384,
    U384,
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef"
);
weierstrass!(
    p521,
    P521,
    U640,
    "000000000000000000000000000001ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "00000000000000000000000000000051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00"
);

fn on_curve(curve: Curve, x: &[u8], y: &[u8]) -> bool {
    match curve {
        Curve::P256 => p256::contains(x, y),
        Curve::P384 => p384::contains(x, y),
        Curve::P521 => p521::contains(x, y),
    }
}

mod ed25519 {
    use super::*;

    impl_modulus!(
        Field,
        U256,
        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"
    );

    /// d of the curve −x² + y² = 1 + dx²y² (RFC 8032 §5.1).
    const D: U256 =
        U256::from_be_hex("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3");

    /// The y of the points of order 8; those of order 1, 2 and 4 have y = 1, −1 and 0.
    const ORDER_8: [U256; 2] = [
        U256::from_be_hex("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
        U256::from_be_hex("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
    ];

    /// Whether the bytes are the canonical encoding of a point of large order.
    pub(super) fn is_usable(point: &[u8; 32]) -> bool {
        let mut bytes = *point;
        bytes[31] &= 0x7f;
        let y = U256::from_le_bytes(bytes);
        if y >= Field::MODULUS {
            return false;
        }
        let minus_one = Field::MODULUS.wrapping_sub(&U256::ONE);
        if y == U256::ZERO || y == U256::ONE || y == minus_one || ORDER_8.contains(&y) {
            return false;
        }
        // x² = (y² − 1) / (dy² + 1) has a root exactly when the product of the two is a square,
        // which Euler's criterion tells.
        let d = D;
        let one = U256::ONE;
        let y = const_residue!(y, Field);
        let d = const_residue!(d, Field);
        let one = const_residue!(one, Field);
        let product = (y * y - one) * (d * y * y + one);
        let half = minus_one.shr_vartime(1);
        product.pow(&half) == one
    }
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), PublicKeyError> {
    let bits = modulus.first().map_or(0, |first| {
        modulus.len() * 8 - first.leading_zeros() as usize
    });
    if !(2048..=4096).contains(&bits) {
        return Err(PublicKeyError::RsaSize { bits });
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    // The bound of 33 bits is the one that ring and most verifiers put on exponents.
    let exponent_bits = exponent.first().map_or(0, |first| {
        exponent.len() * 8 - first.leading_zeros() as usize
    });
    if !odd(modulus) || !odd(exponent) || exponent == [1] || exponent_bits > 33 {
        return Err(PublicKeyError::RsaNumbers);
    }
    if has_roca_fingerprint(modulus) {
        return Err(PublicKeyError::Roca);
    }
    Ok(())
}

/// Whether the modulus is, modulo each of these primes, a power of 65537: so are all moduli of
/// the broken Infineon generator, and one in 2²⁷ others (Nemec et al., CCS 2017, §2.2).
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ];
    PRIMES.into_iter().all(|prime| {
        let residue = modulus.iter().fold(0, |residue, &byte| {
            (residue * 256 + u32::from(byte)) % prime
        });
        let generator = 65537 % prime;
        let mut power = 1;
        loop {
            if power == residue {
                return true;
            }
            power = power * generator % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// Why numbers are no public key that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The point is not `0x04 ‖ x ‖ y` with coordinates of the curve's length.
    PointEncoding {
        /// The curve.
        curve: Curve,
    },
    /// The point is not on the curve.
    NotOnCurve {
        /// The curve.
        curve: Curve,
    },
    /// The bytes are not the canonical encoding of an Ed25519 point of large order.
    Ed25519Point,
    /// The modulus is shorter than 2048 or longer than 4096 bits.
    RsaSize {
        /// The length of the modulus in bits.
        bits: usize,
    },
    /// The modulus is even, or the exponent is even, 1, or longer than 33 bits.
    RsaNumbers,
    /// The modulus was made by the broken generator of CVE-2017-15361 and can be factored.
    Roca,
}

impl fmt::Display for PublicKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PointEncoding { curve } => write!(
                f,
                "the {curve} point must be 0x04, x and y, each coordinate {} bytes",
                curve.coordinate_len()
            ),
            Self::NotOnCurve { curve } => write!(f, "the point is not on {curve}"),
            Self::Ed25519Point => f.write_str("the bytes are no usable Ed25519 public key"),
            Self::RsaSize { bits } => write!(
                f,
                "the RSA key has {bits} bits; use one of 2048 to 4096 bits"
            ),
            Self::RsaNumbers => f.write_str(
                "the RSA modulus must be odd, its exponent odd, at least 3 and at most 33 bits",
            ),
            Self::Roca => f.write_str(
                "the RSA key has the ROCA weakness (CVE-2017-15361); generate another one elsewhere",
            ),
        }
    }
}

impl std::error::Error for PublicKeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_bit_change_leaves_the_curve() {
        // The generators of SP 800-186 §3.2.1.
        let generators = [
            (
                Curve::P256,
                "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
                "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
            ),
            (
                Curve::P384,
                "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
                "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
            ),
            (
                Curve::P521,
                "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
                "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
            ),
        ];
        for (curve, x, y) in generators {
            let point = |y: &[u8]| PublicKey::Ec {
                curve,
                point: [&[4], unhex(x).as_slice(), y].concat(),
            };
            let mut y = unhex(y);
            assert!(point(&y).validated().is_ok(), "{curve}");
            y[20] ^= 1;
            assert_eq!(
                point(&y).validated().unwrap_err(),
                PublicKeyError::NotOnCurve { curve }
            );
        }
    }

    #[test]
    fn coordinates_beyond_the_field_are_refused() {
        let point = PublicKey::Ec {
            curve: Curve::P256,
            point: [&[4], [0xff; 64].as_slice()].concat(),
        };
        assert!(point.validated().is_err());
    }

    #[test]
    fn ed25519_points_of_small_order_are_refused() {
        // The encodings of the points of order 1, 2, 4 and 8, with both signs.
        let small = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        ];
        for hex in small {
            let key = PublicKey::Ed25519(unhex(hex).try_into().unwrap());
            assert_eq!(key.validated().unwrap_err(), PublicKeyError::Ed25519Point);
        }
        // RFC 8032 §7.1, test 1, is a key; y = 2 is on no point.
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert!(
            PublicKey::Ed25519(unhex(key).try_into().unwrap())
                .validated()
                .is_ok()
        );
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        assert!(PublicKey::Ed25519(off_curve).validated().is_err());
    }

    fn unhex(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect()
    }
}
