//! Which probe and which mover a task gets: what it wishes, of what the machine has, and why.
//!
//! Without a wish, openEuler's modules if they are loaded, else what a stock kernel has: page by page by `bpf` or `idle`, else by
//! `damon`. Which probe sees what a task is about is the table in `probe/sight.rs`. The two choices are apart: the module's scan goes with `process_madvise`, and a page walk with the module's swapping. What a task names is taken or
//! refused, never replaced.

use crate::capabilities::{Capabilities, Capability};
use crate::damon::{MachineMonitoring, SharedDamon};
use crate::decider::MachineDeciders;
use crate::groups::MachineGroups;
use crate::ksm::SharedKsm;
use crate::mapping::Mappings;
use crate::memory::MachineMemory;
use crate::module::{IDLE_PAGES, SWAP_PAGES};
use crate::mover::{self, madvise::Madvise};
use crate::nodes::MachineNodes;
use crate::pressure::MachinePressure;
use crate::probe::bpf::Bpf;
use crate::probe::damon::Damon;
use crate::probe::etmem::Etmem;
use crate::probe::idle::Idle;
use crate::probe::none::NoProbe;
use crate::probe::sight;
use crate::process::descriptors::runs_guest;
use crate::process::stat::check_own_pid;
use crate::process::table::Processes;
use crate::reader::MachineReaders;
use crate::root::Roots;
use crate::sys::machine::is_procfs;
use crate::unavailable::Unavailable;
use etmem_core::kernel::groups::GroupError;
use etmem_core::kernel::merging::Merging;
use etmem_core::kernel::mover::PageMover;
use etmem_core::kernel::nodes::Numa;
use etmem_core::kernel::probe::ProbeSource;
use etmem_core::kernel::process::{Pid, ProcessId, ProcessTable, Target};
use etmem_core::kernel::swap_cache::SwapCache;
use etmem_core::kernel::wishes::{Choice, Chosen, Modules, Mover, Tracker, Wishes};
use etmem_core::kernel::{Kernel, Moving};
use parking_lot::Mutex;
use std::sync::Arc;

/// The interfaces of a machine, for all tasks: what is expensive to load is loaded when first wanted, and kept.
#[derive(Debug, Default)]
pub struct Interfaces {
    roots: Roots,
    bpf: Mutex<Option<Arc<Bpf>>>,
    damon: Mutex<Option<Arc<SharedDamon>>>,
    ksm: SharedKsm,
}

/// A way to see or to move: its name, and how to have it.
struct Way<'a, T: ?Sized> {
    name: &'static str,
    detect: &'a dyn Fn() -> Result<Arc<T>, Unavailable>,
}

/// Chooses among `ways`, of which the best comes first and needs openEuler's module: the one called `wish`, or else the
/// first that there is.
fn choose<T: ?Sized>(
    key: &str,
    wish: Option<&'static str>,
    ways: &[Way<'_, T>],
) -> Result<(Arc<T>, Choice), Unavailable> {
    let mut missing = Vec::new();
    for way in ways.iter().filter(|way| wish.is_none_or(|wish| wish == way.name)) {
        match (way.detect)() {
            Ok(port) => {
                let reason = match (wish, missing.is_empty()) {
                    (Some(wish), _) => format!("as {key}={wish} asks"),
                    (None, true) => format!("{key}=auto takes it where its module is loaded"),
                    (None, false) => Unavailable::None(missing).to_string(),
                };
                return Ok((port, Choice { name: way.name, reason }));
            }
            Err(why_not) if wish.is_some() => return Err(why_not),
            Err(why_not) => missing.push((way.name, why_not)),
        }
    }
    Err(Unavailable::None(missing))
}

impl Interfaces {
    /// Those of the machine whose file systems are mounted at `roots`.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self { roots, bpf: Mutex::default(), damon: Mutex::default(), ksm: SharedKsm::default() }
    }

    /// The ports for a task with these wishes.
    ///
    /// # Errors
    /// What the machine lacks, and what would help.
    pub fn kernel(&self, wishes: &Wishes) -> Result<Chosen, Unavailable> {
        let mut other_probes = Vec::new();
        let (probe, probe_choice) = if wishes.groups {
            no_probe(
                "psi",
                "how long programs of each control group wait, and what of it is refaulted",
                "this task reclaims control groups and looks at no page",
            )
        } else if wishes.sinking {
            no_probe(
                "zram",
                "when each slot of compressed swap was written or read last, as zram says",
                "this task writes compressed swap to a disk and looks at no process",
            )
        } else if wishes.merging {
            no_probe(
                "ksm",
                "the kernel compares pages, whether they are touched or not",
                "this task has equal pages merged and looks at no access",
            )
        } else if wishes.balloon {
            no_probe(
                "qmp",
                "what the guest's driver reports to its monitor",
                "this task asks a guest for memory and looks at no page",
            )
        } else if wishes.monitoring {
            self.monitoring()?
        } else {
            let chosen = self.probe(wishes)?;
            other_probes = self.other_probes(wishes, chosen.1.name);
            chosen
        };
        let (moving, mover_choice) = if wishes.groups {
            (Moving::Groups, self.reclaim()?)
        } else if wishes.merging {
            let reason = "the kernel merges equal pages".to_owned();
            (Moving::Elsewhere, Choice { name: "ksm", reason })
        } else if wishes.balloon {
            let reason = "the guest's own kernel chooses what it can do without".to_owned();
            (Moving::Elsewhere, Choice { name: "balloon", reason })
        } else if wishes.nodes {
            let numa = self.numa()?;
            let choice = if wishes.monitoring {
                Choice {
                    name: "damon",
                    reason: "the kernel itself moves pages between NUMA nodes".to_owned(),
                }
            } else {
                Choice { name: numa.mover.name(), reason: "pages move between NUMA nodes".to_owned() }
            };
            (Moving::Nodes(numa), choice)
        } else if wishes.sinking {
            let reason = "pages of compressed swap go to the disk behind it, slot by slot".to_owned();
            (Moving::Elsewhere, Choice { name: "writeback", reason })
        } else if wishes.monitoring || wishes.mover == Mover::Elsewhere {
            let reason = "another program, or the kernel itself, moves pages".to_owned();
            (Moving::Elsewhere, Choice { name: "none", reason })
        } else {
            let (mover, choice) = self.mover(wishes)?;
            (Moving::Out(mover), choice)
        };
        let between = wishes.between.then(|| self.numa()).transpose()?;
        let merging = wishes.merging.then(|| self.ksm.claim(&self.roots)).transpose()?;
        let proc = &self.roots.proc;
        let module = mover::etmem::Etmem::detect(proc).ok();
        let kernel = Kernel {
            processes: Arc::new(Processes::new(proc.clone())),
            mappings: Arc::new(Mappings::new(proc.clone())),
            memory: Arc::new(MachineMemory::new(&self.roots)),
            pressure: Arc::new(MachinePressure::new(proc)),
            groups: Arc::new(MachineGroups::new(self.roots.clone())),
            readers: Arc::new(MachineReaders(proc.clone())),
            deciders: Arc::new(MachineDeciders),
            cooperation: None,
            sinking: None,
            balloons: None,
            merging: merging.map(|merging| Arc::new(merging) as Arc<dyn Merging>),
            monitoring: Arc::new(MachineMonitoring { roots: self.roots.clone(), damon: self.damon() }),
            swap_cache: module.map(|module| Arc::new(module) as Arc<dyn SwapCache>),
            other_probes,
            probe,
            moving,
            between,
        };
        Ok(Chosen { kernel, probe: probe_choice, mover: mover_choice })
    }

    /// Whether control groups can be reclaimed.
    fn reclaim(&self) -> Result<Choice, Unavailable> {
        match MachineGroups::new(self.roots.clone()).detect() {
            Ok(reason) => Ok(Choice { name: "reclaim", reason }),
            Err(GroupError::Refused { call, reason }) => Err(Unavailable::refused(call, reason)),
            Err(error) => Err(Unavailable::refused("control groups", error)),
        }
    }

    /// The probes that `tracker=auto` has left where `first` is blind to a target. DAMON is not among them: what it sets in the
    /// kernel has to be recorded when the task starts.
    fn other_probes(&self, wishes: &Wishes, first: &str) -> Vec<Arc<dyn ProbeSource>> {
        if wishes.tracker != Tracker::Auto {
            return Vec::new();
        }
        let others =
            TRACKERS.into_iter().filter(|tracker| *tracker != Tracker::Damon && tracker.name() != first);
        others.filter_map(|tracker| Some(self.probe(&Wishes { tracker, ..*wishes }).ok()?.0)).collect()
    }

    /// What stands for a probe where the kernel watches and acts itself, if it can.
    fn monitoring(&self) -> Result<(Arc<dyn ProbeSource>, Choice), Unavailable> {
        self.check_procfs()?;
        check_own_pid(&self.roots.proc)?;
        self.damon().detect()?;
        let reason = "the kernel watches and acts itself".to_owned();
        let probe = NoProbe {
            name: Tracker::Damon.name(),
            refusal: "the kernel watches the processes of this task itself",
        };
        Ok((Arc::new(probe), Choice { name: probe.name, reason }))
    }

    /// A probe alone, for those who only look.
    ///
    /// # Errors
    /// What the machine lacks, and what would help.
    pub fn probe(&self, wishes: &Wishes) -> Result<(Arc<dyn ProbeSource>, Choice), Unavailable> {
        let etmem = || {
            sight::check(Tracker::Etmem, wishes)?;
            Ok(Arc::new(Etmem::detect(&self.roots.proc, wishes.scan)?) as Arc<dyn ProbeSource>)
        };
        let bpf = || {
            sight::check(Tracker::Bpf, wishes)?;
            Ok(self.bpf()? as Arc<dyn ProbeSource>)
        };
        let idle = || {
            sight::check(Tracker::Idle, wishes)?;
            self.check_procfs()?;
            Ok(Arc::new(Idle::detect(&self.roots.proc, &self.roots.sys)?) as Arc<dyn ProbeSource>)
        };
        let damon = || {
            sight::check(Tracker::Damon, wishes)?;
            self.check_procfs()?;
            check_own_pid(&self.roots.proc)?;
            Ok(Arc::new(Damon::detect(&self.roots.proc, self.damon())?) as Arc<dyn ProbeSource>)
        };
        let way = |tracker: Tracker| {
            let detect: &dyn Fn() -> Result<Arc<dyn ProbeSource>, Unavailable> = match tracker {
                Tracker::Etmem | Tracker::Auto => &etmem,
                Tracker::Bpf => &bpf,
                Tracker::Idle => &idle,
                Tracker::Damon => &damon,
            };
            Way { name: tracker.name(), detect }
        };
        let named = [wishes.tracker];
        let (wish, ways) = match wishes.tracker {
            Tracker::Auto => (None, sight::order(wishes)),
            tracker @ (Tracker::Etmem | Tracker::Bpf | Tracker::Idle | Tracker::Damon) => {
                (Some(tracker.name()), &named[..])
            }
        };
        let ways: Vec<_> = ways.iter().copied().map(way).collect();
        choose("tracker", wish, &ways)
    }

    /// The processes of `target` that run a KVM guest now: not every probe sees what touches these.
    #[must_use]
    pub fn guests(&self, target: &Target) -> Vec<Pid> {
        let found = Processes::new(self.roots.proc.clone()).find(target).unwrap_or_default();
        let runs_guest = |process: &ProcessId| runs_guest(&self.roots.proc, process.pid);
        found.iter().filter(|process| runs_guest(process)).map(|process| process.pid).collect()
    }

    fn mover(&self, wishes: &Wishes) -> Result<(Arc<dyn PageMover>, Choice), Unavailable> {
        let proc = &self.roots.proc;
        let etmem = || Ok(Arc::new(mover::etmem::Etmem::detect(proc)?) as Arc<dyn PageMover>);
        let madvise = || {
            self.check_procfs()?;
            check_own_pid(proc)?;
            Ok(Arc::new(Madvise::detect(proc)?) as Arc<dyn PageMover>)
        };
        let wish = match wishes.mover {
            Mover::Auto | Mover::Elsewhere => None,
            Mover::Etmem => Some("etmem"),
            Mover::Madvise => Some("madvise"),
        };
        choose(
            "mover",
            wish,
            &[Way { name: "etmem", detect: &etmem }, Way { name: "madvise", detect: &madvise }],
        )
    }

    /// Which of openEuler's modules are loaded now. Cheap enough to be asked for before each cycle.
    #[must_use]
    pub fn modules(&self) -> Modules {
        let proc = &self.roots.proc;
        Modules { scan: IDLE_PAGES.is_served(proc), swap: SWAP_PAGES.is_served(proc) }
    }

    /// The machine's nodes, and a mover between them.
    fn numa(&self) -> Result<Numa, Unavailable> {
        self.check_procfs()?;
        check_own_pid(&self.roots.proc)?;
        let mover = mover::numa::Numa::detect(&self.roots.proc, &self.roots.sys)?;
        let nodes = MachineNodes(self.roots.sys.clone());
        Ok(Numa { nodes: Arc::new(nodes), mover: Arc::new(mover) })
    }

    /// The page walk, loaded once.
    fn bpf(&self) -> Result<Arc<Bpf>, Unavailable> {
        let mut loaded = self.bpf.lock();
        if let Some(bpf) = &*loaded {
            return Ok(Arc::clone(bpf));
        }
        self.check_procfs()?;
        check_own_pid(&self.roots.proc)?;
        let bpf = Arc::new(Bpf::detect(&self.roots.proc, &self.roots.sys)?);
        *loaded = Some(Arc::clone(&bpf));
        Ok(bpf)
    }

    /// The machine's DAMON, which all tasks share.
    fn damon(&self) -> Arc<SharedDamon> {
        let mut damon = self.damon.lock();
        Arc::clone(damon.get_or_insert_with(|| Arc::new(SharedDamon::new(&self.roots.sys))))
    }

    /// System calls are about the processes of the running kernel: not about those of a folder of files.
    fn check_procfs(&self) -> Result<(), Unavailable> {
        let path = self.roots.proc.path();
        match is_procfs(path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unavailable::NotProcfs(path.to_owned())),
            Err(error) => Err(Unavailable::refused(path.display(), error)),
        }
    }

    /// Every probe and mover there is, each with whether it could be had.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let one = |name, available: Result<(), Unavailable>| Capability { name, available };
        let tracker = |tracker| self.probe(&Wishes { tracker, ..Wishes::default() }).map(drop);
        let mover = |mover| self.mover(&Wishes { mover, ..Wishes::default() }).map(drop);
        Capabilities {
            probes: TRACKERS.map(|probe| one(probe.name(), tracker(probe))).into(),
            movers: vec![
                one("etmem", mover(Mover::Etmem)),
                one("madvise", mover(Mover::Madvise)),
                one("numa", self.numa().map(drop)),
            ],
        }
    }
}

/// What stands for a probe where no page is looked at; `refusal` is what a look gets all the same.
fn no_probe(name: &'static str, reason: &str, refusal: &'static str) -> (Arc<dyn ProbeSource>, Choice) {
    (Arc::new(NoProbe { name, refusal }), Choice { name, reason: reason.to_owned() })
}

/// All probes, the best first.
const TRACKERS: [Tracker; 4] = [Tracker::Etmem, Tracker::Bpf, Tracker::Idle, Tracker::Damon];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{ProcRoot, SysRoot};
    use etmem_core::kernel::wishes::ScanWishes;
    use std::fs;

    fn way<'a>(name: &'static str, detect: &'a dyn Fn() -> Result<Arc<str>, Unavailable>) -> Way<'a, str> {
        Way { name, detect }
    }

    fn fails(reason: &str) -> Result<Arc<str>, Unavailable> {
        Err(Unavailable::Refused { call: "x".into(), reason: reason.into() })
    }

    #[test]
    fn every_wish_on_every_machine() {
        let (yes, no) = (|| Ok(Arc::from("had")), || fails("not here"));
        let never = || panic!("is not wanted");
        let (a, b, c) = ("a", "b", "c");
        for (wish, ways, want) in [
            (
                None,
                [way(a, &yes), way(b, &never), way(c, &never)],
                Ok("a (k=auto takes it where its module is loaded)"),
            ),
            (None, [way(a, &no), way(b, &yes), way(c, &never)], Ok("b (a: x: not here)")),
            (None, [way(a, &no), way(b, &no), way(c, &yes)], Ok("c (a: x: not here; b: x: not here)")),
            (
                None,
                [way(a, &no), way(b, &no), way(c, &no)],
                Err("a: x: not here; b: x: not here; c: x: not here"),
            ),
            (Some(a), [way(a, &yes), way(b, &never), way(c, &never)], Ok("a (as k=a asks)")),
            (Some(a), [way(a, &no), way(b, &never), way(c, &never)], Err("x: not here")),
            (Some(c), [way(a, &never), way(b, &never), way(c, &yes)], Ok("c (as k=c asks)")),
        ] {
            let got = choose("k", wish, &ways).map_err(|error| error.to_string());
            let got = got.map(|(port, choice)| format!("{choice}").replace(&*port, "?"));
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned));
        }
    }

    /// A folder of files with these in the folder of process 7.
    fn machine(files: &[&str]) -> (tempfile::TempDir, Interfaces) {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("7")).unwrap();
        for file in files {
            fs::write(tree.path().join("7").join(file), "").unwrap();
        }
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        (tree, Interfaces::new(roots))
    }

    #[test]
    fn the_modules_files_are_enough() {
        let (_tree, machine) = machine(&["idle_pages", "swap_pages"]);
        let marked = ScanWishes { only_marked: true, ..ScanWishes::default() };
        for scan in [ScanWishes::default(), marked] {
            let chosen = machine.kernel(&Wishes { scan, ..Wishes::default() }).unwrap();
            assert_eq!((chosen.probe.name, chosen.mover.name), ("etmem", "etmem"));
            assert_eq!(
                (chosen.kernel.probe.name(), chosen.kernel.moving.out().unwrap().name()),
                ("etmem", "etmem")
            );
            assert!(chosen.kernel.swap_cache.is_some());
        }
        let available = |list: &[Capability]| -> Vec<_> {
            list.iter().map(|one| (one.name, one.available.is_ok())).collect()
        };
        let capabilities = machine.capabilities();
        let probes = [("etmem", true), ("bpf", false), ("idle", false), ("damon", false)];
        assert_eq!(available(&capabilities.probes), probes);
        assert_eq!(available(&capabilities.movers), [("etmem", true), ("madvise", false), ("numa", false)]);
    }

    #[test]
    fn system_calls_are_not_about_a_folder_of_files() {
        let (tree, machine) = machine(&["idle_pages", "swap_pages"]);
        for wishes in [
            Wishes { tracker: Tracker::Bpf, ..Wishes::default() },
            Wishes { mover: Mover::Madvise, ..Wishes::default() },
        ] {
            let reason = machine.kernel(&wishes).unwrap_err();
            assert_eq!(reason, Unavailable::NotProcfs(tree.path().to_owned()));
        }
    }

    #[test]
    fn nothing_there_says_all_that_is_missing() {
        let (_tree, machine) = machine(&[]);
        let text = machine.kernel(&Wishes::default()).unwrap_err().to_string();
        assert!(
            text.contains("etmem_scan") && text.contains("not a procfs") && !text.contains('\n'),
            "{text}"
        );
        let (_tree, machine) = self::machine(&["idle_pages"]);
        let text = machine.kernel(&Wishes::default()).unwrap_err().to_string();
        assert!(text.contains("etmem_swap") && !text.contains("etmem_scan"), "{text}");
    }

    #[test]
    fn only_the_module_knows_marks() {
        let (_tree, machine) = machine(&["swap_pages"]);
        let scan = ScanWishes { only_marked: true, ..ScanWishes::default() };
        for tracker in [Tracker::Auto, Tracker::Bpf, Tracker::Etmem] {
            let reason = machine.kernel(&Wishes { tracker, scan, ..Wishes::default() }).unwrap_err();
            let text = reason.to_string();
            if tracker == Tracker::Etmem {
                assert!(text.contains("etmem_scan"), "{text}");
            } else {
                assert!(text.contains("swap_flag=yes") && text.contains("vm_flags="), "{text}");
            }
        }
    }

    #[test]
    fn the_huge_page_pool_is_not_seen_by_all() {
        let (_tree, machine) = machine(&["swap_pages"]);
        let reason = |tracker| {
            let wishes = Wishes { tracker, huge_pool: true, ..Wishes::default() };
            machine.kernel(&wishes).unwrap_err().to_string()
        };
        for tracker in [Tracker::Bpf, Tracker::Idle] {
            assert!(reason(tracker).contains("tracker=damon"), "{}", reason(tracker));
        }
        let auto = reason(Tracker::Auto);
        let at = |name: &str| auto.find(name).unwrap_or(usize::MAX);
        assert!(at("etmem: ") < at("; damon: ") && at("; damon: ") < at("; idle: "), "{auto}");
        assert!(!auto.contains("bpf: "), "{auto}");
    }

    #[test]
    fn a_guest_is_not_looked_at_through_the_page_tables_of_its_process() {
        let (tree, machine) = machine(&["swap_pages"]);
        let folder = tree.path().join("7");
        fs::write(folder.join("stat"), "7 (qemu) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n").unwrap();
        fs::create_dir(folder.join("fd")).unwrap();
        let target = Target::Pid(Pid::new(7).unwrap());
        assert!(machine.guests(&target).is_empty());
        for (name, is_guest) in
            [("socket:[7]", false), ("/dev/kvm", true), ("anon_inode:kvm-vm", true), ("/dev/kvmm", false)]
        {
            let link = folder.join("fd/3");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(name, &link).unwrap();
            assert_eq!(machine.guests(&target).len(), usize::from(is_guest), "{name}");
        }
        let reason = |tracker| {
            let wishes = Wishes { tracker, guest: true, ..Wishes::default() };
            machine.kernel(&wishes).unwrap_err().to_string()
        };
        assert!(reason(Tracker::Bpf).starts_with("bpf does not see what a KVM guest touches: "));
        assert!(!reason(Tracker::Idle).contains("KVM"), "{}", reason(Tracker::Idle));
        let auto = reason(Tracker::Auto);
        assert!(auto.starts_with("etmem: ") && !auto.contains("bpf: "), "{auto}");
    }

    #[test]
    fn who_moves_pages_between_nodes_needs_no_mover_out_of_memory() {
        let (tree, machine) = machine(&["idle_pages"]);
        let wishes = Wishes { nodes: true, ..Wishes::default() };
        // There is none here, and it is not missed: the mover between nodes is.
        let reason = machine.kernel(&wishes).unwrap_err();
        assert_eq!(reason, Unavailable::NotProcfs(tree.path().to_owned()));
        if let Ok(chosen) = Interfaces::default().kernel(&wishes) {
            assert_eq!(
                (chosen.mover.name, chosen.kernel.moving.nodes().unwrap().mover.name()),
                ("numa", "numa")
            );
        }
    }

    #[test]
    fn a_stock_kernel_says_why_it_is_not_the_module() {
        let interfaces = Interfaces::default();
        if let Ok(chosen) = interfaces.kernel(&Wishes::default()) {
            if chosen.probe.name == "bpf" {
                assert!(chosen.probe.reason.contains("idle_pages"), "{}", chosen.probe);
            }
            if chosen.mover.name == "madvise" {
                assert!(chosen.mover.reason.contains("swap_pages"), "{}", chosen.mover);
            }
        }
    }
}
