//! A record to be read: a file, which may be one of damo, or what was seen just now.

use etmem_record::reader::ReadError;
use etmem_record::{Event, Reader, damo};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;
use std::sync::Arc;

/// The record, each time from its beginning.
pub(super) type Opened = Reader<Box<dyn BufRead + Send>>;

/// Where a record is.
#[derive(Debug)]
pub(super) enum Source {
    /// A file of ours.
    File(File),
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
}

/// What of a record is asked for, after it was read once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    /// The number of a process: the one that is asked for, else the one with most memory.
    pub(super) process: usize,
    /// Looks at it.
    pub(super) looks: u64,
}

impl Source {
    /// The record in `path`.
    ///
    /// # Errors
    /// Why it cannot be read, with its path.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn ToString| format!("{}: {}", path.display(), error.to_string());
        let mut file = File::open(path).map_err(|error| failed(&error))?;
        let mut first = Vec::new();
        file.by_ref().take(64).read_to_end(&mut first).map_err(|error| failed(&error))?;
        file.rewind().map_err(|error| failed(&error))?;
        if !damo::is_meant(&first) {
            return Ok(Self::File(file));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        let ours = damo::convert(&bytes).map_err(|error| format!("{} {error}", path.display()))?;
        Ok(Self::Bytes(ours.into()))
    }

    /// Begins to read it.
    ///
    /// # Errors
    /// Why it is no record.
    pub(super) fn reader(&self) -> Result<Opened, ReadError> {
        let input: Box<dyn BufRead + Send> = match self {
            Self::File(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                Box::new(BufReader::new(file))
            }
            Self::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        Reader::new(input)
    }

    /// Reads it once, showing each look to `saw`, and chooses a process: that of `pid`, or the one with most memory.
    ///
    /// # Errors
    /// When it cannot be read, or has no such process.
    pub(super) fn choose(
        &self,
        pid: Option<u32>,
        mut saw: impl FnMut(&Opened, usize),
    ) -> Result<(Chosen, Opened), ReadError> {
        let mut reader = self.reader()?;
        // Looks, and most bytes in memory, of each process.
        let mut all: Vec<(u64, u64)> = Vec::new();
        while let Some(event) = reader.next()? {
            match event {
                Event::Process(_) => all.push((0, 0)),
                Event::Look(look) => {
                    if let Some((looks, most)) = all.get_mut(look.process) {
                        *looks += 1;
                        *most = (*most).max(reader.processes()[look.process].memory.bytes().0);
                    }
                    saw(&reader, look.process);
                }
                Event::Mappings(_) | Event::Ended(_) => {}
            }
        }
        let is_meant = |number: usize| pid.is_none_or(|pid| reader.processes()[number].process.pid == pid);
        let found = all.iter().enumerate().filter(|(number, (looks, _))| *looks > 0 && is_meant(*number));
        let Some((process, (looks, _))) = found.max_by_key(|(_, (_, most))| *most) else {
            let why = match (pid, reader.cut()) {
                (Some(pid), _) => format!("as far as process {pid} is concerned"),
                (None, Some(cut)) => cut.to_owned(),
                (None, None) => "as etmem record was ended before".to_owned(),
            };
            return Err(ReadError::Empty(why));
        };
        Ok((Chosen { process, looks: *looks }, reader))
    }
}
