//! A machine whose children were all forked more than a minute ago: what is said of pages that are shared does not wait for that.

use std::cmp::Ordering;
use std::sync::Arc;

use etmem_core::kernel::groups::GroupPattern;
use etmem_core::kernel::process::{
    JustForked, Pid, ProcessError, ProcessId, ProcessMemory, ProcessTable, Target, TargetError, Waited,
};

/// The processes of another table.
#[derive(Debug)]
pub(crate) struct Grown(pub(crate) Arc<dyn ProcessTable>);

impl ProcessTable for Grown {
    fn just_forked(&self, _: ProcessId) -> Option<JustForked> {
        None
    }

    fn find(&self, target: &Target) -> Result<Vec<ProcessId>, ProcessError> {
        self.0.find(target)
    }

    fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
        self.0.check(pid)
    }

    fn order_of_memory(&self, one: ProcessId, other: ProcessId) -> Option<Ordering> {
        self.0.order_of_memory(one, other)
    }

    fn group(&self, process: ProcessId, pattern: &GroupPattern) -> Option<String> {
        self.0.group(process, pattern)
    }

    fn program(&self, process: ProcessId) -> Option<u64> {
        self.0.program(process)
    }

    fn name(&self, process: ProcessId) -> Option<String> {
        self.0.name(process)
    }

    fn waited(&self, process: ProcessId) -> Option<Waited> {
        self.0.waited(process)
    }

    fn memory(&self, process: ProcessId) -> Result<ProcessMemory, ProcessError> {
        self.0.memory(process)
    }
}
