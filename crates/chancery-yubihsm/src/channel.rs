//! The secure channel of a session: SCP03 (GlobalPlatform GPC_SPE_014) as the YubiHSM 2 speaks it.
//!
//! This is arithmetic alone; [`Link`](crate::link::Link) carries the messages. The `yubihsm` crate
//! has a channel too, but keeps its keys where a session can be neither closed nor given up.

use aes::Aes128;
use aes::cipher::block_padding::Iso7816;
use aes::cipher::{
    BlockDecryptMut as _, BlockEncrypt as _, BlockEncryptMut as _, InnerIvInit as _, KeyInit,
};
use cmac::{Cmac, Mac as _};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::YubiHsmError;
use crate::wire;

pub(crate) type Challenge = [u8; 8];
pub(crate) type Cryptogram = [u8; 8];

const MAC_LEN: usize = 8;
/// The session identifier and the MAC.
const FRAME_LEN: usize = 1 + MAC_LEN;

/// Derivation constants (GPC_SPE_014 §4.1.5, table 4-1).
const CARD_CRYPTOGRAM: u8 = 0;
const HOST_CRYPTOGRAM: u8 = 1;
const ENCRYPTION_KEY: u8 = 4;
const MAC_KEY: u8 = 6;
const RESPONSE_MAC_KEY: u8 = 7;

/// One end of a secure channel: the host's.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Channel {
    session: u8,
    context: [u8; 16],
    encryption_key: [u8; 16],
    mac_key: [u8; 16],
    response_mac_key: [u8; 16],
    /// The MAC of the last command, which goes into the next.
    chaining: [u8; 16],
    /// Counts the commands; it makes the initialization vectors differ.
    counter: u32,
}

impl Channel {
    /// Derives the session's keys from the two long-lived ones (AES-128 for encryption, then for
    /// MACs) and the two challenges.
    pub(crate) fn new(
        long_lived: &[u8; 32],
        session: u8,
        host: Challenge,
        card: Challenge,
    ) -> Self {
        let mut context = [0; 16];
        context[..8].copy_from_slice(&host);
        context[8..].copy_from_slice(&card);
        let (encryption, mac) = long_lived.split_at(16);
        Self {
            session,
            context,
            encryption_key: derive(encryption, ENCRYPTION_KEY, &context),
            mac_key: derive(mac, MAC_KEY, &context),
            response_mac_key: derive(mac, RESPONSE_MAC_KEY, &context),
            chaining: [0; 16],
            counter: 0,
        }
    }

    pub(crate) const fn session(&self) -> u8 {
        self.session
    }

    /// The number of commands sealed so far.
    pub(crate) const fn commands(&self) -> u32 {
        self.counter
    }

    /// Whether the device knows the long-lived keys.
    pub(crate) fn is_card_cryptogram(&self, cryptogram: &Cryptogram) -> bool {
        let own: Cryptogram = derive(&self.mac_key, CARD_CRYPTOGRAM, &self.context);
        own.ct_eq(cryptogram).into()
    }

    /// The message that proves to the device that this side knows them too.
    pub(crate) fn authenticate(&mut self) -> Vec<u8> {
        let cryptogram: Cryptogram = derive(&self.mac_key, HOST_CRYPTOGRAM, &self.context);
        self.with_mac(wire::AUTHENTICATE_SESSION, &cryptogram)
    }

    /// Encrypts a command and its data into a session message.
    pub(crate) fn seal(&mut self, command: u8, data: &[u8]) -> Vec<u8> {
        // The first command has the number 1 (GPC_SPE_014 §6.2.6).
        self.counter += 1;
        let mut plain = wire::message(command, data);
        let cipher = aes(&self.encryption_key);
        let vector = self.vector(&cipher);
        let sealed = cbc::Encryptor::inner_iv_init(cipher, &vector.into())
            .encrypt_padded_vec_mut::<Iso7816>(&plain);
        plain.zeroize();
        self.with_mac(wire::SESSION_MESSAGE, &sealed)
    }

    /// Checks and decrypts the answer to the last sealed command: the inner message.
    pub(crate) fn open(&self, code: u8, body: &[u8]) -> Result<Vec<u8>, YubiHsmError> {
        let (session, sealed, mac) = match body {
            [session, rest @ ..] if rest.len() >= MAC_LEN => {
                let (sealed, mac) = rest.split_at(rest.len() - MAC_LEN);
                (*session, sealed, mac)
            }
            _ => return Err(YubiHsmError::Protocol("an answer has no MAC")),
        };
        if session != self.session {
            return Err(YubiHsmError::Protocol("an answer is of another session"));
        }
        let expected = chained_mac(
            &self.response_mac_key,
            &self.chaining,
            code,
            session,
            sealed,
        );
        if !bool::from(expected[..MAC_LEN].ct_eq(mac)) {
            return Err(YubiHsmError::Protocol("the MAC of an answer is wrong"));
        }
        let cipher = aes(&self.encryption_key);
        let vector = self.vector(&cipher);
        cbc::Decryptor::inner_iv_init(cipher, &vector.into())
            .decrypt_padded_vec_mut::<Iso7816>(sealed)
            .map_err(|_| YubiHsmError::Protocol("an answer is padded wrongly"))
    }

    fn with_mac(&mut self, command: u8, data: &[u8]) -> Vec<u8> {
        self.chaining = chained_mac(&self.mac_key, &self.chaining, command, self.session, data);
        let mut body = Vec::with_capacity(data.len() + FRAME_LEN);
        body.push(self.session);
        body.extend_from_slice(data);
        body.extend_from_slice(&self.chaining[..MAC_LEN]);
        wire::message(command, &body)
    }

    /// The initialization vector of this command and of its answer (GPC_SPE_014 §6.2.6).
    fn vector(&self, cipher: &Aes128) -> [u8; 16] {
        let mut block = u128::from(self.counter).to_be_bytes().into();
        cipher.encrypt_block(&mut block);
        block.into()
    }
}

/// Derives up to 16 bytes in counter mode with CMAC (GPC_SPE_014 §4.1.5, NIST SP 800-108 §4.1).
fn derive<const N: usize>(key: &[u8], constant: u8, context: &[u8; 16]) -> [u8; N] {
    let mut input = [0; 32];
    input[11] = constant;
    // The length in bits; N is 8 or 16.
    input[14] = (N * 8).to_le_bytes()[0];
    input[15] = 1;
    input[16..].copy_from_slice(context);
    let mut derived = [0; N];
    derived.copy_from_slice(&cmac(key, &[&input])[..N]);
    derived
}

fn chained_mac(
    key: &[u8; 16],
    chaining: &[u8; 16],
    code: u8,
    session: u8,
    data: &[u8],
) -> [u8; 16] {
    let len = wire::length(data.len() + FRAME_LEN);
    cmac(key, &[chaining, &[code], &len, &[session], data])
}

fn cmac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn aes(key: &[u8; 16]) -> Aes128 {
    Aes128::new(key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two ends of a channel are the same arithmetic but for who seals and who opens, which
    /// the tests against the mock device and the real client cover; here: what must be refused.
    fn channel() -> Channel {
        let mut channel = Channel::new(&[7; 32], 3, [1; 8], [2; 8]);
        channel.authenticate();
        channel
    }

    #[test]
    fn an_answer_of_another_session_is_refused() {
        let error = channel().open(0x85, &[4; 40]).unwrap_err();
        assert!(error.to_string().contains("another session"), "{error}");
    }

    #[test]
    fn an_answer_with_a_wrong_mac_is_refused() {
        let error = channel().open(0x85, &[3; 41]).unwrap_err();
        assert!(error.to_string().contains("MAC"), "{error}");
    }

    #[test]
    fn short_answers_are_refused() {
        for len in 0..9 {
            assert!(channel().open(0x85, &vec![3; len]).is_err(), "{len}");
        }
    }

    #[test]
    fn the_card_must_know_the_key() {
        let channel = channel();
        let right: Cryptogram = derive(&channel.mac_key, CARD_CRYPTOGRAM, &channel.context);
        assert!(channel.is_card_cryptogram(&right));
        let mut wrong = right;
        wrong[7] ^= 1;
        assert!(!channel.is_card_cryptogram(&wrong));
    }
}
