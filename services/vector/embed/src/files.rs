//! Files that are believed only if they are the pinned ones.

use std::{fs, path::Path};

use kubernaut_core::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

/// The bytes of a file whose hash is as configured: what is used is what was checked.
pub(crate) fn pinned(folder: &Path, name: &str, setting: &'static str, sha256: &str) -> Result<Vec<u8>> {
    const OPERATION: &str = "embedder.load";
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(|e| {
        Error::not_found(OPERATION, "a file of the model cannot be read; put it there, correct the folder, or configure the lexical embedder")
            .with("path", path.display())
            .source(e)
    })?;
    let found = hex::encode(Sha256::digest(&bytes));
    if !found.eq_ignore_ascii_case(sha256.trim()) {
        return Err(Error::new(ErrorKind::Corrupt, OPERATION, "a file of the model is not the pinned one; get the right file or pin this one")
            .with("path", path.display())
            .with("sha256", found)
            .with("pinned", sha256.trim())
            .with("setting", setting));
    }
    Ok(bytes)
}
