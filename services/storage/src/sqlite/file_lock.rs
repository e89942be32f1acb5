//! One process per file.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use kubernaut_core::{Error, ErrorKind, Result};

const OPERATION: &str = "ledger.open";

/// Held while the ledger is open; the operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock beside the ledger file.
    pub(crate) fn take(ledger: &Path) -> Result<Self> {
        let path = lock_path(ledger);
        let mut file = open(&path).map_err(|e| unusable(&path, e))?;
        match file.try_lock() {
            Ok(()) => {
                // Only for the message of whoever comes second.
                let named = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
                named.map_err(|e| unusable(&path, e))?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(in_use(ledger, holder(&mut file))),
            Err(TryLockError::Error(e)) => Err(unusable(&path, e)),
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options).open(path)
}

/// Makes sure that the ledger file exists and that only its owner can read it; SQLite gives its other files the same permissions.
pub(crate) fn create_private(ledger: &Path) -> Result<()> {
    if let Some(folder) = ledger.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| unusable(folder, e))?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    private(&mut options).open(ledger).map(drop).map_err(|e| unusable(ledger, e))
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

fn lock_path(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut pid));
    if read.is_ok() && !pid.is_empty() { pid } else { "unknown".to_owned() }
}

fn in_use(ledger: &Path, holder: String) -> Error {
    Error::new(ErrorKind::LedgerInUse, OPERATION, "another process has the ledger open; stop it or name another path")
        .with("path", ledger.display())
        .with("process", holder)
}

fn unusable(path: &Path, source: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, OPERATION, "the path cannot be used; check its folder and permissions")
        .with("path", path.display())
        .source(source)
}
