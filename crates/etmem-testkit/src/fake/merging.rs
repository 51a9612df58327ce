//! Merging of equal pages on a scripted machine.

use super::FakeMachine;
use etmem_core::kernel::merging::{Merging, MergingRun, MergingState, Mode, ProcessMerging, Speed};
use etmem_core::kernel::process::{ProcessError, ProcessId};

/// What the kernel says of it, and what was asked of it.
#[derive(Debug, Clone, Default)]
pub struct FakeMerging {
    /// The machine as it is.
    pub state: MergingState,
    /// Scans of all memory that end between two rounds in which it runs.
    pub scans_a_round: u64,
    /// Bytes that are copied between two such rounds.
    pub copied_a_round: u64,
    /// How it is with each process, from the third scan on.
    pub process: ProcessMerging,
    /// The answer to each request to run it.
    pub fails: Option<ProcessError>,
    /// It ran before any task.
    pub ran_before: bool,
    /// Each speed that was set.
    pub speeds: Vec<Speed>,
    /// Each run that ended: whether what was merged was to be separated.
    pub ended: Vec<bool>,
}

impl FakeMachine {
    /// Changes what it does about equal pages.
    pub fn change_merging(&self, change: impl FnOnce(&mut FakeMerging)) {
        change(&mut self.lock().merging);
    }

    /// How that is now.
    #[must_use]
    pub fn merging(&self) -> FakeMerging {
        self.lock().merging.clone()
    }
}

impl Merging for FakeMachine {
    fn state(&self) -> Result<MergingState, ProcessError> {
        let merging = &mut self.lock().merging;
        if merging.state.mode == Mode::Running {
            merging.state.full_scans += merging.scans_a_round;
            if let Some(copied) = &mut merging.state.copied {
                *copied += merging.copied_a_round;
            }
        }
        Ok(merging.state)
    }

    fn of(&self, process: ProcessId) -> Result<ProcessMerging, ProcessError> {
        self.with(process, |_| Ok(()))?;
        let merging = &self.lock().merging;
        let seen = merging.state.full_scans >= 3;
        let nothing = ProcessMerging { allowed: merging.process.allowed, ..ProcessMerging::default() };
        Ok(if seen { merging.process } else { nothing })
    }

    fn run(&self, speed: Speed) -> Result<Option<Box<dyn MergingRun>>, ProcessError> {
        let merging = &mut self.lock().merging;
        if let Some(error) = &merging.fails {
            return Err(error.clone());
        }
        if merging.ran_before {
            merging.state.mode = Mode::Running;
            return Ok(None);
        }
        merging.speeds.push(speed);
        merging.state.mode = Mode::Running;
        Ok(Some(Box::new(FakeRun(self.clone()))))
    }
}

#[derive(Debug)]
struct FakeRun(FakeMachine);

impl MergingRun for FakeRun {
    fn change(&mut self, speed: Speed) -> Result<(), ProcessError> {
        self.0.lock().merging.speeds.push(speed);
        Ok(())
    }

    fn end(self: Box<Self>, separate: bool) -> Result<(), ProcessError> {
        let merging = &mut self.0.lock().merging;
        merging.ended.push(separate);
        if merging.state.mode == Mode::Running {
            merging.state.mode = Mode::Stopped;
        }
        Ok(())
    }
}
