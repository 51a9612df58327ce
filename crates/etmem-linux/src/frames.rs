//! Which pages of a process are in memory, in which frames of the machine, and which of them are huge:
//! `/proc/PID/pagemap` and `/proc/kpageflags` (`Documentation/admin-guide/mm/pagemap.rst`).

use crate::process::memory_files::memory_file;
use crate::process::stat::{means_gone, process_error};
use crate::root::ProcRoot;
use crate::small_file;
use crate::unavailable::Unavailable;
use etmem_core::address::{PAGE_SIZE, PAGES_PER_BLOCK};
use etmem_core::kernel::process::{Pid, ProcessError};
use std::fs::File;
use std::io;

/// What a program needs for the kernel to show it frame numbers.
const CAPABILITIES: &str = "CAP_SYS_ADMIN";

/// Of an entry of `pagemap`: in memory.
pub(crate) const PRESENT: u64 = 1 << 63;
/// In swap.
pub(crate) const SWAPPED: u64 = 1 << 62;
/// The frame of such an entry.
pub(crate) const FRAME: u64 = (1 << 55) - 1;

/// Flags of a frame: the first or another page of a larger one, and of the huge page pool
/// (`include/uapi/linux/kernel-page-flags.h`).
const COMPOUND_HEAD: u64 = 1 << 15;
const COMPOUND_TAIL: u64 = 1 << 16;
const HUGE: u64 = 1 << 17;

/// A number for each page of a block.
pub(crate) type Words = [u64; PAGES_PER_BLOCK];

/// The frames of the whole machine.
#[derive(Debug)]
pub(crate) struct MachineFrames {
    flags: File,
}

/// The frames of one process's memory. It belongs to the memory that the process has when this is made.
#[derive(Debug)]
pub(crate) struct Frames {
    pagemap: File,
}

/// How a block of address space is backed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Nothing of it is in memory.
    Nothing,
    /// Base pages; their frames are in the buffer, 0 where there is none.
    Pages,
    /// One huge page: its first frame, and whether it is of the huge page pool.
    Huge { frame: u64, from_pool: bool },
}

impl MachineFrames {
    /// Opens the kernel's list of all frames.
    ///
    /// # Errors
    /// Says what is missing.
    pub(crate) fn open(proc: &ProcRoot) -> Result<Self, Unavailable> {
        let path = proc.machine("kpageflags");
        match File::open(&path) {
            Ok(flags) => Ok(Self { flags }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Unavailable::NotBuilt { path, option: "CONFIG_PROC_PAGE_MONITOR" })
            }
            Err(error) => Err(Unavailable::from_io(path.display().to_string(), &error, CAPABILITIES)),
        }
    }

    /// Whether the frames from `first` on, as many as a block has, are one huge page, and of the pool.
    fn huge(&self, first: u64) -> io::Result<Option<bool>> {
        let flags = words(&self.flags, first)?;
        let is_part = |flags: &u64| flags & COMPOUND_TAIL != 0;
        let is_huge = (flags[0] & (COMPOUND_HEAD | COMPOUND_TAIL) != 0) && flags[1..].iter().all(is_part);
        Ok(is_huge.then_some(flags[0] & HUGE != 0))
    }
}

impl Frames {
    /// Those of the process that now has the number `pid`.
    ///
    /// # Errors
    /// When it is gone or the kernel refuses.
    pub(crate) fn open(proc: &ProcRoot, pid: Pid) -> Result<Self, ProcessError> {
        let path = memory_file(proc, pid, "pagemap");
        let call = path.display().to_string();
        Ok(Self { pagemap: File::open(path).map_err(|error| process_error(call, &error))? })
    }

    /// How the block that starts at `start` is backed; the frames of its base pages into `frames`.
    ///
    /// # Errors
    /// When the process is gone, or the kernel keeps frames to itself.
    pub(crate) fn block(
        &self,
        machine: &MachineFrames,
        start: u64,
        frames: &mut Words,
    ) -> Result<Backing, ProcessError> {
        let failed = |error: io::Error| {
            if means_gone(&error) { ProcessError::Exited } else { process_error("reading pagemap", &error) }
        };
        *frames = words(&self.pagemap, start / PAGE_SIZE).map_err(failed)?;
        let mut present = 0;
        for frame in &mut *frames {
            if *frame & PRESENT != 0 {
                present += 1;
                *frame &= FRAME;
                if *frame == 0 {
                    let reason = format!("they are hidden; run as root, or with {CAPABILITIES}");
                    return Err(ProcessError::refused("reading page frames from pagemap", reason));
                }
            } else {
                *frame = 0;
            }
        }
        if present == 0 {
            return Ok(Backing::Nothing);
        }
        let first = frames[0];
        let whole = present == PAGES_PER_BLOCK && first.is_multiple_of(PAGES_PER_BLOCK as u64);
        if whole && (first..).zip(frames.iter()).all(|(want, frame)| want == *frame) {
            let refused = |error: io::Error| ProcessError::refused("reading kpageflags", error);
            if let Some(from_pool) = machine.huge(first).map_err(refused)? {
                return Ok(Backing::Huge { frame: first, from_pool });
            }
        }
        Ok(Backing::Pages)
    }
}

/// A block's worth of numbers of `file`, from the number `first` on; 0 past its end.
fn words(file: &File, first: u64) -> io::Result<Words> {
    let mut words = [0; PAGES_PER_BLOCK];
    small_file::read_words(file, first, &mut words)?;
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::address::BLOCK_SIZE;
    use std::fs;

    /// A machine whose process 7 has these frames (0: none) in its first blocks, and these flags of frames.
    fn machine(frames: &[u64], flags: &[u64]) -> (tempfile::TempDir, MachineFrames, Frames) {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        fs::create_dir(tree.path().join("7")).unwrap();
        let bytes =
            |words: &mut dyn Iterator<Item = u64>| words.flat_map(u64::to_ne_bytes).collect::<Vec<u8>>();
        let entries =
            &mut frames.iter().map(|frame| if *frame == 0 { 1 << 62 | 9 } else { PRESENT | 1 << 61 | frame });
        fs::write(tree.path().join("7/pagemap"), bytes(entries)).unwrap();
        fs::write(tree.path().join("kpageflags"), bytes(&mut flags.iter().copied())).unwrap();
        let machine = MachineFrames::open(&proc).unwrap();
        let frames = Frames::open(&proc, Pid::new(7).unwrap()).unwrap();
        (tree, machine, frames)
    }

    #[test]
    fn huge_pages_and_others() {
        // Blocks: a huge page of the pool, a transparent one, neighbouring base pages, a part, nothing.
        let mut frames: Vec<u64> = (512..2048).collect();
        frames.extend((0..512).map(|page| if page % 2 == 0 { 3000 + page } else { 0 }));
        frames.extend([0; 512]);
        let mut flags = vec![0; 4096];
        flags[512..1536].fill(COMPOUND_TAIL);
        flags[512] = COMPOUND_HEAD | HUGE;
        flags[1024] = COMPOUND_HEAD;
        let (_tree, machine, process) = machine(&frames, &flags);
        let mut out = [0; PAGES_PER_BLOCK];
        let mut look = |block: u64| (process.block(&machine, block * BLOCK_SIZE, &mut out).unwrap(), out);
        assert_eq!(look(0).0, Backing::Huge { frame: 512, from_pool: true });
        assert_eq!(look(1).0, Backing::Huge { frame: 1024, from_pool: false });
        let (backing, seen) = look(2);
        assert_eq!((backing, &seen[..]), (Backing::Pages, &frames[1024..1536]));
        let (backing, seen) = look(3);
        assert_eq!((backing, &seen[..]), (Backing::Pages, &frames[1536..2048]));
        assert_eq!(look(4).0, Backing::Nothing);
        assert_eq!(look(9).0, Backing::Nothing, "past the end of the file");
    }

    #[test]
    fn hidden_frames_and_missing_files() {
        let (tree, machine, _) = machine(&[], &[]);
        fs::write(tree.path().join("7/pagemap"), PRESENT.to_ne_bytes()).unwrap();
        let proc = ProcRoot::new(tree.path());
        let process = Frames::open(&proc, Pid::new(7).unwrap()).unwrap();
        let hidden = process.block(&machine, 0, &mut [0; PAGES_PER_BLOCK]).unwrap_err().to_string();
        assert!(hidden.contains("CAP_SYS_ADMIN"), "{hidden}");
        assert_eq!(Frames::open(&proc, Pid::new(8).unwrap()).map(drop), Err(ProcessError::Exited));
        let nowhere = MachineFrames::open(&ProcRoot::new("/nonexistent")).unwrap_err().to_string();
        assert!(nowhere.contains("CONFIG_PROC_PAGE_MONITOR"), "{nowhere}");
    }
}
