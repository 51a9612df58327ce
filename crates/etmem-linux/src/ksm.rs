//! Merging of equal pages by this machine's kernel (`/sys/kernel/mm/ksm`), for one etmemd at a time.
//!
//! ```text
//! claim (a lock on the folder; the settings are noted) -> run (set) -> ... -> the last run ends (settings restored) -> unlock
//! ```
//!
//! The settings are the machine's. They are noted when the first task claims them, and a record of them is written before any is
//! changed. While KSM runs for another's sake, nothing is set at all.

use crate::figures::counter;
use crate::process::memory_files::memory_file;
use crate::process::stat::{check_alive, process_error};
use crate::root::{ProcRoot, Roots, SysRoot};
use crate::small_file;
use crate::sys::folder_lock;
use crate::sys::machine::page_bytes;
use crate::sys::merging;
use crate::unavailable::Unavailable;
use etmem_core::kernel::memory::SystemMemory;
use etmem_core::kernel::merging::{Merging, MergingRun, MergingState, Mode, ProcessMerging, Speed, has_room};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tracing::warn;

/// The settings that a run changes, in the order in which they are restored: the number of pages can be written only while no advisor
/// chooses it (`pages_to_scan_store`, mm/ksm.c), and an advisor that is switched off resets it.
const SETTINGS: [&str; 5] =
    [ADVISOR, "advisor_max_cpu", "advisor_target_scan_time", "pages_to_scan", "sleep_millisecs"];
const ADVISOR: &str = "advisor_mode";
const PAGES: &str = "pages_to_scan";
const RUN: &str = "run";

/// The value of [`RUN`] that separates what is merged.
const SEPARATE: &str = "2";

/// The words of [`ADVISOR`].
const BY_TIME: &str = "scan-time";
const NO_ADVISOR: &str = "none";

/// Bytes that the kernel takes for each page that it knows of a process (`struct ksm_rmap_item`), for kernels that do not say what a
/// process costs (before 6.4).
const ITEM: u64 = 64;

/// The folder of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder(PathBuf);

impl Folder {
    fn of(sys: &SysRoot) -> Self {
        Self(sys.ksm())
    }

    /// What a file holds, without the line end; of a choice, the word that is chosen.
    fn read(&self, file: &str) -> io::Result<String> {
        let text = small_file::read_to_string(&self.0.join(file))?;
        let chosen = text.split_once('[').and_then(|(_, rest)| Some(rest.split_once(']')?.0));
        Ok(chosen.unwrap_or(&text).trim().to_owned())
    }

    fn number(&self, file: &str) -> Result<u64, ProcessError> {
        let refused = |reason: String| ProcessError::refused(self.0.join(file).display(), reason);
        let text = self.read(file).map_err(|error| refused(error.to_string()))?;
        text.parse().map_err(|_| refused(format!("{text:?} is not a number")))
    }

    fn write(&self, file: &str, value: impl Display) -> Result<(), ProcessError> {
        let path = self.0.join(file);
        fs::write(&path, value.to_string())
            .map_err(|error| ProcessError::refused(format!("writing {value} to {}", path.display()), error))
    }

    fn mode(&self) -> Result<Mode, ProcessError> {
        match self.number(RUN)? {
            0 => Ok(Mode::Stopped),
            1 => Ok(Mode::Running),
            _ => Ok(Mode::Separated),
        }
    }

    fn has_advisor(&self) -> bool {
        self.0.join(ADVISOR).exists()
    }

    /// Sets what `speed` asks for.
    fn set(&self, speed: Speed) -> Result<(), ProcessError> {
        match speed {
            Speed::Advisor { processor_percent, full_scan } => {
                self.write("advisor_max_cpu", processor_percent)?;
                self.write("advisor_target_scan_time", full_scan.as_secs())?;
                self.write(ADVISOR, BY_TIME)
            }
            Speed::Pages { pages, rest } => {
                if self.has_advisor() {
                    self.write(ADVISOR, NO_ADVISOR)?;
                }
                self.write(PAGES, pages)?;
                self.write("sleep_millisecs", rest.as_millis())
            }
        }
    }
}

/// The settings before, by file; `run` among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before(BTreeMap<String, String>);

impl Before {
    fn note(folder: &Folder) -> Result<Self, ProcessError> {
        let mut found = BTreeMap::new();
        for file in SETTINGS.into_iter().chain([RUN]) {
            match folder.read(file) {
                Ok(value) => drop(found.insert(file.to_owned(), value)),
                // Of a later kernel.
                Err(error) if error.kind() == io::ErrorKind::NotFound && file != RUN => {}
                Err(error) => return Err(ProcessError::refused(folder.0.join(file).display(), error)),
            }
        }
        Ok(Self(found))
    }

    /// As a record has it: `file=value` each, separated by spaces.
    fn line(&self) -> String {
        self.0.iter().map(|(file, value)| format!("{file}={value}")).collect::<Vec<_>>().join(" ")
    }

    /// What [`line`](Self::line) wrote; `None` for another text.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let pair = |word: &str| {
            let (file, value) = word.split_once('=')?;
            let known = SETTINGS.into_iter().chain([RUN]).any(|known| known == file);
            (known && !value.is_empty()).then(|| (file.to_owned(), value.to_owned()))
        };
        let found: BTreeMap<_, _> = line.split_whitespace().map(pair).collect::<Option<_>>()?;
        found.contains_key(RUN).then_some(Self(found))
    }

    fn runs(&self) -> bool {
        self.0.get(RUN).is_some_and(|run| run == "1")
    }

    /// Restores them; `run` only if it is what a run of ours sets, as what another program has written since is to stay. All are tried.
    /// `separate`: what is merged is separated first.
    fn restore(
        &self,
        folder: &Folder,
        separate: bool,
        room: impl Fn(u64) -> bool,
    ) -> Result<(), ProcessError> {
        let mut failed = None;
        let advised = self.0.get(ADVISOR).is_some_and(|mode| mode != NO_ADVISOR);
        for file in SETTINGS.into_iter().filter(|file| !(advised && *file == PAGES)) {
            if let Some(value) = self.0.get(file)
                && let Err(error) = folder.write(file, value)
            {
                failed.get_or_insert(error);
            }
        }
        let run = match (folder.mode(), self.0.get(RUN)) {
            (Ok(Mode::Running), Some(run)) if separate => {
                folder.run_again(SEPARATE, &room).and_then(|()| folder.run_again(run, &room))
            }
            (Ok(Mode::Running), Some(run)) => folder.run_again(run, &room),
            (Ok(_), _) | (_, None) => Ok(()),
            (Err(error), _) => Err(error),
        };
        failed.map_or(run, Err)
    }
}

impl Folder {
    /// Writes `value` to `run`. 2 separates what is merged, at once: that is left out if memory has no room for it.
    fn run_again(&self, value: &str, room: &impl Fn(u64) -> bool) -> Result<(), ProcessError> {
        if value != SEPARATE {
            return self.write(RUN, value);
        }
        let sharing = self.number("pages_sharing")?.saturating_mul(page_bytes());
        if room(sharing) {
            return self.write(RUN, value);
        }
        warn!(
            "{}: 0 is written instead of 2: memory has no room for the {} MiB that are merged",
            self.0.join(RUN).display(),
            sharing >> 20
        );
        self.write(RUN, 0)
    }
}

/// Whether the machine at `proc` has room for `sharing` more bytes; no, if it does not say.
fn room_of(roots: &Roots, sharing: u64) -> bool {
    let memory = crate::memory::MachineMemory::new(roots).state();
    memory.is_ok_and(|memory| has_room(sharing, memory.available, memory.total))
}

/// KSM, held for this program until the last that holds this drops it.
#[derive(Debug)]
pub(crate) struct Claim {
    folder: Folder,
    roots: Roots,
    before: Before,
    runs: Mutex<Runs>,
    /// Dropped last.
    _lock: File,
}

/// The runs of all tasks, each with its speed.
#[derive(Debug, Default)]
struct Runs {
    speeds: BTreeMap<u64, Speed>,
    next: u64,
}

impl Runs {
    fn speed(&self) -> Option<Speed> {
        self.speeds.values().copied().reduce(Speed::slower)
    }
}

/// Which claim the tasks of this program share.
#[derive(Debug, Default)]
pub(crate) struct SharedKsm(Mutex<Weak<Claim>>);

impl SharedKsm {
    /// The claim of this program.
    ///
    /// # Errors
    /// What the machine lacks, or who has it.
    pub(crate) fn claim(&self, roots: &Roots) -> Result<MachineMerging, Unavailable> {
        let mut shared = self.0.lock();
        if let Some(claim) = shared.upgrade() {
            return Ok(MachineMerging(claim));
        }
        let claim = Arc::new(Claim::take(roots)?);
        *shared = Arc::downgrade(&claim);
        Ok(MachineMerging(claim))
    }
}

impl Claim {
    fn take(roots: &Roots) -> Result<Self, Unavailable> {
        let folder = Folder::of(&roots.sys);
        let run = folder.0.join(RUN);
        if !run.exists() {
            return Err(Unavailable::NotBuilt { path: run, option: "CONFIG_KSM" });
        }
        let failed = |error: &io::Error| {
            if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
                let reason = format!("{error}; the service needs ProtectKernelTunables=no, see docs/ksm.md");
                return Unavailable::refused(run.display(), reason);
            }
            Unavailable::from_io(run.display().to_string(), error, "root's right to write below /sys")
        };
        // Nothing is written: that would be a request.
        File::options().write(true).open(&run).map_err(|error| failed(&error))?;
        let lock = folder_lock::try_take(&folder.0).map_err(|error| failed(&error))?;
        let lock = lock.ok_or_else(|| Unavailable::Taken { what: "KSM", by: "another etmemd".to_owned() })?;
        let before =
            Before::note(&folder).map_err(|error| Unavailable::refused(folder.0.display(), error))?;
        Ok(Self { folder, roots: roots.clone(), before, runs: Mutex::default(), _lock: lock })
    }

    /// Ends the run with this number.
    fn end(&self, number: u64, separate: bool) -> Result<(), ProcessError> {
        let mut runs = self.runs.lock();
        if runs.speeds.remove(&number).is_none() {
            return Ok(());
        }
        if let Some(speed) = runs.speed() {
            return self.folder.set(speed);
        }
        self.before.restore(&self.folder, separate, |sharing| room_of(&self.roots, sharing))
    }
}

/// The merging of this machine, for a task.
#[derive(Debug, Clone)]
pub(crate) struct MachineMerging(Arc<Claim>);

impl Merging for MachineMerging {
    fn state(&self) -> Result<MergingState, ProcessError> {
        let Claim { folder, roots, .. } = &*self.0;
        let bytes = |file| folder.number(file).map(|pages| pages.saturating_mul(page_bytes()));
        let vmstat = small_file::read_to_string(&roots.proc.machine("vmstat")).unwrap_or_default();
        Ok(MergingState {
            mode: folder.mode()?,
            full_scans: folder.number("full_scans")?,
            shared: bytes("pages_shared")?,
            sharing: bytes("pages_sharing")?,
            copied: counter(&vmstat, "cow_ksm").map(|pages| pages.saturating_mul(page_bytes())),
            has_advisor: folder.has_advisor(),
        })
    }

    fn of(&self, process: ProcessId) -> Result<ProcessMerging, ProcessError> {
        let proc = &self.0.roots.proc;
        let path = memory_file(proc, process.pid, "ksm_stat");
        let text = match small_file::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_alive(proc, process)?;
                return Err(ProcessError::refused(
                    path.display(),
                    "not in this kernel; needs Linux 6.1 or later",
                ));
            }
            text => text.map_err(|error| process_error(path.display().to_string(), &error))?,
        };
        let pages = || merging_pages(proc, process, &text);
        let merging = of_text(&text, pages);
        check_alive(proc, process)?;
        Ok(merging)
    }

    fn run(&self, speed: Speed) -> Result<Option<Box<dyn MergingRun>>, ProcessError> {
        let claim = &self.0;
        if claim.before.runs() {
            return Ok(None);
        }
        let mut runs = claim.runs.lock();
        let number = runs.next;
        runs.next += 1;
        runs.speeds.insert(number, speed);
        let (first, speed) = (runs.speeds.len() == 1, runs.speed().unwrap_or(speed));
        let begin = || if first { claim.folder.write(RUN, 1) } else { Ok(()) };
        let set = claim.folder.set(speed).and_then(|()| begin());
        drop(runs);
        // If it failed, the run is dropped, and with it what it has set.
        let run = Run { claim: Arc::clone(claim), number };
        set.map(|()| Some(Box::new(run) as Box<dyn MergingRun>))
    }

    fn settings_before(&self) -> Option<String> {
        (!self.0.before.runs()).then(|| self.0.before.line())
    }
}

/// The pages that are merged, of a kernel that has a file of its own for them (5.18 to 6.3).
fn merging_pages(proc: &ProcRoot, process: ProcessId, text: &str) -> u64 {
    counter(text, "ksm_merging_pages").unwrap_or_else(|| {
        let path = memory_file(proc, process.pid, "ksm_merging_pages");
        small_file::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    })
}

/// What `text`, a `ksm_stat`, says; `pages` are those that are merged.
fn of_text(text: &str, pages: impl Fn() -> u64) -> ProcessMerging {
    let items = counter(text, "ksm_rmap_items").unwrap_or(0);
    let merged = (pages() + counter(text, "ksm_zero_pages").unwrap_or(0)).saturating_mul(page_bytes());
    // It may be negative.
    let profit =
        text.lines().find_map(|line| line.strip_prefix("ksm_process_profit ")?.trim().parse::<i64>().ok());
    let cost = profit.and_then(|profit| u64::try_from(i128::from(merged) - i128::from(profit)).ok());
    let says_yes = |name: &str| text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim() == "yes"));
    let flags = [says_yes("ksm_merge_any:"), says_yes("ksm_mergeable:")];
    let allowed = if flags.contains(&Some(true)) || items > 0 {
        Some(true)
    } else {
        flags.iter().any(Option::is_some).then_some(false)
    };
    ProcessMerging { merged, cost: cost.unwrap_or_else(|| items.saturating_mul(ITEM)), allowed }
}

/// A run of a task; ended when dropped.
#[derive(Debug)]
struct Run {
    claim: Arc<Claim>,
    number: u64,
}

impl MergingRun for Run {
    fn change(&mut self, speed: Speed) -> Result<(), ProcessError> {
        let mut runs = self.claim.runs.lock();
        runs.speeds.insert(self.number, speed);
        runs.speed().map_or(Ok(()), |speed| self.claim.folder.set(speed))
    }

    fn end(self: Box<Self>, separate: bool) -> Result<(), ProcessError> {
        self.claim.end(self.number, separate)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Err(error) = self.claim.end(self.number, false) {
            warn!("KSM is not set as it was before: {error}");
        }
    }
}

/// Restores what a daemon that was killed had noted; whether nothing is left to restore.
pub(crate) fn take_back(sys: &SysRoot, before: &Before) -> bool {
    let folder = Folder::of(sys);
    let lock = match folder_lock::try_take(&folder.0) {
        Ok(Some(lock)) => lock,
        // Another etmemd has KSM now.
        Ok(None) => return false,
        Err(error) => {
            warn!("KSM was set by an etmem that was killed, and cannot be set back: {error}");
            return !folder.0.exists();
        }
    };
    let roots = Roots { sys: sys.clone(), ..Roots::default() };
    let restored = before.restore(&folder, false, |sharing| room_of(&roots, sharing));
    drop(lock);
    match &restored {
        Ok(()) => tracing::info!("an etmem that was killed had KSM set: set back"),
        Err(error) => warn!("KSM was set by an etmem that was killed, and cannot be set back: {error}"),
    }
    restored.is_ok()
}

/// Lets the kernel merge equal pages of this process, and of the program that it becomes.
///
/// # Errors
/// Why that cannot be, in a line.
pub fn allow_merging() -> Result<(), String> {
    merging::allow().map_err(|error| {
        if error.raw_os_error() == Some(libc::EINVAL) {
            "this kernel cannot merge the memory of a whole program: it needs Linux 6.4 or later, built with CONFIG_KSM=y"
                .to_owned()
        } else {
            format!("prctl(PR_SET_MEMORY_MERGE): {error}")
        }
    })
}

#[cfg(test)]
#[path = "ksm_tests.rs"]
mod tests;
