//! Processors that never sleep. An idle processor of a virtual machine wakes late, by more than a request takes: a server asks less
//! of it where nothing else runs, and whatever keeps it awake looks like a gain.

use std::process::Command;

use anyhow::Result;
use etmem_testkit::pagemap::processor_ticks;
use etmem_testkit::process::Running;

/// One loop for each processor, which runs only while nothing else wants to (SCHED_IDLE of sched(7)). They end when this is dropped.
///
/// They must be of the same terminal session as what is measured: between sessions, the kernel shares processors out as if
/// loops were work (`sched_autogroup_enabled`).
pub(crate) struct Awake(Vec<Running>);

impl Awake {
    pub(crate) fn start() -> Result<Self> {
        let processors = std::thread::available_parallelism()?.get();
        let spin = |number: usize| {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &number.to_string(), "chrt", "--idle", "0", "sh", "-c"]);
            Running::start(command.arg("while :; do :; done")).map(|(running, _)| running)
        };
        (0..processors).map(spin).collect::<Result<_>>().map(Self)
    }

    /// Processor time they have used, in clock ticks: that is no work.
    pub(crate) fn ticks(&self) -> Result<u64> {
        self.0.iter().map(|running| processor_ticks(running.pid())).sum()
    }
}
