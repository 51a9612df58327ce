//! Whether what may leave compresses: a sample of it is read before anything goes to swap that is compressed memory.

use etmem_core::act::Sample;
use etmem_core::address::PAGE_SIZE;
use etmem_core::compressed;
use etmem_core::feedback::SAMPLE_LEAST;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::reader::MemoryReader;
use etmem_core::plan::Plan;
use std::time::Duration;

/// For how long a sample tells.
const TELLS_FOR: Duration = Duration::from_secs(600);

/// What the last sample of a process showed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Compressing(Option<Shown>);

#[derive(Debug, Clone, Copy)]
struct Shown {
    percent: u64,
    until: Duration,
}

impl Compressing {
    /// Whether a new sample is needed `now`.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.0.is_none_or(|shown| now >= shown.until)
    }

    /// Reads a sample of `plan`, and takes note of it. Where nothing can be read, nothing is known.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    pub(super) fn sample(
        &mut self,
        plan: &Plan<'_>,
        reader: &mut dyn MemoryReader,
        pacer: &dyn Pacer,
    ) -> Result<(), ProcessError> {
        let (mut read, mut takes) = (0, 0);
        Sample::of(plan, SAMPLE_LEAST).read(reader, pacer, |page| {
            if let Some(page) = page {
                read += PAGE_SIZE;
                takes += compressed::lz4(page);
            }
        })?;
        let percent = (takes * 100).checked_div(read);
        self.0 = percent.map(|percent| Shown { percent, until: pacer.now() + TELLS_FOR });
        Ok(())
    }

    /// How many percent of its size a copy takes, where that is more than `most`.
    pub(super) fn is_too_little(&self, most: u8) -> Option<u64> {
        self.0.map(|shown| shown.percent).filter(|percent| *percent > u64::from(most))
    }
}
