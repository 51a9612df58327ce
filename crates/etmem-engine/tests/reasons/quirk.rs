//! A machine that answers as no scripted one does.

use etmem_core::address::AddressRange;
use etmem_core::kernel::memory::{MemoryState, SystemMemory};
use etmem_core::kernel::mover::{Moved, PageMover, Residence, SwapOut};
use etmem_core::kernel::nodes::{Migrated, NodeId, NodeMover, NodePages, Numa, OwnPlacement, Place};
use etmem_core::kernel::probe::{AccessProbe, AccessSink, ProbeSource};
use etmem_core::kernel::process::{
    JustForked, Pid, ProcessError, ProcessId, ProcessMemory, ProcessTable, Target, TargetError,
};
use etmem_core::kernel::{Kernel, Moving};
use etmem_testkit::fake::FakeMachine;
use std::sync::Arc;

/// What a machine answers that no scripted one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    None,
    /// The kernel leaves pages where they are: though it accepts them, or as they are shared.
    Keeps,
    /// It refuses mappings.
    Refuses,
    /// The pages are unmapped when they are to leave.
    Unmapped,
    /// The process replaces its program before its pages leave.
    Replaces,
    /// Swap is taken away while its pages leave.
    SwapOff,
    /// Writes to swap fail while its pages leave: these stay in the swap cache.
    SwapFails,
    /// Processes cannot be looked for.
    NoTable,
    /// The process has just forked a child.
    HasForked,
}

/// A machine whose probe can look again without clearing, as that of most machines.
#[derive(Debug, Clone)]
pub(crate) struct Quirky {
    pub(crate) machine: FakeMachine,
    pub(crate) quirk: Quirk,
}

/// A mover or a probe of it.
#[derive(Debug)]
struct Hand<T: ?Sized> {
    machine: FakeMachine,
    quirk: Quirk,
    /// The pages given last were unmapped meanwhile.
    is_unmapped: bool,
    inner: Box<T>,
}

impl Quirky {
    pub(crate) fn kernel(&self) -> Kernel {
        let processes: Arc<dyn ProcessTable> = if matches!(self.quirk, Quirk::NoTable | Quirk::HasForked) {
            Arc::new(self.clone())
        } else {
            self.machine.kernel().processes
        };
        Kernel {
            processes,
            moving: match self.machine.kernel().moving {
                Moving::Out(_) => Moving::Out(Arc::new(self.clone())),
                Moving::Elsewhere => Moving::Elsewhere,
                Moving::Groups => Moving::Groups,
                Moving::Nodes(numa) => Moving::Nodes(Numa { mover: Arc::new(self.clone()), ..numa }),
            },
            probe: Arc::new(self.clone()),
            ..self.machine.kernel()
        }
    }
}

impl ProcessTable for Quirky {
    fn find(&self, target: &Target) -> Result<Vec<ProcessId>, ProcessError> {
        if self.quirk == Quirk::HasForked {
            return self.machine.find(target);
        }
        Err(ProcessError::Refused { call: "/proc".into(), reason: "Permission denied".into() })
    }

    fn just_forked(&self, process: ProcessId) -> Option<JustForked> {
        (self.quirk == Quirk::HasForked)
            .then(|| JustForked { child: Pid::new(43).unwrap(), parent: process.pid })
    }

    fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
        self.machine.check(pid)
    }

    fn memory(&self, process: ProcessId) -> Result<ProcessMemory, ProcessError> {
        self.machine.memory(process)
    }
}

impl PageMover for Quirky {
    fn name(&self) -> &'static str {
        "quirky"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        Ok(Box::new(Hand {
            machine: self.machine.clone(),
            quirk: self.quirk,
            is_unmapped: false,
            inner: PageMover::attach(&self.machine, process)?,
        }))
    }
}

impl SwapOut for Hand<dyn SwapOut> {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        let bytes = ranges.iter().map(AddressRange::bytes).sum();
        let nothing = Moved::default();
        match self.quirk {
            Quirk::None | Quirk::NoTable | Quirk::HasForked => self.inner.swap_out(ranges),
            Quirk::Keeps => Ok(Moved { applied: bytes, ..nothing }),
            Quirk::Refuses => Ok(Moved { refused: bytes, ..nothing }),
            Quirk::Unmapped => {
                self.is_unmapped = true;
                Ok(Moved { vanished: bytes, ..nothing })
            }
            Quirk::SwapOff => {
                self.machine.set_memory(MemoryState { swap_total: 0, ..FakeMachine::roomy() });
                Ok(Moved { applied: bytes, ..nothing })
            }
            Quirk::SwapFails => {
                let now = self.machine.state()?;
                let (swap_cached, swap_stuck) = (now.swap_cached + bytes, now.swap_stuck + bytes);
                self.machine.set_memory(MemoryState { swap_cached, swap_stuck, ..now });
                self.inner.swap_out(ranges)
            }
            Quirk::Replaces => Err(ProcessError::Replaced),
        }
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        let tells = self.inner.residence(ranges, out)?;
        if std::mem::take(&mut self.is_unmapped) {
            out.fill(Residence::Nowhere);
        }
        Ok(tells)
    }
}

impl NodeMover for Quirky {
    fn name(&self) -> &'static str {
        "quirky"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn NodePages>, ProcessError> {
        Ok(Box::new(Hand {
            machine: self.machine.clone(),
            quirk: self.quirk,
            is_unmapped: false,
            inner: NodeMover::attach(&self.machine, process)?,
        }))
    }

    fn own_placement(&self, process: ProcessId) -> Result<OwnPlacement, ProcessError> {
        self.machine.own_placement(process)
    }

    fn watermark(&self, node: NodeId) -> Result<u64, ProcessError> {
        self.machine.watermark(node)
    }
}

impl NodePages for Hand<dyn NodePages> {
    fn where_are(&mut self, pages: &[u64], places: &mut Vec<Place>) -> Result<(), ProcessError> {
        self.inner.where_are(pages, places)
    }

    fn move_to(&mut self, pages: &[u64], node: NodeId) -> Result<Migrated, ProcessError> {
        let (all, none) = (pages.len() as u64, Migrated::default());
        match self.quirk {
            Quirk::None | Quirk::NoTable | Quirk::HasForked | Quirk::SwapOff | Quirk::SwapFails => {
                self.inner.move_to(pages, node)
            }
            Quirk::Keeps => Ok(Migrated { shared: all, ..none }),
            Quirk::Refuses => Ok(Migrated { refused: all, ..none }),
            Quirk::Unmapped => Ok(Migrated { vanished: all, ..none }),
            Quirk::Replaces => Err(ProcessError::Replaced),
        }
    }
}

impl ProbeSource for Quirky {
    fn name(&self) -> &'static str {
        "quirky"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn AccessProbe>, ProcessError> {
        Ok(Box::new(Hand {
            machine: self.machine.clone(),
            quirk: self.quirk,
            is_unmapped: false,
            inner: ProbeSource::attach(&self.machine, process)?,
        }))
    }
}

impl AccessProbe for Hand<dyn AccessProbe> {
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        self.inner.prepare(ranges)
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.inner.check(ranges, sink)
    }

    fn looks_without_clearing(&self) -> bool {
        true
    }
}
