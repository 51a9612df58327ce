//! Watching one process.

use super::flags::{mapping_flags, scan_flags};
use super::walk::{BUFFER_BYTES, IdlePages, WalkEnd, walk};
use crate::module::IDLE_PAGES;
use crate::process::address_space::AddressSpace;
use crate::sys::module::{ADD_MAPPING_FLAGS, ADD_SCAN_FLAGS, REMOVE_MAPPING_FLAGS, REMOVE_SCAN_FLAGS};
use etmem_core::address::AddressRange;
use etmem_core::idle_pages::PageSizes;
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, Block};
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::wishes::ScanWishes;
use std::fmt;

/// Opens the file of the process.
pub(super) type Open<F> = Box<dyn Fn() -> Result<F, ProcessError> + Send>;

/// Watches one process, and the memory that it had when this was made.
///
/// The file is opened for each walk and closed after it: the module clears accessed bits, but lets processors keep the
/// translations that they have cached until the file is closed. While it is open, a page that is touched again does not show
/// it.
pub(super) struct EtmemWatch<F: IdlePages> {
    open: Open<F>,
    path: String,
    space: AddressSpace,
    sizes: PageSizes,
    wishes: ScanWishes,
    buffer: Vec<u8>,
    /// What the last `check` read, and thereby cleared; empty once that window has begun.
    cleared: Vec<AddressRange>,
    skipped: u64,
}

impl<F: IdlePages> fmt::Debug for EtmemWatch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtmemWatch").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The open file, with the flags that a task wishes.
#[derive(Debug)]
struct Flagged<'a, F: IdlePages> {
    file: F,
    path: &'a str,
    /// Those that were set, to be taken back.
    wishes: ScanWishes,
}

/// Takes what is to be forgotten.
struct Forgotten;

impl AccessSink for Forgotten {
    fn block(&mut self, _: u64, _: Block<'_>) {}

    fn equal_blocks(&mut self, _: u64, _: u64, _: Access) {}

    fn equal_huge_blocks(&mut self, _: u64, _: u64, _: Access) {}
}

impl<F: IdlePages> EtmemWatch<F> {
    /// Watches the process whose file, which is at `path`, `open` opens.
    ///
    /// # Errors
    /// When the kernel does not do what `wishes` need.
    pub(super) fn new(
        open: Open<F>,
        path: String,
        space: AddressSpace,
        sizes: PageSizes,
        wishes: ScanWishes,
    ) -> Result<Self, ProcessError> {
        let watch = Self {
            open,
            path,
            space,
            sizes,
            wishes,
            buffer: vec![0; BUFFER_BYTES],
            cleared: Vec::new(),
            skipped: 0,
        };
        Flagged::new((watch.open)()?, &watch.path, wishes)?;
        Ok(watch)
    }

    fn walk(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.cleared.clear();
        let opened = (self.open)().and_then(|file| Flagged::new(file, &self.path, self.wishes));
        // Should another process have the number by now, nothing is looked at.
        self.space.check()?;
        let walked = walk(&opened?.file, self.sizes, ranges, &mut self.buffer, sink);
        // First of all: a process that is gone explains everything else.
        self.space.check()?;
        let skipped = walked.map_err(|end| {
            let call = format!("{}, read from {:#x}", self.path, end.address());
            match end {
                WalkEnd::Read { error, .. } => IDLE_PAGES.error(call, &error),
                WalkEnd::Stream { .. } | WalkEnd::StoodStill { .. } | WalkEnd::Astray { .. } => {
                    ProcessError::Refused { call, reason: format!("not as the module writes it: {end}") }
                }
            }
        })?;
        if skipped > self.skipped {
            tracing::warn!("{}: {skipped} pages are not aligned to their size and left out", self.path);
            self.skipped = skipped;
        }
        Ok(())
    }
}

impl<F: IdlePages> AccessProbe for EtmemWatch<F> {
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        if !ranges.is_empty() && self.cleared == ranges {
            // The check that came right before has cleared them: its window ended where this one begins.
            self.cleared.clear();
            return Ok(());
        }
        self.walk(ranges, &mut Forgotten)
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.walk(ranges, sink)?;
        self.cleared.extend_from_slice(ranges);
        Ok(())
    }

    fn arms_by_range(&self) -> bool {
        true
    }
}

impl<'a, F: IdlePages> Flagged<'a, F> {
    /// Sets the flags that `wishes` need.
    fn new(file: F, path: &'a str, wishes: ScanWishes) -> Result<Self, ProcessError> {
        let mut flagged = Self { file, path, wishes: ScanWishes::default() };
        let flags = scan_flags(wishes);
        if flags != 0 {
            let call = || format!("{path}: scan flags {flags:#o}");
            flagged.file.request(ADD_SCAN_FLAGS, flags).map_err(|error| IDLE_PAGES.error(call(), &error))?;
            flagged.wishes = ScanWishes { only_marked: false, ..wishes };
        }
        let flags = mapping_flags(wishes);
        if flags != 0 {
            let call = || format!("{path}: only mappings marked by MADV_SWAPFLAG (swap_flag=yes)");
            flagged.file.request(ADD_MAPPING_FLAGS, flags).map_err(|error| {
                match IDLE_PAGES.error(call(), &error) {
                    ProcessError::Refused { call, reason } => ProcessError::Refused {
                        call,
                        reason: format!(
                            "{reason}; or leave swap_flag out and name the mappings by vm_flags="
                        ),
                    },
                    gone @ (ProcessError::Exited | ProcessError::Replaced) => gone,
                }
            })?;
            flagged.wishes = wishes;
        }
        Ok(flagged)
    }
}

impl<F: IdlePages> Drop for Flagged<'_, F> {
    fn drop(&mut self) {
        // What was set is taken back; where the process is gone, so are the flags.
        for (ask, flags) in
            [(REMOVE_SCAN_FLAGS, scan_flags(self.wishes)), (REMOVE_MAPPING_FLAGS, mapping_flags(self.wishes))]
        {
            if flags != 0
                && let Err(error) = self.file.request(ask, flags)
            {
                tracing::debug!("{}: taking flags back: {error}", self.path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::stat::Stat;
    use crate::root::ProcRoot;
    use etmem_core::kernel::process::Pid;
    use parking_lot::Mutex;
    use std::io;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const BASE: u64 = 0x7000_0000_0000;
    const RANGE: [AddressRange; 1] = [AddressRange::new(BASE, BASE + 64 * 4096)];

    /// A module that reports 64 pages, written since the last read, and records what it was asked.
    #[derive(Debug, Default, Clone)]
    struct Module {
        opened: Arc<AtomicUsize>,
        reads: Arc<AtomicUsize>,
        /// What the next reads answer instead.
        fails: Arc<Mutex<Vec<i32>>>,
        requests: Arc<Mutex<Vec<(libc::Ioctl, u32)>>>,
        unknown: Option<libc::Ioctl>,
    }

    impl IdlePages for Module {
        fn read_from(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            if let Some(number) = self.fails.lock().pop() {
                return Err(io::Error::from_raw_os_error(number));
            }
            if address >= RANGE[0].end {
                return Ok(0);
            }
            let mut stream = vec![0xA0];
            stream.extend(BASE.to_be_bytes());
            stream.extend([0x3F, 0x3F, 0x3F, 0x3F, 0x34]);
            buffer[..stream.len()].copy_from_slice(&stream);
            Ok(stream.len())
        }

        fn request(&self, request: libc::Ioctl, flags: u32) -> io::Result<()> {
            self.requests.lock().push((request, flags));
            if self.unknown == Some(request) {
                Err(io::Error::from_raw_os_error(libc::ENOTTY))
            } else {
                Ok(())
            }
        }
    }

    fn watch(module: &Module, wishes: ScanWishes) -> Result<EtmemWatch<Module>, ProcessError> {
        watch_process(std::process::id(), module, wishes)
    }

    fn watch_process(
        pid: u32,
        module: &Module,
        wishes: ScanWishes,
    ) -> Result<EtmemWatch<Module>, ProcessError> {
        let proc = ProcRoot::default();
        let stat = std::fs::read(proc.process(Pid::new(pid).unwrap(), "stat")).unwrap();
        let space = AddressSpace::open(&proc, Stat::parse(&stat).unwrap().id())?;
        let module = module.clone();
        let open = Box::new(move || {
            module.opened.fetch_add(1, Ordering::Relaxed);
            Ok(module.clone())
        });
        EtmemWatch::new(open, "idle_pages".into(), space, PageSizes::FOUR_KIB, wishes)
    }

    #[test]
    fn nothing_is_believed_of_a_process_that_is_gone() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let module = Module::default();
        let mut watch = watch_process(child.id(), &module, ScanWishes::default()).unwrap();
        watch.check(&RANGE, &mut Forgotten).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(watch.check(&RANGE, &mut Forgotten), Err(ProcessError::Exited));
        // Nor does another reason matter then.
        module.fails.lock().push(libc::EFAULT);
        assert_eq!(watch.check(&RANGE, &mut Forgotten), Err(ProcessError::Exited));
    }

    #[derive(Default)]
    struct Written(u64);

    impl AccessSink for Written {
        fn block(&mut self, _: u64, block: Block<'_>) {
            if let Block::Pages(pages) = block {
                self.0 += pages.iter().filter(|page| **page == Access::WRITTEN).count() as u64;
            }
        }
    }

    #[test]
    fn a_check_begins_the_next_window() {
        let module = Module::default();
        let mut watch = watch(&module, ScanWishes::default()).unwrap();
        let reads = |step: &str, want| assert_eq!(module.reads.swap(0, Ordering::Relaxed), want, "{step}");
        watch.prepare(&RANGE).unwrap();
        reads("the first window is begun by reading", 1);
        let mut written = Written::default();
        watch.check(&RANGE, &mut written).unwrap();
        assert_eq!(written.0, 64);
        reads("a check reads once", 1);
        watch.prepare(&RANGE).unwrap();
        reads("it has cleared all there is to clear", 0);
        watch.prepare(&RANGE).unwrap();
        reads("but not for a window after that", 1);
        watch.check(&RANGE, &mut written).unwrap();
        reads("a check reads once", 1);
        watch.prepare(&[AddressRange::new(BASE, BASE + 4096)]).unwrap();
        reads("nor for other ranges", 1);
        assert_eq!(module.opened.load(Ordering::Relaxed), 1 + 5, "to begin with, and for each walk");
        module.fails.lock().push(libc::EIO);
        watch.check(&RANGE, &mut written).unwrap_err();
        reads("a check that fails", 1);
        watch.prepare(&RANGE).unwrap();
        reads("has cleared nothing", 1);
    }

    #[test]
    fn refusals_end_the_scan_and_say_where() {
        let module = Module::default();
        let mut watch = watch(&module, ScanWishes::default()).unwrap();
        for (number, want) in [
            (libc::ESRCH, "exited"),
            (libc::EFAULT, "idle_pages, read from 0x700000000000: Bad address"),
            (libc::EBUSY, "another program"),
            (libc::ENODEV, "modprobe etmem_scan"),
        ] {
            module.fails.lock().push(number);
            let text = watch.check(&RANGE, &mut Forgotten).unwrap_err().to_string();
            assert!(text.contains(want), "{text}");
            watch.check(&RANGE, &mut Forgotten).unwrap();
        }
    }

    #[test]
    fn flags_are_set_and_taken_back() {
        let all = ScanWishes { only_marked: true, as_huge: false, ignore_host: true };
        let module = Module::default();
        drop(watch(&module, all).unwrap());
        let ignore = 0o200_000_000;
        let want = [
            (ADD_SCAN_FLAGS, ignore),
            (ADD_MAPPING_FLAGS, 0x1000),
            (REMOVE_SCAN_FLAGS, ignore),
            (REMOVE_MAPPING_FLAGS, 0x1000),
        ];
        assert_eq!(std::mem::take(&mut *module.requests.lock()), want);
        // A module that knows no marks: what was set before is taken back, and the error says what to do.
        let module = Module { unknown: Some(ADD_MAPPING_FLAGS), ..Module::default() };
        let text = watch(&module, all).unwrap_err().to_string();
        assert!(text.contains("swap_flag=yes") && text.contains("vm_flags="), "{text}");
        assert_eq!(std::mem::take(&mut *module.requests.lock()), want[..3]);
        drop(watch(&module, ScanWishes::default()).unwrap());
        assert_eq!(std::mem::take(&mut *module.requests.lock()), []);
    }
}
