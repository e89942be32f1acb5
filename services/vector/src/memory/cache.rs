//! A file of vectors by the hash of their text. Nothing in it is believed: it only saves computing.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use kubernaut_core::port::EmbedderInfo;
use sha2::{Digest, Sha256};

/// SHA-256 of a text.
pub(super) type TextHash = [u8; 32];

pub(super) fn text_hash(text: &str) -> TextHash {
    Sha256::digest(text.as_bytes()).into()
}

const MAGIC: &[u8; 8] = b"KNUTVEC1";
const CHECKSUM: usize = 4;

/// A head that names the embedder, then records of equal size, each with its own checksum: hash of the text, numbers, CRC-32. Records are only
/// added; one that is torn ends the file.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    head: Vec<u8>,
    dimensions: usize,
    file: BufWriter<File>,
    records: usize,
    loaded: HashMap<TextHash, Vec<f32>>,
}

impl Cache {
    /// Reads what can be trusted and cuts off the rest; a file of another embedder or format is begun anew.
    pub(super) fn open(path: &Path, embedder: &EmbedderInfo) -> io::Result<Self> {
        let head = head(embedder);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let dimensions = embedder.dimensions;
        let (loaded, good) = read(&bytes, &head, dimensions);
        let records = good.saturating_sub(head.len()) / record_len(dimensions);
        if good < bytes.len() {
            tracing::warn!(path = %path.display(), kept = records, "the file of vectors is torn or of another embedder; the rest is computed anew");
        }
        file.set_len(u64::try_from(good).unwrap_or(0))?;
        let mut file = BufWriter::new(file);
        if good == 0 {
            file.write_all(&head)?;
        }
        Ok(Self { path: path.to_owned(), head, dimensions, file, records, loaded })
    }

    pub(super) fn get(&self, hash: &TextHash) -> Option<&[f32]> {
        self.loaded.get(hash).map(Vec::as_slice)
    }

    pub(super) fn append(&mut self, hash: &TextHash, vector: &[f32]) -> io::Result<()> {
        if vector.len() == self.dimensions {
            self.file.write_all(&record(hash, vector))?;
            self.records += 1;
        }
        Ok(())
    }

    /// Brings what was added to the disk; what was read is no longer needed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.loaded = HashMap::new();
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    /// Writes a file of these texts alone, in place of the old one, if that has others.
    pub(super) fn keep_only(&mut self, live: &HashSet<TextHash>) -> io::Result<()> {
        if self.records <= live.len() {
            return Ok(());
        }
        let bytes = fs::read(&self.path)?;
        let (mut kept, _) = read(&bytes, &self.head, self.dimensions);
        drop(bytes);
        kept.retain(|hash, _| live.contains(hash));
        let new = self.path.with_extension("new");
        let mut file = BufWriter::new(File::create(&new)?);
        file.write_all(&self.head)?;
        for (hash, vector) in &kept {
            file.write_all(&record(hash, vector))?;
        }
        file.flush()?;
        file.get_ref().sync_all()?;
        drop(file);
        fs::rename(&new, &self.path)?;
        self.file = BufWriter::new(OpenOptions::new().append(true).open(&self.path)?);
        self.records = kept.len();
        Ok(())
    }
}

fn head(embedder: &EmbedderInfo) -> Vec<u8> {
    let name = text_hash(&format!("{} {} {}", embedder.name, embedder.version, embedder.dimensions));
    [MAGIC.as_slice(), &name].concat()
}

fn record_len(dimensions: usize) -> usize {
    size_of::<TextHash>() + dimensions * size_of::<f32>() + CHECKSUM
}

fn record(hash: &TextHash, vector: &[f32]) -> Vec<u8> {
    let mut bytes = hash.to_vec();
    bytes.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// The vectors up to the first record that is not as it was written, and where that begins.
fn read(bytes: &[u8], head: &[u8], dimensions: usize) -> (HashMap<TextHash, Vec<f32>>, usize) {
    let mut vectors = HashMap::new();
    let Some(body) = bytes.strip_prefix(head) else { return (vectors, 0) };
    let mut good = head.len();
    for record in body.chunks_exact(record_len(dimensions)) {
        let Some((content, checksum)) = record.split_last_chunk::<CHECKSUM>() else { break };
        let Some((hash, numbers)) = content.split_first_chunk::<32>() else { break };
        if crc32fast::hash(content).to_le_bytes() != *checksum {
            break;
        }
        let vector = numbers.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
        vectors.insert(*hash, vector);
        good += record.len();
    }
    (vectors, good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubernaut_core::port::EmbeddingBasis;

    fn embedder(version: &str) -> EmbedderInfo {
        EmbedderInfo { name: "e".into(), version: version.into(), dimensions: 3, basis: EmbeddingBasis::Wording, related: 0.1, about: "e".into() }
    }

    fn filled(path: &Path, texts: &[&str]) {
        let mut cache = Cache::open(path, &embedder("1")).unwrap();
        for (n, text) in texts.iter().enumerate() {
            cache.append(&text_hash(text), &[n as f32, 1.0, 2.0]).unwrap();
        }
        cache.flush().unwrap();
    }

    fn present(path: &Path, texts: &[&str]) -> Vec<bool> {
        let cache = Cache::open(path, &embedder("1")).unwrap();
        texts.iter().map(|text| cache.get(&text_hash(text)).is_some()).collect()
    }

    #[test]
    fn what_was_written_is_read_and_more_can_be_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/v");
        filled(&path, &["a", "b"]);
        filled(&path, &["c"]);
        assert_eq!(present(&path, &["a", "b", "c", "d"]), [true, true, true, false]);
        assert_eq!(Cache::open(&path, &embedder("1")).unwrap().get(&text_hash("b")).unwrap(), [1.0, 1.0, 2.0]);
    }

    #[test]
    fn wherever_the_file_is_torn_only_whole_records_are_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        filled(&path, &["a", "b", "c"]);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let before = cut.saturating_sub(40) / record_len(3);
            let expected: Vec<bool> = (0..3).map(|n| n < before).collect();
            assert_eq!(present(&path, &["a", "b", "c"]), expected, "cut at {cut}");
            filled(&path, &["z"]);
            assert_eq!(present(&path, &["z"]), [true], "and it can be added to");
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        filled(&path, &["a", "b"]);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let kept = present(&path, &["a", "b"]);
            assert!(kept != [true, true], "byte {at}");
        }
    }

    #[test]
    fn vectors_of_another_embedder_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        filled(&path, &["a"]);
        assert!(Cache::open(&path, &embedder("2")).unwrap().get(&text_hash("a")).is_none());
    }

    #[test]
    fn texts_that_are_gone_leave_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        filled(&path, &["a", "b", "c"]);
        let mut cache = Cache::open(&path, &embedder("1")).unwrap();
        cache.keep_only(&[text_hash("a"), text_hash("c")].into()).unwrap();
        cache.append(&text_hash("d"), &[1.0, 1.0, 1.0]).unwrap();
        cache.flush().unwrap();
        drop(cache);
        assert_eq!(present(&path, &["a", "b", "c", "d"]), [true, false, true, true]);
    }
}
