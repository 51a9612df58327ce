//! A mover whose pages go past zswap, to the disk behind it: while it pages out, the `memory.zswap.max` of the process's group is 0.
//!
//! ```text
//! record what it is -> 0 -> the mover beneath pages out -> what it was -> the record goes
//! ```
//!
//! What else is paged out of the group in that moment goes the same way. Where zswap is off, all goes to the disk anyway.

use crate::groups;
use crate::lasting::{Kept, Setting, SettingJournal, end};
use crate::root::Roots;
use crate::small_file;
use crate::zswap_max::{ZswapMax, zswap_is_on};
use etmem_core::address::AddressRange;
use etmem_core::kernel::mover::{Moved, PageMover, Residence, SwapOut};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Makes movers.
#[derive(Debug)]
pub struct PastZswap {
    beneath: Arc<dyn PageMover>,
    roots: Roots,
    journal: Arc<dyn SettingJournal>,
}

impl PastZswap {
    /// The mover `beneath`, past the zswap of the machine at `roots`; what is set there is written to `journal` first.
    #[must_use]
    pub fn new(beneath: Arc<dyn PageMover>, roots: Roots, journal: Arc<dyn SettingJournal>) -> Self {
        Self { beneath, roots, journal }
    }
}

impl PageMover for PastZswap {
    fn name(&self) -> &'static str {
        self.beneath.name()
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        let beneath = self.beneath.attach(process)?;
        if !zswap_is_on(&self.roots.sys) {
            return Ok(beneath);
        }
        let none = "it is in no control group of the second version, so that zswap cannot be passed (disk_directly=yes)";
        let folder = groups::folder_of(&self.roots, process)?;
        let folder = folder.ok_or_else(|| ProcessError::refused("memory.zswap.max", none))?;
        let gate = Gate { folder, journal: Arc::clone(&self.journal) };
        // What is missing is said before the first page is chosen.
        gate.max()?;
        let writes = gate.folder.join("memory.zswap.writeback");
        if small_file::read(&writes).is_ok_and(|text| text.starts_with(b"0")) {
            let reason =
                "it is 0, so that no page of its control group may go to the disk (disk_directly=yes)";
            return Err(ProcessError::refused(writes.display(), reason));
        }
        Ok(Box::new(Gated { beneath, gate }))
    }
}

/// The way of a group to zswap.
#[derive(Debug)]
struct Gate {
    folder: PathBuf,
    journal: Arc<dyn SettingJournal>,
}

impl Gate {
    fn max(&self) -> Result<ZswapMax, ProcessError> {
        ZswapMax::of(&self.folder).map_err(|error| self.refused(error))
    }

    fn refused(&self, error: impl std::fmt::Display) -> ProcessError {
        let file = self.folder.join("memory.zswap.max");
        ProcessError::refused(file.display(), format!("{error}; disk_directly=yes needs this file"))
    }

    /// Closes it until what is returned is dropped.
    fn close(&self) -> Result<Closed, ProcessError> {
        let refused = |error| self.refused(error);
        let mut closed = Closed {
            // Another task closes it for its own pages, and opens it again.
            _lock: {
                let file = File::open(self.folder.join("memory.zswap.max")).map_err(refused)?;
                flock(&file, FlockOperation::LockExclusive).map_err(|error| self.refused(error))?;
                file
            },
            set: None,
        };
        let max = self.max()?;
        if !max.is_closed() {
            let record = self.journal.record(&Setting::ZswapMax(max.clone())).map_err(refused)?;
            // From here on dropping puts it back.
            let (max, _) = closed.set.insert((max, record));
            max.close().map_err(refused)?;
        }
        Ok(closed)
    }
}

/// A gate that is closed.
#[derive(Debug)]
struct Closed {
    _lock: File,
    set: Option<(ZswapMax, Box<dyn Kept>)>,
}

impl Drop for Closed {
    fn drop(&mut self) {
        let Some((max, record)) = self.set.take() else { return };
        end(record, max.file().display(), max.put_back());
    }
}

#[derive(Debug)]
struct Gated {
    beneath: Box<dyn SwapOut>,
    gate: Gate,
}

impl SwapOut for Gated {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        let _closed = self.gate.close()?;
        self.beneath.swap_out(ranges)
    }

    fn swap_out_pages(
        &mut self,
        ranges: &[AddressRange],
        huge: &[AddressRange],
    ) -> Result<Moved, ProcessError> {
        let _closed = self.gate.close()?;
        self.beneath.swap_out_pages(ranges, huge)
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        self.beneath.residence(ranges, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{ProcRoot, SysRoot};
    use etmem_core::kernel::process::Pid;
    use parking_lot::Mutex;
    use std::fs;
    use std::io;

    fn process() -> ProcessId {
        ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 }
    }

    /// A machine, a mover and a journal, which note what `memory.zswap.max` says when they are called.
    #[derive(Debug, Clone)]
    struct Notes {
        file: PathBuf,
        said: Arc<Mutex<Vec<String>>>,
        refuses: bool,
    }

    impl Notes {
        fn note(&self, who: &str) {
            let max = fs::read_to_string(&self.file).unwrap_or_default();
            self.said.lock().push(format!("{who} {}", max.trim()));
        }
    }

    /// Gone when it is dropped.
    #[derive(Debug)]
    struct Line(Notes);

    impl Drop for Line {
        fn drop(&mut self) {
            self.0.note("forgotten");
        }
    }

    impl SettingJournal for Notes {
        fn record(&self, setting: &Setting) -> io::Result<Box<dyn Kept>> {
            assert!(setting.line().starts_with("zswap-max "), "{}", setting.line());
            self.note("recorded");
            Ok(Box::new(Line(self.clone())))
        }
    }

    impl PageMover for Notes {
        fn name(&self) -> &'static str {
            "notes"
        }

        fn attach(&self, _: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
            Ok(Box::new(self.clone()))
        }
    }

    impl SwapOut for Notes {
        fn swap_out(&mut self, _: &[AddressRange]) -> Result<Moved, ProcessError> {
            self.note("paged out");
            if self.refuses { Err(ProcessError::Exited) } else { Ok(Moved::default()) }
        }

        fn residence(&mut self, _: &[AddressRange], _: &mut Vec<Residence>) -> Result<bool, ProcessError> {
            Ok(false)
        }
    }

    struct Stand {
        tree: tempfile::TempDir,
        notes: Notes,
        mover: PastZswap,
    }

    fn stand(max: &str) -> Stand {
        let tree = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("7/stat", "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n");
        write("7/cgroup", "0::/db\n");
        write("module/zswap/parameters/enabled", "Y\n");
        write("fs/cgroup/cgroup.controllers", "memory\n");
        write("fs/cgroup/db/memory.zswap.max", max);
        let file = tree.path().join("fs/cgroup/db/memory.zswap.max");
        let notes = Notes { file, said: Arc::default(), refuses: false };
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        let mover = PastZswap::new(Arc::new(notes.clone()), roots, Arc::new(notes.clone()));
        Stand { tree, notes, mover }
    }

    fn said(stand: &Stand) -> Vec<String> {
        let _ = stand.mover.attach(process()).unwrap().swap_out(&[]);
        stand.notes.said.lock().clone()
    }

    #[test]
    fn zswap_is_passed_while_pages_leave_and_at_no_other_time() {
        for max in ["max", "4096"] {
            let stand = stand(max);
            let want = [format!("recorded {max}"), "paged out 0".to_owned(), format!("forgotten {max}")];
            assert_eq!(said(&stand), want);
            assert_eq!(stand.mover.name(), "notes");
        }
        let mut refusing = stand("max");
        refusing.mover.beneath = Arc::new(Notes { refuses: true, ..refusing.notes.clone() });
        assert_eq!(said(&refusing).last().unwrap(), "forgotten max");
    }

    #[test]
    fn where_it_is_closed_or_off_nothing_is_set() {
        assert_eq!(said(&stand("0")), ["paged out 0"]);
        let off = stand("max");
        fs::write(off.tree.path().join("module/zswap/parameters/enabled"), "N\n").unwrap();
        assert_eq!(said(&off), ["paged out max"]);
    }

    #[test]
    fn without_the_file_nothing_leaves() {
        let stand = stand("max");
        fs::remove_file(&stand.notes.file).unwrap();
        let refused = stand.mover.attach(process()).unwrap_err().to_string();
        assert!(refused.contains("memory.zswap.max") && refused.contains("disk_directly"), "{refused}");
        fs::write(&stand.notes.file, "max\n").unwrap();
        fs::write(stand.notes.file.with_file_name("memory.zswap.writeback"), "0\n").unwrap();
        let refused = stand.mover.attach(process()).unwrap_err().to_string();
        assert!(refused.contains("memory.zswap.writeback"), "{refused}");
        fs::write(stand.tree.path().join("7/cgroup"), "1:memory:/db\n").unwrap();
        let refused = stand.mover.attach(process()).unwrap_err().to_string();
        assert!(refused.contains("no control group"), "{refused}");
        assert!(stand.notes.said.lock().is_empty());
    }
}
