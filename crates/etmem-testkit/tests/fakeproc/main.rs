//! The scripted machine through its mount: real files, real system calls.

mod edges;
mod fixtures;
mod mounts;
mod scale;
mod swapping;
mod texts;

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use etmem_testkit::fake::proc::script::{Life, Script, ScriptedMapping, ScriptedProcess, Segment};
use etmem_testkit::fake::proc::{FakeProc, HandClock};
use etmem_testkit::machine::Need;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

pub(crate) const PID: u32 = 4711;
pub(crate) const START: u64 = 0x7000_0000_0000;
pub(crate) const PAGE: u64 = 4096;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    let needs = [Need::FakeProc];
    let perl = [Need::FakeProc, Need::Program("perl")];
    for (name, test) in [
        ("fixtures::private_memory", fixtures::private_memory as fn() -> Result<()>),
        ("fixtures::huge_pages", fixtures::huge_pages),
        ("fixtures::what_is_not_walked", fixtures::what_is_not_walked),
        ("fixtures::buffers_and_offsets", fixtures::buffers_and_offsets),
        ("fixtures::modules_that_are_not_loaded", fixtures::modules_that_are_not_loaded),
        ("edges::alternating_pages_need_many_reads_and_are_all_seen", edges::alternating),
        ("edges::every_fault", edges::every_fault),
        ("edges::exit_in_mid_scan", edges::exit_in_mid_scan),
        ("edges::exec_in_mid_scan", edges::exec_in_mid_scan),
        ("edges::two_scans_at_once_are_told", edges::two_scans_at_once),
        ("edges::phases_by_time", edges::phases_by_time),
        (
            "edges::translations_stay_cached_while_the_file_is_open",
            edges::translations_stay_cached_while_the_file_is_open,
        ),
        ("swapping::pages_go_out_and_every_file_says_so", swapping::every_file_says_so),
        ("swapping::a_cut_address_is_lost", swapping::a_cut_address_is_lost),
        ("swapping::what_stays", swapping::what_stays),
        ("texts::as_the_kernel_writes_them", texts::as_the_kernel_writes_them),
        ("texts::the_process_that_asks", texts::the_process_that_asks),
        ("scale::one_tebibyte_dense", scale::dense),
        ("scale::one_tebibyte_sparse", scale::sparse),
        ("scale::one_tebibyte_paged_out", scale::paged_out),
        ("mounts::go_with_the_handle_also_while_in_use", mounts::go_with_the_handle),
        ("mounts::of_a_killed_run_are_taken_away", mounts::of_a_killed_run),
    ] {
        trials.push(trial_or_skip(name, &needs, test));
    }
    trials.push(trial_or_skip("edges::ioctls_of_idle_pages", &perl, edges::ioctls));
    trials.push(trial_or_skip("swapping::ioctls_of_swap_pages", &perl, swapping::ioctls));
    run_in_turn(trials)
}

/// A mounted machine, and its time.
pub(crate) struct Stage {
    pub(crate) fake: FakeProc,
    pub(crate) clock: Arc<HandClock>,
}

impl Stage {
    /// One process with these mappings.
    pub(crate) fn of(mappings: Vec<ScriptedMapping>) -> Result<Self> {
        Self::with(Script::new(vec![ScriptedProcess::new(PID, "scripted", mappings)]))
    }

    /// One process with one private mapping.
    pub(crate) fn private(segments: Vec<Segment>) -> Result<Self> {
        Self::of(vec![ScriptedMapping::private(START, segments)])
    }

    /// All that is touched shows, as in the reads that were recorded.
    pub(crate) fn with(mut script: Script) -> Result<Self> {
        script.processes.iter_mut().for_each(|process| process.caches_translations = false);
        Self::at_its_worst(script)
    }

    pub(crate) fn at_its_worst(script: Script) -> Result<Self> {
        let clock = Arc::new(HandClock::default());
        Ok(Self { fake: FakeProc::mount_with_clock(script, clock.clone())?, clock })
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.fake.root().join(PID.to_string()).join(file)
    }

    pub(crate) fn idle_pages(&self) -> Result<File> {
        File::open(self.path("idle_pages")).context("cannot open idle_pages")
    }

    pub(crate) fn swap_pages(&self) -> Result<File> {
        OpenOptions::new().write(true).open(self.path("swap_pages")).context("cannot open swap_pages")
    }

    /// Opened as for a scan of huge pages only.
    pub(crate) fn nonblocking(&self) -> Result<File> {
        let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
        Ok(OpenOptions::new().read(true).custom_flags(nonblocking).open(self.path("idle_pages"))?)
    }

    pub(crate) fn text(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.path(file))?)
    }
}

/// What a read of `length` bytes at `offset` gives.
pub(crate) fn read(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0xee; length];
    let got = file.read_at(&mut buffer, offset)?;
    buffer.truncate(got);
    Ok(buffer)
}

/// The stream without its first address, which has to be `address`.
pub(crate) fn entries(stream: &[u8], address: u64) -> Result<&[u8]> {
    let (first, rest) = stream.split_at_checked(9).context("no address")?;
    ensure!(first[0] == 0xa0 && first[1..] == address.to_be_bytes(), "{first:x?} instead of {address:#x}");
    Ok(rest)
}

/// Fails unless the call failed with this number.
pub(crate) fn fails_with<T: std::fmt::Debug>(
    result: io::Result<T>,
    errno: nix::errno::Errno,
    what: &str,
) -> Result<()> {
    let got = result.as_ref().err().and_then(io::Error::raw_os_error);
    #[expect(clippy::as_conversions, reason = "an errno is its number")]
    let want = errno as i32;
    ensure!(got == Some(want), "{what}: {result:?} instead of {errno}");
    Ok(())
}

pub(crate) fn cold(pages: u64) -> Segment {
    Segment::solid(pages, Life::cold())
}

pub(crate) fn hole(pages: u64) -> Segment {
    Segment::solid(pages, Life::hole())
}

pub(crate) fn hot(pages: u64) -> Segment {
    Segment::solid(pages, Life::hot())
}

/// The only run.
pub(crate) fn one(range: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(range).collect()
}
