//! What a slide task asks for: its own keys and its project's, checked against each other.

use super::cooling::Cooling;
use super::{NAME, keys};
use crate::contract::{EngineError, FaultClass};
use etmem_config::section::project::PAGE;
use etmem_config::values::Watermarks;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::feedback::Goal;
use etmem_core::forecast::AgeRule;
use etmem_core::guard::{Gates, Guards};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mapping::{Mapping, VmFlag};
use etmem_core::kernel::nodes::Numa;
use etmem_core::kernel::pressure::Share;
use etmem_core::kernel::process::Target;
use etmem_core::kernel::wishes::{ScanWishes, Wishes};
use etmem_core::policy::ColdRule;
use etmem_core::scan::{self, Schedule};
use etmem_core::throttle::Rate;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::time::Duration;

/// A slide task, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The task's name, for notes.
    pub task: String,
    /// Whose memory.
    pub target: Target,
    /// How often to look.
    pub schedule: Schedule,
    /// Time between two cycles.
    pub sleep: Duration,
    /// When to leave a process alone.
    pub gates: Gates,
    /// What is cold.
    pub cold: ColdRule,
    /// Processes worked on at once.
    pub threads: usize,
    /// `max_threads` as written, where it was more than this machine takes.
    pub threads_wanted: Option<usize>,
    /// Shares of memory between which the swap cache is to be kept.
    pub swapcache_watermarks: Option<Watermarks>,
    /// Flags that a mapping must have to be looked at.
    pub vm_flags: Vec<VmFlag>,
    /// Only mappings without a file.
    pub anon_only: bool,
    /// How to see and how to move.
    pub wishes: Wishes,
    /// Everything but the moving.
    pub dry_run: bool,
    /// How much may come back; none: it does not matter.
    pub goal: Option<Goal>,
    /// For how long a page must have been idle; none: what a cycle says is enough.
    pub age: Option<AgeRule>,
    /// How fast pages may leave.
    pub rate: Rate,
    /// How much of a processor looking may take, in percent.
    pub looking_percent: u32,
    /// How much of a processor moving may take, in percent; none: its rate alone counts.
    pub moving_percent: Option<u32>,
    /// When to leave the machine and the processes alone.
    pub guards: Guards,
    /// How much of what leaves its compressed copy may take, in percent; none: it does not matter.
    pub most_ratio: Option<u8>,
    /// How long programs that are asked for memory have to give it back; none: they are not asked.
    pub ask: Option<Duration>,
    /// Which pages are to lie on which NUMA node; none: where they lie.
    pub(crate) cooling: Option<Cooling>,
}

/// How much of a processor looking may take where a task does not say, in percent.
const LOOKING_PERCENT: u32 = 10;

impl Settings {
    /// The settings of `task` in `project`.
    ///
    /// # Errors
    /// What does not go together.
    pub fn new(project: &ProjectSection, task: &TaskSection) -> Result<Self, EngineError> {
        let Some(scan) = &project.page else {
            return Err(EngineError::ScanType { engine: NAME, needed: PAGE.name });
        };
        let threshold = task.get(&keys::T)?;
        let highest = scan.loops * 3;
        if threshold > highest {
            return Err(EngineError::Value {
                key: keys::T.name(),
                value: threshold.to_string(),
                rule: format!(
                    "must be 0..={highest} (3 times loop={} of project {})",
                    scan.loops, project.name
                ),
                class: FaultClass::Internal,
            });
        }
        let stall = task.get(&keys::MAX_STALL)?;
        let goal = task.get(&keys::MAX_REFAULT)?.map(|goal| goal.stalling(stall));
        let (threads, most) = (task.get(&keys::MAX_THREADS)?, most_threads());
        let ask_wait = task.get(&keys::ASK_WAIT)?;
        let processor_percent = task.get(&keys::MAX_CPU)?.map(|percent| u32::from(percent.get()));
        Ok(Self {
            task: task.name.to_string(),
            target: task.target.clone(),
            schedule: Schedule { loops: scan.loops, interval: scan.interval },
            sleep: scan.sleep,
            gates: Gates {
                free_below_percent: project.sysmem_threshold.map(|percent| percent.get()),
                resident_above: task.get(&keys::SWAP_THRESHOLD)?,
            },
            cold: task
                .get(&keys::DRAM_PERCENT)?
                .map_or(ColdRule::Below(threshold), |percent| ColdRule::Keep(percent.get())),
            threads: threads.clamp(1, most),
            threads_wanted: (threads > most).then_some(threads),
            swapcache_watermarks: project.swapcache_watermarks,
            vm_flags: task.get(&keys::VM_FLAGS)?,
            anon_only: task.get(&keys::ANON_ONLY)?,
            wishes: Wishes {
                tracker: task.get(&keys::TRACKER)?,
                mover: task.get(&keys::MOVER)?,
                past_zswap: task.get(&keys::DISK_DIRECTLY)?,
                scan: ScanWishes { only_marked: task.get(&keys::SWAP_FLAG)?, ..ScanWishes::default() },
                ..Wishes::default()
            },
            dry_run: task.get(&keys::DRY_RUN)?,
            goal,
            // Without a goal nothing is asked of an age that the task does not name.
            age: task.get(&keys::AGE)?.filter(|age| goal.is_some() || *age != AgeRule::Auto),
            rate: task.get(&keys::MAX_RATE)?,
            looking_percent: processor_percent.unwrap_or(LOOKING_PERCENT),
            moving_percent: processor_percent,
            guards: Guards {
                swap_use_percent: task.get(&keys::MAX_SWAP_USE)?.get(),
                pressure: task.get(&keys::MAX_PRESSURE)?.and_then(Share::nearest_to_percent),
            },
            most_ratio: task.get(&keys::MAX_RATIO)?,
            ask: task.get(&keys::ASK)?.then_some(ask_wait),
            cooling: None,
        })
    }
}

impl Settings {
    /// Those of `task` in `project` as they are by now, of a task that has the same nodes as before.
    ///
    /// # Errors
    /// What does not go together.
    pub(super) fn renewed(&self, project: &ProjectSection, task: &TaskSection) -> Result<Self, EngineError> {
        Ok(Self { cooling: self.cooling.clone(), ..Self::new(project, task)? })
    }

    /// Which pages are to lie on which of the nodes of `kernel`, if that is asked for.
    pub(super) fn cooling<'a>(&'a self, kernel: &'a Kernel) -> Option<(&'a Cooling, &'a Numa)> {
        self.cooling.as_ref().zip(kernel.between.as_ref())
    }

    /// Whether a task that runs by these settings can go on by `newer` ones with all that it knows. What it knows does not
    /// depend on what is cold, on bounds, rates and pauses; but ages would be counted as too old with a shorter cycle.
    pub(crate) fn can_become(&self, newer: &Self) -> bool {
        let same_else = Self {
            sleep: newer.sleep,
            gates: newer.gates,
            cold: newer.cold,
            threads: newer.threads,
            threads_wanted: newer.threads_wanted,
            goal: newer.goal,
            age: newer.age,
            rate: newer.rate,
            looking_percent: newer.looking_percent,
            moving_percent: newer.moving_percent,
            guards: newer.guards,
            ..self.clone()
        };
        same_else == *newer
            && self.age.is_some() == newer.age.is_some()
            && (self.age.is_none() || newer.cycle_time() >= self.cycle_time())
    }

    /// Which mappings are looked at.
    #[must_use]
    pub(super) fn picks(&self) -> fn(&Mapping) -> bool {
        if self.anon_only {
            |mapping| scan::is_swappable(mapping) && scan::is_anonymous(mapping)
        } else {
            scan::is_swappable
        }
    }

    /// How long a cycle takes at least.
    #[must_use]
    pub fn cycle_time(&self) -> Duration {
        self.schedule.cycle_time(self.sleep)
    }
}

/// The original's bound: twice the cores and one. Asked once: the answer takes the system several files.
fn most_threads() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| 2 * available_parallelism().map_or(1, NonZeroUsize::get) + 1)
}
