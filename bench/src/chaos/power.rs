//! What a power cut takes: writes that were not synced, or parts of them.
//!
//! A library in front of the server's system calls (`shim/unsynced.c`) keeps a copy of each file as it was at its last sync, and a log of the writes
//! after it. After the kill the files are made anew from that: of the writes since, each sector of 512 bytes is there or not by chance, so that pages
//! are torn and their order means nothing.

use std::{
    fs,
    io::{Error, Result},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::Random;

const SECTOR: usize = 512;
const SOURCE: &str = include_str!("../../shim/unsynced.c");

#[derive(Debug)]
pub(crate) struct Power {
    folder: tempfile::TempDir,
}

impl Power {
    /// Builds the library.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("unsynced.c");
        fs::write(&source, SOURCE)?;
        fs::create_dir(folder.path().join("shadow"))?;
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(folder.path().join("unsynced.so")).arg(&source).arg("-ldl").status()?;
        if built.success() { Ok(Self { folder }) } else { Err(Error::other("cc cannot build shim/unsynced.c; install gcc and libc6-dev")) }
    }

    fn shadow(&self) -> PathBuf {
        self.folder.path().join("shadow")
    }

    /// For the server whose ledger is in `home`.
    pub(crate) fn environment(&self, home: &Path) -> Vec<(String, PathBuf)> {
        vec![
            ("LD_PRELOAD".into(), self.folder.path().join("unsynced.so")),
            ("UNSYNCED_FILES".into(), home.join("ledger.db")),
            ("UNSYNCED_SHADOW".into(), self.shadow()),
        ]
    }

    /// Makes the files what the disk would hold. The server must have ended.
    pub(crate) fn cut(&self, home: &Path, random: &mut Random) -> Result<()> {
        for name in ["ledger.db", "ledger.db-wal"] {
            let (file, copy) = (home.join(name), self.shadow().join(name));
            if !copy.is_file() {
                continue;
            }
            // A half-made copy is of a sync that nobody was answered for.
            fs::remove_file(self.shadow().join(format!("{name}.new"))).ok();
            let there = file.is_file();
            if there {
                fs::copy(&copy, &file)?;
                let log = self.shadow().join(format!("{name}.writes"));
                if let Ok(writes) = fs::read(&log) {
                    apply(&fs::OpenOptions::new().write(true).open(&file)?, &writes, random)?;
                }
            }
            fs::remove_file(self.shadow().join(format!("{name}.writes"))).ok();
            // The disk holds this now, so it is what the next cut leaves.
            if there { fs::copy(&file, &copy).map(drop)? } else { fs::remove_file(&copy)? }
        }
        fs::remove_file(home.join("ledger.db-shm")).or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
    }
}

/// Writes sectors of the log, each by chance.
fn apply(file: &fs::File, mut writes: &[u8], random: &mut Random) -> Result<()> {
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).unwrap_or(0);
    // In one cut nothing gets through, in others some or most.
    let share = random.share();
    while let Some((head, rest)) = writes.split_at_checked(16) {
        let (at, length) = (number(&head[..8]), usize::try_from(number(&head[8..])).unwrap_or(usize::MAX));
        let Some((bytes, rest)) = rest.split_at_checked(length) else { break };
        for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
            if random.share() < share {
                file.write_all_at(bytes, at + (sector * SECTOR) as u64)?;
            }
        }
        writes = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_leaves_each_sector_old_or_new() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 4 * SECTOR], 0).unwrap();
        let mut log = Vec::new();
        for word in [0_u64, 4 * SECTOR as u64] {
            log.extend(word.to_ne_bytes());
        }
        log.extend([2; 4 * SECTOR]);
        log.extend([9; 5]);
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..50 {
            apply(&file, &log, &mut Random(seed)).unwrap();
            let mut now = [0; 4 * SECTOR];
            file.read_exact_at(&mut now, 0).unwrap();
            for sector in now.chunks(SECTOR) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is whole");
            }
            kinds.insert(now.iter().step_by(SECTOR).copied().collect::<Vec<_>>());
            file.write_all_at(&[1; 4 * SECTOR], 0).unwrap();
        }
        assert!(kinds.len() > 3, "pages are torn in different ways: {kinds:?}");
    }
}
