//! The device's end of SCP03, written from GPC_SPE_014 and Yubico's description of the messages,
//! independently of the host's end in `chancery-yubihsm`.

use aes::Aes128;
use aes::cipher::block_padding::Iso7816;
use aes::cipher::{
    BlockDecryptMut as _, BlockEncrypt as _, BlockEncryptMut as _, InnerIvInit as _, KeyInit,
};
use cmac::{Cmac, Mac as _};

#[derive(Clone, Debug)]
pub(crate) struct CardChannel {
    session: u8,
    context: [u8; 16],
    s_enc: [u8; 16],
    s_mac: [u8; 16],
    s_rmac: [u8; 16],
    chaining: [u8; 16],
    counter: u128,
    pub(crate) is_authenticated: bool,
}

impl CardChannel {
    pub(crate) fn new(keys: &[u8; 32], session: u8, host: [u8; 8], card: [u8; 8]) -> Self {
        let mut context = [0; 16];
        context[..8].copy_from_slice(&host);
        context[8..].copy_from_slice(&card);
        let mut channel = Self {
            session,
            context,
            s_enc: [0; 16],
            s_mac: [0; 16],
            s_rmac: [0; 16],
            chaining: [0; 16],
            counter: 0,
            is_authenticated: false,
        };
        channel.s_enc = channel.kdf(&keys[..16], 0x04, 128);
        channel.s_mac = channel.kdf(&keys[16..], 0x06, 128);
        channel.s_rmac = channel.kdf(&keys[16..], 0x07, 128);
        channel
    }

    /// What proves to the host that the card knows the keys.
    pub(crate) fn card_cryptogram(&self) -> [u8; 8] {
        self.kdf(&self.s_mac, 0x00, 64)[..8].try_into().unwrap()
    }

    /// Takes the body of AUTHENTICATE SESSION: session, host cryptogram, MAC.
    pub(crate) fn authenticate(&mut self, body: &[u8]) -> bool {
        if body.len() != 17 || self.is_authenticated {
            return false;
        }
        let cryptogram = self.kdf(&self.s_mac, 0x01, 64);
        let is_right = cryptogram[..8] == body[1..9] && self.check_mac(0x04, body);
        self.is_authenticated = is_right;
        self.counter = 1;
        is_right
    }

    /// Takes the body of a session message; gives the inner message.
    pub(crate) fn open(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        if !self.is_authenticated || !self.check_mac(0x05, body) {
            return None;
        }
        let sealed = &body[1..body.len() - 8];
        cbc::Decryptor::inner_iv_init(aes(&self.s_enc), &self.icv().into())
            .decrypt_padded_vec_mut::<Iso7816>(sealed)
            .ok()
    }

    /// The body of the answer to the command that was opened last.
    pub(crate) fn seal(&mut self, inner: &[u8]) -> Vec<u8> {
        let sealed = cbc::Encryptor::inner_iv_init(aes(&self.s_enc), &self.icv().into())
            .encrypt_padded_vec_mut::<Iso7816>(inner);
        self.counter += 1;
        let mac = self.mac(&self.s_rmac, 0x85, &sealed);
        [&[self.session], &sealed[..], &mac[..8]].concat()
    }

    /// Counts an answer that somebody else has sealed.
    pub(crate) fn skip_answer(&mut self) {
        self.counter += 1;
    }

    /// Checks the MAC of a command, and chains the next to it when it is right.
    fn check_mac(&mut self, code: u8, body: &[u8]) -> bool {
        if body.len() < 9 {
            return false;
        }
        let (data, tag) = body[1..].split_at(body.len() - 9);
        let mac = self.mac(&self.s_mac, code, data);
        let is_right = mac[..8] == *tag;
        if is_right {
            self.chaining = mac;
        }
        is_right
    }

    fn mac(&self, key: &[u8; 16], code: u8, data: &[u8]) -> [u8; 16] {
        let len = u16::try_from(1 + data.len() + 8).unwrap().to_be_bytes();
        let text = [&self.chaining[..], &[code], &len, &[self.session], data].concat();
        cmac(key, &text)
    }

    fn kdf(&self, key: &[u8], constant: u8, bits: u16) -> [u8; 16] {
        let mut label = [0; 12];
        label[11] = constant;
        let text = [&label[..], &[0], &bits.to_be_bytes(), &[1], &self.context].concat();
        cmac(key.try_into().unwrap(), &text)
    }

    fn icv(&self) -> [u8; 16] {
        let mut block = self.counter.to_be_bytes().into();
        aes(&self.s_enc).encrypt_block(&mut block);
        block.into()
    }
}

fn aes(key: &[u8; 16]) -> Aes128 {
    <Aes128 as KeyInit>::new(key.into())
}

fn cmac(key: &[u8; 16], text: &[u8]) -> [u8; 16] {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
    mac.update(text);
    mac.finalize().into_bytes().into()
}
