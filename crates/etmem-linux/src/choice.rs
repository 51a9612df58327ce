//! Which probe and which mover a task gets: what it wishes, of what the machine has, and why.
//!
//! By itself, openEuler's modules where they are loaded, else what a stock kernel has. The two choices are apart: the
//! module's scan goes with `process_madvise`, and a page walk with the module's swapping. What a task names is taken or
//! refused, never replaced.

use crate::capabilities::{Capabilities, Capability};
use crate::groups::MachineGroups;
use crate::mapping::Mappings;
use crate::memory::MachineMemory;
use crate::mover::{self, madvise::Madvise};
use crate::pressure::MachinePressure;
use crate::probe::bpf::Bpf;
use crate::probe::etmem::Etmem;
use crate::process::table::Processes;
use crate::root::Roots;
use crate::sys::machine::is_procfs;
use crate::unavailable::Unavailable;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mover::PageMover;
use etmem_core::kernel::probe::ProbeSource;
use etmem_core::kernel::wishes::{Choice, Chosen, Mover, ScanWishes, Tracker, Wishes};
use std::sync::{Arc, Mutex, PoisonError};

/// The interfaces of a machine, for all tasks: what is expensive to load is loaded when first wanted, and kept.
#[derive(Debug, Default)]
pub struct Interfaces {
    roots: Roots,
    bpf: Mutex<Option<Arc<Bpf>>>,
}

/// One of two ways: its name, and how to have it.
struct Way<'a, T: ?Sized> {
    name: &'static str,
    detect: &'a dyn Fn() -> Result<Arc<T>, Unavailable>,
}

/// Chooses: `first` or `second` where a task names it by `wish`, else the first that there is.
fn choose<T: ?Sized>(
    key: &str,
    wish: Option<&'static str>,
    first: &Way<'_, T>,
    second: &Way<'_, T>,
) -> Result<(Arc<T>, Choice), Unavailable> {
    if let Some(wish) = wish {
        let way = if wish == first.name { first } else { second };
        return Ok(((way.detect)()?, Choice { name: way.name, reason: format!("as {key}={wish} asks") }));
    }
    let why_not = match (first.detect)() {
        Ok(port) => {
            let reason = format!("{key}=auto takes it where its module is loaded");
            return Ok((port, Choice { name: first.name, reason }));
        }
        Err(why_not) => why_not,
    };
    match (second.detect)() {
        Ok(port) => Ok((port, Choice { name: second.name, reason: format!("{}: {why_not}", first.name) })),
        Err(second_reason) => Err(Unavailable::Neither {
            first_name: first.name,
            first: Box::new(why_not),
            second_name: second.name,
            second: Box::new(second_reason),
        }),
    }
}

impl Interfaces {
    /// Those of the machine whose file systems are mounted at `roots`.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self { roots, bpf: Mutex::default() }
    }

    /// The ports for a task with these wishes.
    ///
    /// # Errors
    /// What the machine lacks, and what would help.
    pub fn kernel(&self, wishes: &Wishes) -> Result<Chosen, Unavailable> {
        let (probe, probe_choice) = self.probe(wishes)?;
        let (mover, mover_choice) = self.mover(wishes)?;
        let proc = &self.roots.proc;
        let kernel = Kernel {
            processes: Arc::new(Processes::new(proc.clone())),
            mappings: Arc::new(Mappings::new(proc.clone())),
            memory: Arc::new(MachineMemory::new(proc.clone())),
            pressure: Arc::new(MachinePressure::new(proc.clone())),
            groups: Arc::new(MachineGroups::new(&self.roots)),
            probe,
            mover,
        };
        Ok(Chosen { kernel, probe: probe_choice, mover: mover_choice })
    }

    /// A probe alone, for those who only look.
    ///
    /// # Errors
    /// What the machine lacks, and what would help.
    pub fn probe(&self, wishes: &Wishes) -> Result<(Arc<dyn ProbeSource>, Choice), Unavailable> {
        let etmem = || Ok(Arc::new(Etmem::detect(&self.roots.proc, wishes.scan)?) as Arc<dyn ProbeSource>);
        let bpf = || match only_etmem(wishes.scan) {
            Some((wish, way_out)) => Err(Unavailable::OnlyEtmem { wish, way_out }),
            None => Ok(self.bpf()? as Arc<dyn ProbeSource>),
        };
        let wish = match wishes.tracker {
            Tracker::Auto => None,
            Tracker::Etmem => Some("etmem"),
            Tracker::Bpf => Some("bpf"),
        };
        choose("tracker", wish, &Way { name: "etmem", detect: &etmem }, &Way { name: "bpf", detect: &bpf })
    }

    fn mover(&self, wishes: &Wishes) -> Result<(Arc<dyn PageMover>, Choice), Unavailable> {
        let proc = &self.roots.proc;
        let etmem = || Ok(Arc::new(mover::etmem::Etmem::detect(proc)?) as Arc<dyn PageMover>);
        let madvise = || {
            self.check_procfs()?;
            Ok(Arc::new(Madvise::detect(proc)?) as Arc<dyn PageMover>)
        };
        let wish = match wishes.mover {
            Mover::Auto => None,
            Mover::Etmem => Some("etmem"),
            Mover::Madvise => Some("madvise"),
        };
        choose(
            "mover",
            wish,
            &Way { name: "etmem", detect: &etmem },
            &Way { name: "madvise", detect: &madvise },
        )
    }

    /// The page walk, loaded once.
    fn bpf(&self) -> Result<Arc<Bpf>, Unavailable> {
        let mut loaded = self.bpf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bpf) = &*loaded {
            return Ok(Arc::clone(bpf));
        }
        self.check_procfs()?;
        let bpf = Arc::new(Bpf::detect(&self.roots.proc, &self.roots.sys)?);
        *loaded = Some(Arc::clone(&bpf));
        Ok(bpf)
    }

    /// System calls are about the processes of the running kernel: not about those of a folder of files.
    fn check_procfs(&self) -> Result<(), Unavailable> {
        let path = self.roots.proc.path();
        match is_procfs(path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unavailable::NotProcfs { path: path.to_owned() }),
            Err(error) => {
                let call = path.display().to_string();
                Err(Unavailable::Refused { call, reason: error.to_string() })
            }
        }
    }

    /// Every probe and mover there is, each with whether it could be had.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let one = |name, available: Result<(), Unavailable>| Capability { name, available };
        let tracker = |tracker| self.probe(&Wishes { tracker, ..Wishes::default() }).map(drop);
        let mover = |mover| self.mover(&Wishes { mover, ..Wishes::default() }).map(drop);
        Capabilities {
            probes: vec![one("etmem", tracker(Tracker::Etmem)), one("bpf", tracker(Tracker::Bpf))],
            movers: vec![one("etmem", mover(Mover::Etmem)), one("madvise", mover(Mover::Madvise))],
        }
    }
}

/// What of `wishes` no other scan than the module's can do: the key as written, and the way out.
fn only_etmem(wishes: ScanWishes) -> Option<(&'static str, &'static str)> {
    if wishes.only_marked {
        Some(("swap_flag=yes", "leave it out, and name the mappings by vm_flags="))
    } else if wishes.ignore_host {
        Some(("ign_host=yes", "leave it out"))
    } else if wishes.as_huge {
        Some(("a scan of huge pages only", "leave it out"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{ProcRoot, SysRoot};
    use std::fs;

    fn way<'a>(name: &'static str, detect: &'a dyn Fn() -> Result<Arc<str>, Unavailable>) -> Way<'a, str> {
        Way { name, detect }
    }

    fn fails(reason: &str) -> Result<Arc<str>, Unavailable> {
        Err(Unavailable::Refused { call: "x".into(), reason: reason.into() })
    }

    #[test]
    fn every_wish_on_every_machine() {
        let (first, second) = (|| Ok(Arc::from("1")), || Ok(Arc::from("2")));
        let (no_first, no_second) = (|| fails("no first"), || fails("no second"));
        let never = || panic!("is not wanted");
        let (yes_1, yes_2) = (way("a", &first), way("b", &second));
        let (no_1, no_2) = (way("a", &no_first), way("b", &no_second));
        let never_1 = way("a", &never);
        let never_2 = way("b", &never);
        for (wish, one, two, want) in [
            (None, &yes_1, &never_2, Ok(("1", "a (k=auto takes it where its module is loaded)"))),
            (None, &no_1, &yes_2, Ok(("2", "b (a: x: no first)"))),
            (None, &no_1, &no_2, Err("a: x: no first; b: x: no second")),
            (Some("a"), &yes_1, &never_2, Ok(("1", "a (as k=a asks)"))),
            (Some("a"), &no_1, &never_2, Err("x: no first")),
            (Some("b"), &never_1, &yes_2, Ok(("2", "b (as k=b asks)"))),
            (Some("b"), &never_1, &no_2, Err("x: no second")),
        ] {
            let got = choose("k", wish, one, two).map_err(|error| error.to_string());
            let got = got.map(|(port, choice)| (port.to_string(), choice.to_string()));
            let want = want.map(|(port, text)| (port.to_owned(), text.to_owned())).map_err(str::to_owned);
            assert_eq!(got, want);
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
            assert_eq!((chosen.kernel.probe.name(), chosen.kernel.mover.name()), ("etmem", "etmem"));
        }
        let available = |list: &[Capability]| -> Vec<_> {
            list.iter().map(|one| (one.name, one.available.is_ok())).collect()
        };
        let capabilities = machine.capabilities();
        assert_eq!(available(&capabilities.probes), [("etmem", true), ("bpf", false)]);
        assert_eq!(available(&capabilities.movers), [("etmem", true), ("madvise", false)]);
    }

    #[test]
    fn system_calls_are_not_about_a_folder_of_files() {
        let (tree, machine) = machine(&["idle_pages", "swap_pages"]);
        for wishes in [
            Wishes { tracker: Tracker::Bpf, ..Wishes::default() },
            Wishes { mover: Mover::Madvise, ..Wishes::default() },
        ] {
            let reason = machine.kernel(&wishes).unwrap_err();
            assert_eq!(reason, Unavailable::NotProcfs { path: tree.path().to_owned() });
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
