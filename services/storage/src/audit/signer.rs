//! Keys that sign checkpoints.

use std::{fmt, path::Path};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use kubernaut_core::{Error, Result};

const SEED_BYTES: usize = 32;

/// An Ed25519 key. Its file holds the 32 bytes of the seed in hex and must be readable by its owner only.
pub struct AuditKey {
    pair: Ed25519KeyPair,
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl AuditKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// `NotFound` if it cannot be read, `InvalidInput` if it holds no key or others can read it.
    pub fn read(path: &Path) -> Result<Self> {
        const OPERATION: &str = "audit.key";
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::not_found(OPERATION, "cannot read the key that signs checkpoints").with("path", path.display()).source(e))?;
        refuse_open_file(path)?;
        let wrong = || {
            Error::invalid(OPERATION, "the key file must hold 64 hex digits; make one with `kubernaut audit keygen FILE`")
                .with("path", path.display())
        };
        let seed = hex::decode(text.trim()).map_err(|_| wrong())?;
        Self::from_seed(&seed).ok_or_else(wrong)
    }

    /// Makes a new key and writes it to a file that must not exist.
    ///
    /// # Errors
    /// `Conflict` if the file exists or cannot be written.
    pub fn generate(path: &Path) -> Result<Self> {
        const OPERATION: &str = "audit.keygen";
        let mut seed = [0_u8; SEED_BYTES];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| Error::internal(OPERATION, "no random numbers"))?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| {
            use std::io::Write;
            writeln!(file, "{}", hex::encode(seed))?;
            file.sync_all()
        });
        written
            .map_err(|e| Error::conflict(OPERATION, "cannot write the key; the file must not exist yet").with("path", path.display()).source(e))?;
        Self::from_seed(&seed).ok_or_else(|| Error::internal(OPERATION, "no key can be made of the seed"))
    }

    fn from_seed(seed: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(|pair| Self { pair })
    }

    /// The public key, in hex.
    #[must_use]
    pub fn public(&self) -> String {
        hex::encode(self.pair.public_key().as_ref())
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        hex::encode(self.pair.sign(text.as_bytes()).as_ref())
    }
}

#[cfg(unix)]
fn refuse_open_file(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o007 != 0);
    if open {
        let text = "everybody can read the key that signs checkpoints; run chmod 600 on it";
        return Err(Error::invalid("audit.key", text).with("path", path.display()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_open_file(_: &Path) -> Result<()> {
    Ok(())
}

/// Checks a public key given in hex and brings it to the form in which keys are compared.
///
/// # Errors
/// `InvalidInput` if it is none.
pub fn public_key(text: &str) -> Result<String> {
    match hex::decode(text.trim()) {
        Ok(bytes) if bytes.len() == SEED_BYTES => Ok(hex::encode(bytes)),
        _ => Err(Error::invalid("audit.key", "a public key is 64 hex digits").with("key", text)),
    }
}

/// Whether `signature` is that of `public` for `text`.
pub(crate) fn verifies(public: &str, signature: &str, text: &str) -> bool {
    let (Ok(public), Ok(signature)) = (hex::decode(public), hex::decode(signature)) else { return false };
    UnparsedPublicKey::new(&ED25519, public).verify(text.as_bytes(), &signature).is_ok()
}
