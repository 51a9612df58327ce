//! Processors that never sleep. An idle processor of a virtual machine wakes late, by more than a request takes: a server asks less
//! of it where nothing else runs, and whatever keeps it awake looks like a gain.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::pagemap::processor_ticks;
use etmem_testkit::process::Running;

/// One loop for each processor, which runs only while nothing else wants to (SCHED_IDLE of sched(7)). They end when this is dropped.
///
/// The kernel first shares processors out between terminal sessions (`sched_autogroup_enabled`), of which servers may be ones of their
/// own. So each loop is one as well, the least of all.
pub(crate) struct Awake(Vec<Running>);

impl Awake {
    pub(crate) fn start() -> Result<Self> {
        let processors = std::thread::available_parallelism()?.get();
        let spin = |number: usize| {
            let mut command = Command::new("setsid");
            let least = "echo 19 >/proc/self/autogroup || true; while :; do :; done";
            command.args([
                "taskset",
                "--cpu-list",
                &number.to_string(),
                "chrt",
                "--idle",
                "0",
                "sh",
                "-c",
                least,
            ]);
            Running::start(&mut command).map(|(running, _)| running)
        };
        let loops = (0..processors).map(spin).collect::<Result<Vec<_>>>()?;
        let _ = WallClock::new().pause(Duration::from_millis(200));
        for running in &loops {
            ensure!(running.ended()?.is_none(), "taskset, chrt or a processor is missing");
        }
        Ok(Self(loops))
    }

    /// Processor time they have used, in clock ticks: that is no work.
    pub(crate) fn ticks(&self) -> Result<u64> {
        self.0.iter().map(|running| processor_ticks(running.pid())).sum()
    }
}
