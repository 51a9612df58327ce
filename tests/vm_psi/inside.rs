//! What the stories share: groups with programs in them, and a task of psi over them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::{ControlGroups, Group, GroupPattern};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::wishes::Wishes;
use etmem_engine::{GroupReport, ReasonName, ScanLocks, StepReport, TaskRunner, engine, keys};
use etmem_linux::choice::Interfaces;
use etmem_linux::groups::MachineGroups;
use etmem_linux::pacer::SystemPacer;
use etmem_linux::root::Roots;
use etmem_testkit::cgroup::ControlGroup;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::hotset::{HotSet, Options};

/// The machine that a story happens in.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) binaries: Binaries,
    pub(crate) clock: WallClock,
    folder: PathBuf,
}

impl Inside {
    pub(crate) fn new(binaries: Binaries) -> Result<Self> {
        let folder = tempfile::tempdir()?.keep();
        Ok(Self { binaries, clock: WallClock::new(), folder })
    }

    /// Tells the reader of a failed test how far it came.
    pub(crate) fn say(&self, what: impl AsRef<str>) {
        println!("{:?}: {}", self.clock.now(), what.as_ref());
    }

    /// A group with a program in it that has `memory`, of which `hot` is touched all the time.
    pub(crate) fn program(&self, path: &str, memory: usize, hot: usize) -> Result<(ControlGroup, HotSet)> {
        let group = ControlGroup::new(path)?;
        let script = group.starting(&self.binaries.hotcold.with_file_name("hotset"), &self.folder)?;
        let program = HotSet::start(&script, Options { memory, hot, huge: false })?;
        Ok((group, program))
    }

    /// Whether the kernel keeps its lists of pages by generations (MGLRU).
    pub(crate) fn generations(on: bool) -> Result<()> {
        fs::write("/sys/kernel/mm/lru_gen/enabled", if on { "y" } else { "n" }).context("MGLRU")
    }
}

/// The groups of this machine, and those that `pattern` names.
pub(crate) fn groups(pattern: &str) -> Result<(MachineGroups, Vec<Group>)> {
    let groups = MachineGroups::new(Roots::default());
    let found = groups.find(&GroupPattern::new(pattern).context("no pattern")?)?;
    Ok((groups, found))
}

/// A task of psi, stepped by hand.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) kernel: Kernel,
    runner: Box<dyn TaskRunner>,
    pacer: SystemPacer,
    /// Of the last round.
    pub(crate) report: StepReport,
}

impl Task {
    /// Over the groups `cg_dir`, with these further lines.
    pub(crate) fn new(cg_dir: &str, lines: &[&str]) -> Result<Self> {
        let text = format!(
            "[project]\nname=p\nscan_type=psi\ninterval=1\n[engine]\nproject=p\nname=psi\n\
             [task]\nproject=p\nengine=psi\nname=t\ncg_dir={cg_dir}\n{}\n",
            lines.join("\n")
        );
        let file = etmem_config::parse(Path::new("psi.yaml"), &text, &keys())?;
        let psi = engine(&file.engines[0], &ScanLocks::default())?;
        let runner = psi.work(&file.projects[0], &file.tasks[0])?;
        let chosen = Interfaces::default().kernel(&Wishes { groups: true, ..Wishes::default() })?;
        println!("sees by {}, moves by {}", chosen.probe, chosen.mover);
        Ok(Self { kernel: chosen.kernel, runner, pacer: SystemPacer::new(), report: StepReport::default() })
    }

    /// The same over other groups than the machine's.
    pub(crate) fn over(mut self, groups: Arc<dyn ControlGroups>) -> Self {
        self.kernel.groups = groups;
        self
    }

    /// A round, without the wait after it: what became of the first group.
    pub(crate) fn round(&mut self) -> Result<GroupReport> {
        self.report = self.runner.step(&self.kernel, &self.pacer);
        let group = self.report.groups.iter().flatten().next().cloned();
        let group = group.with_context(|| format!("no group: {:?}", self.report))?;
        println!("  {}: {}", group.group, group.text);
        Ok(group)
    }

    /// A round and the wait after it.
    pub(crate) fn paced_round(&mut self) -> Result<GroupReport> {
        let report = self.round()?;
        let _ = self.pacer.pause(self.runner.period());
        Ok(report)
    }

    pub(crate) fn wait(&self, duration: Duration) {
        let _ = self.pacer.pause(duration);
    }
}

/// The word of the reason that a round gave.
pub(crate) fn reason(report: &GroupReport) -> Option<ReasonName> {
    report.reason.as_ref().map(|reason| reason.name)
}
