//! Files that actions bring back, in one folder a request.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use kubernaut_core::{Error, Result};

use crate::action::stamp;

/// A folder with one folder per request. Files are for their owner only: a heap dump holds all that the process held.
#[derive(Debug, Clone)]
pub(crate) struct Archive(PathBuf);

impl Archive {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    fn path(&self, key: &str, name: &str) -> PathBuf {
        self.0.join(stamp(key)).join(name)
    }

    /// Whether the file of a request is there.
    pub(crate) fn has(&self, key: &str, name: &str) -> bool {
        self.path(key, name).is_file()
    }

    /// Writes a file whole: it is there complete or not at all.
    pub(crate) fn write(&self, key: &str, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.path(key, name);
        let failed = |e: std::io::Error| {
            Error::new(kubernaut_core::ErrorKind::Unavailable, "executor.archive", "the archive cannot be written; check the folder and its space")
                .with("file", path.display())
                .source(e)
        };
        let part = path.with_extension("part");
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
            restrict(dir, 0o700);
        }
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&part).map_err(failed)?;
        restrict(&part, 0o600);
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&part, &path).map_err(failed)?;
        Ok(path)
    }
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        tracing::warn!(file = %path.display(), %error, "the archive's rights could not be narrowed");
    }
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: u32) {}
