//! What the daemons are about: a program that must not notice that they are killed, or a scripted machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::script::{Life, PAGE, Script, ScriptedMapping, ScriptedProcess, Segment};
use etmem_testkit::laboratory::quoted;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::process::run;
use etmem_testkit::size::MIB;
use etmem_testkit::workload::{Options, Workload};

use crate::process::LIMIT;
use crate::series::{Kind, SeriesId};

pub(crate) const MEMORY: usize = 24 * MIB;
const HOT: usize = 4 * MIB;
const COLD: usize = MEMORY - HOT;
/// Others need the processor, too.
const REST: u64 = 100;
/// A scripted process: far from the machine's own pids.
const SCRIPTED: u32 = 3_000_000;
const START: u64 = 0x7000_0000_0000;

/// A target.
#[derive(Debug)]
pub(crate) enum Target {
    /// A program with hot and cold memory.
    Real(Workload),
    /// A machine with openEuler's modules, and its memory in bytes.
    Scripted(FakeProc, u64),
    /// A plugin that only waits to be asked.
    Plugin(PathBuf),
}

impl Target {
    /// That of a series.
    pub(crate) fn of(id: SeriesId, binaries: &Binaries, folder: &Path) -> Result<Self> {
        match id.0 {
            Kind::Slide | Kind::Background | Kind::Damon => {
                let options = Options { seed: id.seed(), rest: REST, ..Options::new(MEMORY, HOT) };
                Ok(Self::Real(Workload::start(&binaries.hotcold, &options)?))
            }
            Kind::Modules => {
                let segments = vec![Segment::solid(1000, Life::cold()), Segment::solid(1000, Life::hot())];
                let mappings = vec![ScriptedMapping::private(START, segments)];
                let script = Script::new(vec![ScriptedProcess::new(SCRIPTED, "scripted", mappings)]);
                let memory = script.memory;
                Ok(Self::Scripted(FakeProc::mount(script)?, memory))
            }
            Kind::Isolated => plugin(folder).map(Self::Plugin),
        }
    }

    /// The project that is about it.
    pub(crate) fn project(&self, kind: Kind) -> Result<String> {
        // Whether pages leave is not left to what else happens on the machine.
        let always = ["T=1", "max_pressure=none", "max_swap_use=100", "max_refault=none"];
        let how: &[&str] = match kind {
            Kind::Slide => &["tracker=bpf", "max_rate=none"],
            Kind::Background => &["tracker=bpf", "max_rate=16m"],
            Kind::Damon => &["tracker=damon", "max_rate=none"],
            Kind::Modules | Kind::Isolated => &[],
        };
        let lines = [&always[..], how].concat();
        let project = ProjectFile { scans: 1, ..ProjectFile::brisk("p") };
        Ok(match self {
            Self::Real(workload) => project.task_with("t", TaskKind::Pid(workload.pid()), &lines).to_string(),
            Self::Scripted(..) => {
                let marks = ["swapcache_high_wmark=5", "swapcache_low_wmark=3"].map(str::to_owned);
                let project = ProjectFile { extra: marks.into(), ..project };
                project.task_with("t", TaskKind::Pid(SCRIPTED), &lines).to_string()
            }
            Self::Plugin(library) => format!(
                "[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n\n[engine]\nproject=p\nname=thirdparty\neng_name=aborts\n\
                 libname={}\nops_name=aborts_ops\nisolate=yes\n\n[task]\nproject=p\nengine=aborts\nname=t\ntype=pid\nvalue=1\n",
                library.display()
            ),
        })
    }

    /// Makes sure that there is something to do in the next cycle.
    pub(crate) fn prepare_cycle(&self) {
        if let Self::Scripted(fake, memory) = self {
            fake.set_swap_cached(memory / 100 * 6);
        }
    }

    /// How much was done: bytes out, or how often the swap cache was to be reclaimed.
    pub(crate) fn done(&self) -> Result<usize> {
        match self {
            Self::Real(workload) => status_bytes(workload.pid(), "VmSwap"),
            Self::Scripted(fake, _) => Ok(usize::try_from(fake.reclaims())?),
            Self::Plugin(_) => Ok(0),
        }
    }

    /// What is done once all is, or nearly.
    pub(crate) fn all(&self, kind: Kind) -> Option<usize> {
        match self {
            // DAMON tells of blocks of 2 MiB: what is cold beside what is hot stays.
            Self::Real(_) if kind == Kind::Damon => Some(COLD - HOT - 2 * MIB),
            Self::Real(_) => Some(COLD / 100 * 98),
            Self::Scripted(..) | Self::Plugin(_) => None,
        }
    }

    /// Reads back every byte, and so brings all of it into memory: bytes.
    pub(crate) fn verify(&mut self) -> Result<usize> {
        let Self::Real(workload) = self else { return Ok(0) };
        let verified = workload.verify()?;
        ensure!(verified == MEMORY, "{verified} of {MEMORY} bytes are as they were written");
        Ok(verified)
    }

    /// It runs; it is neither stopped nor traced.
    pub(crate) fn is_well(&self) -> Result<()> {
        let Self::Real(workload) = self else { return Ok(()) };
        let status = fs::read_to_string(format!("/proc/{}/status", workload.pid()))?;
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.map(str::trim).with_context(|| format!("no {name} in {status}"))
        };
        let state = field("State:")?;
        ensure!(matches!(state.as_bytes(), [b'R' | b'S' | b'D', ..]), "the target's state is {state}");
        ensure!(field("TracerPid:")? == "0", "the target is traced: {status}");
        Ok(())
    }

    /// How often it has touched its memory, by its last report.
    pub(crate) fn touches(&self) -> u64 {
        match self {
            Self::Real(workload) => workload.sample().ops,
            Self::Scripted(..) | Self::Plugin(_) => 0,
        }
    }

    /// Waits until it reports more touches than `before`.
    pub(crate) fn goes_on(&self, before: u64) -> Result<()> {
        let Self::Real(_) = self else { return Ok(()) };
        let went = WallClock::new().wait_until(LIMIT, "the target goes on", || Ok(self.touches() > before));
        went.map(drop)
    }

    /// What the kernel keeps for it that etmem must not change.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let Self::Real(workload) = self else { return Ok(String::new()) };
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", workload.pid()));
        let status = read("status")?;
        let allowed: Vec<&str> =
            status.lines().filter(|line| line.contains("_allowed") || line.starts_with("VmLck")).collect();
        Ok(format!("{}{}{}", read("cgroup")?, read("oom_score_adj")?, allowed.join("\n")))
    }
}

/// The plugin that does nothing but what it is asked.
fn plugin(folder: &Path) -> Result<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let library = folder.join("aborts.so");
    let command = format!(
        "gcc -D_GNU_SOURCE -shared -fPIC -I{} {} -o {} $(pkg-config --cflags glib-2.0) && chmod 0500 {}",
        quoted(&top.join("include"))?,
        quoted(&top.join("tests/plugin_examples/aborts.c"))?,
        quoted(&library)?,
        quoted(&library)?,
    );
    let ran = run(Command::new("sh").args(["-c", &command]), Duration::from_secs(60))?;
    ensure!(ran.status == 0, "{command}: {}", ran.stderr);
    Ok(library)
}

/// The words `PAGE` and `COLD` are about the same pages.
const _: () = assert!(PAGE == 4096);
