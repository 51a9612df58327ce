//! What of a process slide does not look at, by kind: from the kernel's own sums, so that it costs nothing.

use super::settings::Settings;
use crate::figures::Figures;
use etmem_core::kernel::process::ProcessMemory;
use etmem_core::scan::Observed;
use std::fmt;

figures! { pub(super) FIGURES;
    SHARED: Gauge Bytes, "skipped_shared_bytes", "shared, not looked at", NonZero,
        "not looked at, as it is shared memory (`MAP_SHARED` without a file, SysV, tmpfs, memfd): resident (`RssShmem`), of the process that has the most, since the others share it";
    FORKED: Gauge Bytes, "skipped_forked_bytes", "shared by fork", NonZero,
        "neither counted as scanned nor moved, as it is shared by copy-on-write, with forked processes or merged by KSM: resident, of the process that has the most";
    FILES: Gauge Bytes, "skipped_file_bytes", "of files, not looked at", NonZero,
        "not looked at, as it is of files (programs, libraries, mapped files): resident (`RssFile`), of the process that has the most";
    HUGE_POOL: Gauge Bytes, "skipped_huge_pool_bytes", "huge page pool, not looked at", NonZero,
        "not looked at, as it is of the pool of huge pages, which swap cannot hold: resident (`HugetlbPages`), of the process that has the most";
    EXECUTABLE: Counter Bytes, "skipped_executable_bytes", "executable, not looked at", NonZero,
        "not looked at, as it is executable and of no file, such as what an interpreter compiles: the size of the mappings, in memory or not";
    FLAGS: Counter Bytes, "skipped_flags_bytes", "without the flags asked for", NonZero,
        "not looked at, as its mappings have not the flags that `vm_flags` asks for, or are not marked as `swap_flag` asks: resident";
}

/// What of a process is not looked at, in bytes. Locked memory is counted apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotLookedAt {
    /// Shared memory that is resident.
    pub shared: u64,
    /// Resident pages that are shared by copy-on-write.
    pub forked: u64,
    /// Resident pages of files.
    pub file: u64,
    /// Resident pages of the pool of huge pages.
    pub huge_pool: u64,
    /// Mappings that are executable and of no file.
    pub executable: u64,
    /// Resident pages of the program's own, of mappings without the flags that the task asks for.
    pub flags: u64,
}

/// Of less, nothing is said: each process has a few MiB of libraries.
const WORTH_A_REASON: u64 = 16 << 20;

impl NotLookedAt {
    /// Of a process of which the looks saw `observed`, `forked` bytes beside, while it used `memory`.
    pub(super) fn of(settings: &Settings, observed: &Observed, forked: u64, memory: &ProcessMemory) -> Self {
        let picks = !settings.vm_flags.is_empty() || settings.wishes.scan.only_marked;
        let flags = if picks && observed.is_whole() {
            let known = observed.heat.histogram().total() + forked + observed.locked + observed.executable;
            memory.anonymous.saturating_sub(known)
        } else {
            0
        };
        Self {
            shared: memory.shared,
            forked,
            file: memory.file,
            huge_pool: memory.huge_pool,
            executable: observed.executable,
            flags,
        }
    }

    /// All of it.
    pub(super) const fn total(&self) -> u64 {
        let Self { shared, forked, file, huge_pool, executable, flags } = *self;
        shared + forked + file + huge_pool + executable + flags
    }

    /// Whether that is more than what was looked at, `scanned` bytes, and worth a word.
    pub(super) const fn is_most(&self, scanned: u64) -> bool {
        self.total() >= WORTH_A_REASON && self.total() > scanned
    }

    pub(super) fn add_to(&self, figures: &mut Figures) {
        let Self { shared, forked, file, huge_pool, executable, flags } = *self;
        for (row, bytes) in [
            (&SHARED, shared),
            (&FORKED, forked),
            (&FILES, file),
            (&HUGE_POOL, huge_pool),
            (&EXECUTABLE, executable),
            (&FLAGS, flags),
        ] {
            figures.add(row, bytes);
        }
    }
}

impl fmt::Display for NotLookedAt {
    /// The kinds that have a MiB at least.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shared, forked, file, huge_pool, executable, flags } = *self;
        let kinds = [
            (shared, "of shared memory"),
            (forked, "shared by copy-on-write with a forked process"),
            (file, "of files"),
            (huge_pool, "of the pool of huge pages"),
            (executable, "executable"),
            (flags, "without the flags that the task asks for"),
        ];
        let kinds = kinds.into_iter().filter(|(bytes, _)| *bytes >= 1 << 20);
        for (number, (bytes, what)) in kinds.enumerate() {
            write!(f, "{}{} MiB {what}", if number > 0 { ", " } else { "" }, bytes >> 20)?;
        }
        Ok(())
    }
}
