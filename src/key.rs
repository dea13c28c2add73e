//! Ids as 128-bit keys.
//!
//! People, groups and events are compared by key, never by hash of unknown quality:
//! * integers (every width is one kind) pass through a bijection, so the key *is* the id;
//! * UUIDs keep their 128 bits, likewise through a bijection;
//! * any other text is the first 128 bits of its BLAKE3 hash (format version [`KEY_FORMAT`]).
//!
//! The bijections spread keys evenly, which lets the ledger be cut into even ranges by the top bits.
//! With an id key (a secret), every kind goes through BLAKE3 keyed with it, so that a leaked ledger
//! gives no id away.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Version of the rules in this module; part of every pack's identity.
pub const KEY_FORMAT: u32 = 1;

/// 128 bits that stand for one id of one kind in one namespace. Ordered, evenly spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub hi: u64,
    pub lo: u64,
}

/// What an id is. Known from the configuration or the column's type, never from values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdKind {
    Int,
    Uuid,
    Text,
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int => "integer",
            Self::Uuid => "UUID",
            Self::Text => "text",
        })
    }
}

/// Turns ids into keys.
#[derive(Clone)]
pub struct Keyer {
    secret: Option<[u8; 32]>,
}

impl fmt::Debug for Keyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secret.is_some() { "Keyer(keyed)" } else { "Keyer(plain)" })
    }
}

impl Keyer {
    pub const fn plain() -> Self {
        Self { secret: None }
    }

    pub fn with_secret(secret: &str) -> Self {
        Self { secret: Some(blake3::derive_key("afterscope 2026 id key", secret.as_bytes())) }
    }

    pub fn is_keyed(&self) -> bool {
        self.secret.is_some()
    }

    /// A name for the secret that does not give it away; empty without one.
    pub fn key_id(&self) -> String {
        self.secret.map_or_else(String::new, |s| {
            let id = blake3::derive_key("afterscope 2026 id key name", &s);
            hex(id.get(..8).unwrap_or_default())
        })
    }

    /// An integer id: any width, signed or not.
    #[inline]
    pub fn int(&self, id: i128) -> Key {
        match self.secret {
            // Ids past i64 (from unsigned columns) are told apart from negative ones by `lo`.
            None => Key { hi: mix(id as u64), lo: u64::from(id > i128::from(i64::MAX)) },
            Some(secret) => first_128(&keyed(&secret, b'i', &id.to_be_bytes())),
        }
    }

    /// A UUID's 128 bits.
    pub fn uuid(&self, id: u128) -> Key {
        match self.secret {
            None => {
                // Two Feistel rounds: a bijection on 128 bits with an even `hi`, also for
                // time-ordered UUIDs whose top bits are all alike.
                let (hi, lo) = ((id >> 64) as u64, id as u64);
                let hi = hi ^ mix(lo);
                Key { hi, lo: lo ^ mix(hi) }
            }
            Some(secret) => first_128(&keyed(&secret, b'u', &id.to_be_bytes())),
        }
    }

    pub fn text(&self, id: &[u8]) -> Key {
        match self.secret {
            None => first_128(&blake3::hash(id)),
            Some(secret) => first_128(&keyed(&secret, b't', id)),
        }
    }

    /// Hides a short text (a group's own id) with a key stream that depends on `key` and the secret;
    /// the same call brings it back. Without a secret the text stays as it is.
    ///
    /// `key` is itself a keyed hash of the text, so no stream serves two texts (the construction of
    /// synthetic initialization vectors, RFC 5297, with BLAKE3 as the pseudo-random function).
    pub fn veil(&self, key: Key, text: &mut [u8]) {
        let Some(secret) = self.secret else { return };
        let mut hasher = blake3::Hasher::new_keyed(&secret);
        hasher.update(b"v").update(&key.hi.to_be_bytes()).update(&key.lo.to_be_bytes());
        let mut stream = vec![0; text.len()];
        hasher.finalize_xof().fill(&mut stream);
        for (byte, mask) in text.iter_mut().zip(stream) {
            *byte ^= mask;
        }
    }

    /// Whether an id of this kind is known from its key alone.
    pub fn gives_back(&self, key: Key, kind: Option<IdKind>) -> bool {
        match kind {
            Some(IdKind::Int) => self.int_of(key).is_some(),
            Some(IdKind::Uuid) => self.uuid_of(key).is_some(),
            _ => false,
        }
    }

    /// The integer that a plain key stands for; `None` where ids are keyed.
    pub fn int_of(&self, key: Key) -> Option<i128> {
        if self.secret.is_some() {
            return None;
        }
        let bits = unmix(key.hi);
        Some(if key.lo == 0 { i128::from(bits as i64) } else { i128::from(bits) })
    }

    /// The UUID that a plain key stands for; `None` where ids are keyed.
    pub fn uuid_of(&self, key: Key) -> Option<u128> {
        if self.secret.is_some() {
            return None;
        }
        let lo = key.lo ^ mix(key.hi);
        let hi = key.hi ^ mix(lo);
        Some((u128::from(hi) << 64) | u128::from(lo))
    }
}

/// Hides ids in a list that others get: who holds the secret can find an id that they know, and nobody
/// can try out ids without it.
#[derive(Clone)]
pub struct IdHash {
    key: [u8; 32],
}

impl fmt::Debug for IdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdHash")
    }
}

impl IdHash {
    /// What tells this use of a secret from others (BLAKE3's `derive_key`).
    pub const CONTEXT: &str = "afterscope 2026 notification list";

    pub fn with_secret(secret: &str) -> Self {
        Self { key: blake3::derive_key(Self::CONTEXT, secret.as_bytes()) }
    }

    /// BLAKE3, keyed, of namespace, a zero byte and id, in hex.
    pub fn of(&self, namespace: &str, id: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(namespace.as_bytes()).update(&[0]).update(id.as_bytes());
        hex(hasher.finalize().as_bytes())
    }
}

fn keyed(secret: &[u8; 32], kind: u8, id: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(&[kind]).update(id);
    hasher.finalize()
}

fn first_128(hash: &blake3::Hash) -> Key {
    let bytes = hash.as_bytes();
    let word = |at: usize| {
        bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes)
    };
    Key { hi: word(0), lo: word(8) }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): a bijection on 64 bits.
#[inline]
pub const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The inverse of [`mix`]: the multipliers are inverses modulo 2^64.
const fn unmix(mut x: u64) -> u64 {
    x = (x ^ (x >> 31) ^ (x >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    x = (x ^ (x >> 27) ^ (x >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    x ^ (x >> 30) ^ (x >> 60)
}

pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The bytes that [`hex`] wrote; `None` for anything else, upper case and other lengths included.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let value = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        let [high, low] = pair else { return None };
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(out)
}

/// A hash for pairs of small numbers: one multiplication chain, no secrets.
#[derive(Default)]
pub struct MixHasher(u64);

impl std::hash::Hasher for MixHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0 ^ value);
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
}

pub type MixMap<K, V> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<MixHasher>>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back_from_their_keys(id: i64) {
            let keyer = Keyer::plain();
            prop_assert_eq!(keyer.int_of(keyer.int(id.into())), Some(i128::from(id)));
        }

        #[test]
        fn uuids_come_back_from_their_keys(id: u128) {
            let keyer = Keyer::plain();
            prop_assert_eq!(keyer.uuid_of(keyer.uuid(id)), Some(id));
        }

        #[test]
        fn a_veiled_text_comes_back(text: Vec<u8>, secret: String) {
            let keyer = Keyer::with_secret(&secret);
            let key = keyer.text(&text);
            let mut veiled = text.clone();
            keyer.veil(key, &mut veiled);
            keyer.veil(key, &mut veiled);
            prop_assert_eq!(veiled, text);
        }
    }

    #[test]
    fn unsigned_ids_past_i64_differ_from_negative_ones() {
        let keyer = Keyer::plain();
        let big = i128::from(u64::MAX);
        assert_ne!(keyer.int(big), keyer.int(-1));
        assert_eq!(keyer.int_of(keyer.int(big)), Some(big));
    }
}
