//! Ed25519 signatures of manifests. A key stands in a file of its own, or in the environment, as
//! PKCS#8 in PEM (`openssl genpkey -algorithm ed25519`); it is never printed.

use std::fmt;

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::key::{hex, unhex};

/// Name of the file beside the manifest.
pub const FILE: &str = "manifest.json.sig";

const ALGORITHM: &str = "ed25519";
const SIGNED: &str = "manifest.json";

/// Signs manifests.
#[derive(Clone)]
pub struct Signer(SigningKey);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

/// Whose signature is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// `manifest.json.sig`: over the bytes of `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    algorithm: String,
    signs: String,
    public_key: String,
    signature: String,
}

impl SignatureFile {
    fn render(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).unwrap_or_default())
    }
}

impl Signer {
    /// # Errors
    /// What a key file must hold; never what it holds.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        SigningKey::from_pkcs8_pem(pem.trim()).map(Self).map_err(|_| {
            "it holds no Ed25519 private key in PKCS#8 PEM; make one with openssl genpkey -algorithm ed25519"
                .into()
        })
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The file beside a manifest of these bytes. The same bytes give the same signature.
    pub fn sign(&self, manifest: &[u8]) -> String {
        SignatureFile {
            algorithm: ALGORITHM.into(),
            signs: SIGNED.into(),
            public_key: hex(self.0.verifying_key().as_bytes()),
            signature: hex(&self.0.sign(manifest).to_bytes()),
        }
        .render()
    }
}

impl PublicKey {
    /// # Errors
    /// What a key file must hold.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let key = VerifyingKey::from_public_key_pem(pem.trim());
        key.map(|key| Self(key.to_bytes())).map_err(|_| {
            "it holds no Ed25519 public key in PEM; openssl pkey -pubout gives it from the private one"
                .into()
        })
    }

    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }
}

/// The key whose signature of `manifest` the file `bytes` holds.
///
/// # Errors
/// What is wrong with the file, or that its signature is not one of these bytes.
pub fn check(bytes: &[u8], manifest: &[u8]) -> Result<PublicKey, String> {
    let file: SignatureFile =
        serde_json::from_slice(bytes).map_err(|e| format!("cannot be read: {e}"))?;
    if file.render().as_bytes() != bytes {
        return Err("is not written as afterscope writes it".into());
    }
    if file.algorithm != ALGORITHM || file.signs != SIGNED {
        return Err(format!(
            "is {} of {}, not {ALGORITHM} of {SIGNED}",
            file.algorithm, file.signs
        ));
    }
    let key = unhex(&file.public_key).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    let key = key.ok_or("holds no Ed25519 public key")?;
    let signature = unhex(&file.signature).map(|bytes| Signature::from_bytes(&bytes));
    let signature = signature.ok_or("holds no Ed25519 signature")?;
    key.verify_strict(manifest, &signature)
        .map_err(|_| "is no signature of this manifest by the key that it names")?;
    Ok(PublicKey(key.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032, 7.1, test 1, as PKCS#8.
    const SECRET: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

    fn signer() -> Signer {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        Signer(SigningKey::from_bytes(&unhex(seed).unwrap()))
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        let file: SignatureFile = serde_json::from_str(&signer().sign(b"\x72")).unwrap();
        assert_eq!(
            file.public_key,
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        assert_eq!(
            file.signature,
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }

    #[test]
    fn a_key_is_read_and_never_shown() {
        let signer = Signer::from_pem(SECRET).unwrap();
        assert_eq!(format!("{signer:?}"), "Signer(…)");
        let error = Signer::from_pem("MC4CAQAwBQYDK2VwBCIEIEzN").unwrap_err();
        assert!(!error.contains("MC4C"), "{error}");
        assert!(PublicKey::from_pem(SECRET).is_err());
    }

    #[test]
    fn a_signature_is_of_these_bytes_and_no_others() {
        let text = signer().sign(b"manifest");
        assert_eq!(check(text.as_bytes(), b"manifest"), Ok(signer().public_key()));
        assert!(check(text.as_bytes(), b"manifesu").is_err());
        let other = Signer::from_pem(SECRET).unwrap().sign(b"manifest");
        let key: SignatureFile = serde_json::from_str(&other).unwrap();
        let own: SignatureFile = serde_json::from_str(&text).unwrap();
        let mixed = SignatureFile { public_key: key.public_key, ..own };
        assert!(check(mixed.render().as_bytes(), b"manifest").is_err());
    }

    #[test]
    fn every_bit_of_a_signature_file_matters() {
        let text = signer().sign(b"manifest").into_bytes();
        for at in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(check(&flipped, b"manifest").is_err(), "bit {at}");
        }
    }
}
