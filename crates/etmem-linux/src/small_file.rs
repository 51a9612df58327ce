//! Reading the kernel's small files: a cycle reads some twenty of them.
//!
//! `std::fs::read` asks for the size first, which these files do not have, and then begins with 32 bytes: eight system
//! calls for a file of 300 bytes. This is four, or three where the end is known.

use crate::sys::machine::is_of_procfs;
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What nearly all of them fit in.
const USUAL_BYTES: usize = 4096;

/// All of the file at `path`.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    whole(&File::open(path)?)
}

/// The same of a file that the kernel makes as one record, such as a process's `stat` (`single_open`, fs/seq_file.c): less of it than
/// asked for is all of it. It saves the call that finds the end.
pub(crate) fn read_record(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut text = vec![0; USUAL_BYTES];
    let length = loop {
        match file.read(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            length => break length?,
        }
    };
    text.truncate(length);
    if length == USUAL_BYTES {
        file.take(u64::MAX).read_to_end(&mut text)?;
    }
    Ok(text)
}

/// The same of a file that holds text.
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    as_text(read(path)?)
}

fn as_text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A file of the machine that each cycle reads: it stays open, as to open and close it takes as long as to read it. The kernel makes
/// its text again when it is read from the beginning (`seq_read_iter`, fs/seq_file.c). What another file system has in the place of the
/// kernel's, as containers are given, may say for good what it said when it was opened: it is opened each time.
#[derive(Debug, Clone)]
pub(crate) struct KeptFile {
    path: PathBuf,
    open: Arc<Mutex<Option<File>>>,
}

impl KeptFile {
    /// The file at `path`, which is opened when it is read.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, open: Arc::default() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All of it as it is now.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut open = self.open.lock();
        if let Some(file) = &*open
            && let Ok(text) = whole(file)
        {
            return Ok(text);
        }
        // Not open yet, or not the file any more, as of a device that has gone.
        *open = None;
        let file = File::open(&self.path)?;
        let text = whole(&file)?;
        *open = Some(file).filter(is_of_procfs);
        Ok(text)
    }

    /// The same of a file that holds text.
    pub(crate) fn read_to_string(&self) -> io::Result<String> {
        as_text(self.read()?)
    }
}

/// All of `file`, from its beginning.
fn whole(file: &File) -> io::Result<Vec<u8>> {
    let mut text = vec![0; USUAL_BYTES];
    let mut length = 0;
    loop {
        match file.read_at(&mut text[length..], length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if length == text.len() {
            text.resize(2 * length, 0);
        }
    }
    text.truncate(length);
    Ok(text)
}

/// Numbers of `file` into `words`, from the number `first` on; those past its end stay as they are.
pub(crate) fn read_words(file: &File, first: u64, words: &mut [u64]) -> io::Result<()> {
    let mut bytes = vec![0; words.len() * 8];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], first * 8 + done as u64) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_is_read_as_it_is_now() {
        let uptime = KeptFile::new("/proc/uptime".into());
        let seconds = || {
            let text = uptime.read_to_string().unwrap();
            text.split('.').next().unwrap().parse::<u64>().unwrap()
        };
        let before = seconds();
        while seconds() == before {
            std::thread::yield_now();
        }
        // One that lists more than a page is read in parts.
        let counters = KeptFile::new("/proc/vmstat".into());
        let (first, again) = (counters.read().unwrap(), counters.read().unwrap());
        let names = |text: &[u8]| String::from_utf8_lossy(text).lines().count();
        assert_eq!(names(&first), names(&again));
    }

    #[test]
    fn all_of_a_file() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("file");
        let kept = KeptFile::new(path.clone());
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(kept.read().unwrap_err().kind(), io::ErrorKind::NotFound);
        for bytes in [0, 1, 31, 4095, 4096, 4097, 70_000] {
            let text: Vec<u8> = (0..bytes).map(|at: u32| b'a' + at.to_le_bytes()[0] % 26).collect();
            std::fs::write(&path, &text).unwrap();
            assert_eq!(read(&path).unwrap(), text);
            assert_eq!(read_record(&path).unwrap(), text);
            assert_eq!(read_to_string(&path).unwrap().into_bytes(), text);
            assert_eq!(kept.read().unwrap(), text);
            assert_eq!(kept.read().unwrap(), text);
            assert_eq!(kept.read_to_string().unwrap().into_bytes(), text);
        }
        assert_eq!(read_record(&tree.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_to_string(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        // One whose size is not known, longer than one read gives.
        assert!(read(Path::new("/proc/self/smaps")).unwrap().len() > USUAL_BYTES);
    }
}
