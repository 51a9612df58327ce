//! The kernel underneath, put together when it is first needed.

use crate::balloons::NotedBalloons;
use crate::cleanup_records::{self, CleanupRecord, RecordFolder};
use crate::isolation;
use crate::scan_claims::DaemonClaims;
use crate::task_memory::TaskMemory;
use etmem_config::{EngineSection, ProjectSection};
use etmem_core::kernel::Moving;
use etmem_core::kernel::claims::ScanClaims;
use etmem_core::kernel::cooperation::Cooperation;
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::kernel::process::{ProcessTable, Target};
use etmem_core::kernel::trigger::{Trigger, TriggerWait};
use etmem_core::kernel::wishes::{Chosen, Modules, Wishes};
use etmem_engine::{Hosted, Refusal};
use etmem_linux::choice::Interfaces;
use etmem_linux::cooperation::{self, PressureSocket};
use etmem_linux::counters::{self, Reading};
use etmem_linux::lasting::{self, Setting};
use etmem_linux::mover::past_zswap::PastZswap;
use etmem_linux::nodes::MachineNodes;
use etmem_linux::pacer::SystemPacer;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, Roots, SysRoot};
use etmem_linux::sinking::machine::MachineSinking;
use etmem_linux::trigger::MachineTriggers;
use etmem_plugin::SharedProject;
use etmem_plugin::isolated::Isolated;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

/// A machine that tasks can run on.
pub(crate) trait Machine: fmt::Debug + Send + Sync {
    /// Its processes, which can be asked for on any kernel.
    fn processes(&self) -> &dyn ProcessTable;

    /// Its NUMA nodes, which can be asked for on any kernel, too.
    fn nodes(&self) -> &dyn NumaNodes;

    /// Writes down what a task with `chosen` sets in this kernel, for the next daemon if this one is killed;
    /// `swap_cache`: its engine has the swap cache reclaimed.
    ///
    /// # Errors
    /// When that cannot be written.
    fn cleanup_records(&self, chosen: &Chosen, swap_cache: bool) -> io::Result<Vec<CleanupRecord>> {
        let _ = (chosen, swap_cache);
        Ok(Vec::new())
    }

    /// Where the task called `name`, a name of a file, keeps what it knows over a restart of the daemon.
    fn task_memory(&self, name: &str) -> Option<TaskMemory> {
        let _ = name;
        None
    }

    /// Claims memory for scans, so that commands such as `etmem survey` keep away from it; `None` if there are no commands.
    fn scan_claims(&self) -> Option<Arc<dyn ScanClaims>> {
        None
    }

    /// Which of openEuler's modules are loaded now.
    fn modules(&self) -> Modules {
        Modules::default()
    }

    /// Whether a process of `target` runs a KVM guest now.
    fn runs_guests(&self, target: &Target) -> bool {
        let _ = target;
        false
    }

    /// What it counts of its swap, for monitoring.
    fn counters(&self) -> Vec<Reading> {
        Vec::new()
    }

    /// All its ports, the probe and the mover chosen by `wishes`.
    ///
    /// # Errors
    /// What this kernel lacks, and what would help.
    fn kernel(&self, wishes: &Wishes) -> Result<Chosen, String>;

    /// Arms `triggers`; what cannot be watched now is tried again.
    ///
    /// # Errors
    /// No file can be opened any more.
    fn triggers(&self, triggers: &[Trigger]) -> io::Result<Box<dyn TriggerWait>>;

    /// Lets programs listen for requests to the task called `name`, a name of a file. Also what the next daemon removes if this one
    /// is killed.
    ///
    /// # Errors
    /// Why they cannot.
    fn cooperation(&self, name: &str) -> Result<(Arc<dyn Cooperation>, Vec<CleanupRecord>), String> {
        Err(format!("no program can listen for {name} on this machine"))
    }

    /// The engine of `section`, whose policy is a plugin's; what the plugins of its project have in common is
    /// `shared`. Waits for the plugin for at most `deadline`.
    ///
    /// # Errors
    /// Why the plugin cannot be had.
    fn plugin(
        &self,
        project: &ProjectSection,
        section: &EngineSection,
        shared: &Arc<SharedProject>,
        deadline: Duration,
    ) -> Result<Arc<dyn Hosted>, Refusal>;
}

/// The machine that the daemon runs on.
#[derive(Debug)]
pub(crate) struct LinuxMachine {
    processes: Processes,
    nodes: MachineNodes,
    proc: ProcRoot,
    sys: SysRoot,
    triggers: MachineTriggers,
    /// Loaded at the first start of a task and kept: until then a daemon costs next to nothing.
    interfaces: Interfaces,
}

impl LinuxMachine {
    /// The machine whose file systems are mounted at `roots`.
    pub(crate) fn new(roots: Roots) -> Self {
        let (proc, sys) = (roots.proc.clone(), roots.sys.clone());
        Self {
            processes: Processes::new(proc.clone()),
            nodes: MachineNodes(sys.clone()),
            proc,
            sys,
            triggers: MachineTriggers(roots.clone()),
            interfaces: Interfaces::new(roots),
        }
    }
}

impl Machine for LinuxMachine {
    fn processes(&self) -> &dyn ProcessTable {
        &self.processes
    }

    fn nodes(&self) -> &dyn NumaNodes {
        &self.nodes
    }

    fn cleanup_records(&self, chosen: &Chosen, swap_cache: bool) -> io::Result<Vec<CleanupRecord>> {
        let folder = cleanup_records::folder();
        let settings = lasting::of_task(chosen, swap_cache, &self.proc, &self.sys);
        settings.iter().map(|setting| CleanupRecord::of(&folder, setting)).collect()
    }

    fn task_memory(&self, name: &str) -> Option<TaskMemory> {
        Some(TaskMemory::new(&cleanup_records::folder(), name, self.proc.boot_id()))
    }

    fn counters(&self) -> Vec<Reading> {
        counters::readings(&Roots { proc: self.proc.clone(), sys: self.sys.clone() })
    }

    fn scan_claims(&self) -> Option<Arc<dyn ScanClaims>> {
        Some(Arc::new(DaemonClaims::new(cleanup_records::folder())))
    }

    fn modules(&self) -> Modules {
        self.interfaces.modules()
    }

    fn runs_guests(&self, target: &Target) -> bool {
        !self.interfaces.guests(target).is_empty()
    }

    fn kernel(&self, wishes: &Wishes) -> Result<Chosen, String> {
        let chosen = self.interfaces.kernel(wishes);
        let mut chosen =
            chosen.map_err(|unavailable| format!("this machine cannot run it: {unavailable}"))?;
        // What is set for a moment, and what is taken of guests, is written down by this daemon.
        let roots = Roots { proc: self.proc.clone(), sys: self.sys.clone() };
        let journal = Arc::new(RecordFolder(cleanup_records::folder()));
        if let (true, Moving::Out(mover)) = (wishes.past_zswap, &chosen.kernel.moving) {
            let mover = PastZswap::new(Arc::clone(mover), roots.clone(), journal.clone());
            chosen.kernel.moving = Moving::Out(Arc::new(mover));
        }
        chosen.kernel.sinking = wishes.sinking.then(|| Arc::new(MachineSinking::new(roots, journal)) as _);
        chosen.kernel.balloons =
            wishes.balloon.then(|| Arc::new(NotedBalloons(cleanup_records::folder())) as _);
        Ok(chosen)
    }

    fn cooperation(&self, name: &str) -> Result<(Arc<dyn Cooperation>, Vec<CleanupRecord>), String> {
        let folder = cleanup_records::folder();
        let path = cooperation::path(&folder, name);
        let record = CleanupRecord::of(&folder, &Setting::PressureSocket(path.clone()));
        let record = record.map_err(|error| format!("cannot write down what it sets: {error}"))?;
        Ok((Arc::new(PressureSocket::open(path)?), vec![record]))
    }

    fn triggers(&self, triggers: &[Trigger]) -> io::Result<Box<dyn TriggerWait>> {
        self.triggers.watch(triggers)
    }

    fn plugin(
        &self,
        project: &ProjectSection,
        section: &EngineSection,
        shared: &Arc<SharedProject>,
        deadline: Duration,
    ) -> Result<Arc<dyn Hosted>, Refusal> {
        if etmem_engine::hosted(section).is_some_and(|engine| engine.isolate) {
            let engine = Isolated::start(project, section, isolation::program(), deadline)?;
            return Ok(Arc::new(engine));
        }
        etmem_plugin::engine(project, section, shared, Arc::new(SystemPacer::new()), deadline)
    }
}
