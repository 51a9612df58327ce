//! The ways that are compared. To add one: a row of `ALL`, and a function that starts it.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::pagemap::processor_ticks;
use etmem_testkit::process::Running;
use etmem_testkit::workload::pace::TICKS;

use crate::damon::{self, Damon};

/// What a contestant works on.
pub(crate) struct Stage<'a> {
    pub(crate) binaries: &'a Binaries,
    /// The group of the workload, below the root.
    pub(crate) group: &'a str,
    pub(crate) pid: u32,
}

/// A way to take memory.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// What it was asked to do, for the table.
    pub(crate) settings: &'static str,
    pub(crate) start: fn(&Stage<'_>) -> Result<Contest>,
}

/// One that is under way; it ends when this is dropped.
pub(crate) enum Contest {
    Nothing,
    Program(Running),
    Daemon(Box<Daemon>),
    Damon(Damon),
}

pub(crate) static ALL: &[Contestant] = &[
    Contestant { name: "nothing", settings: "", start: |_| Ok(Contest::Nothing) },
    Contestant {
        name: "senpai",
        settings: "1 % of usage a second while memory and io some avg10 < 0.1",
        start: senpai,
    },
    Contestant {
        name: "damon vaddr",
        settings: "pageout, age 10 s, 32 MiB/s",
        start: |stage| Damon::of_process(stage.pid).map(Contest::Damon),
    },
    Contestant {
        name: "damon paddr",
        settings: "pageout, age 10 s, 32 MiB/s, the group only",
        start: |stage| Damon::of_group(stage.group).map(Contest::Damon),
    },
    Contestant {
        name: "engine damon",
        settings: "regions without an access for 10 s as in etc/etmem/damon.yaml, max_rate=32m",
        start: engine_damon,
    },
    Contestant { name: "psi", settings: "interval=1, all else as it comes", start: psi },
    Contestant {
        name: "slide",
        settings: "type=cgroup, loop=3 interval=2 sleep=1 T=1, all else as it comes",
        start: |stage| slide(stage, ""),
    },
    Contestant {
        name: "slide at once",
        settings: "the same with age=none",
        start: |stage| slide(stage, "age=none\n"),
    },
];

impl Contest {
    /// Processor time that it has used, the kernel's part included.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let of = |pid: u32| -> Result<Duration> {
            Ok(Duration::from_secs_f64(processor_ticks(pid)? as f64 / TICKS))
        };
        let kdamond = || damon::thread().map_or(Ok(Duration::ZERO), of);
        match self {
            Self::Nothing => Ok(Duration::ZERO),
            Self::Program(program) => of(program.pid()),
            Self::Daemon(daemon) => Ok(of(daemon.pid())? + kdamond()?),
            Self::Damon(_) => kdamond(),
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Daemon(daemon) => daemon.log(),
            Self::Nothing | Self::Program(_) | Self::Damon(_) => String::new(),
        }
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<()> {
        match self {
            Self::Daemon(daemon) => daemon.terminate().map(drop),
            Self::Damon(damon) => damon.end(),
            Self::Nothing | Self::Program(_) => Ok(()),
        }
    }
}

pub(crate) const SENPAI: &str = "--ten-line-senpai";

fn senpai(stage: &Stage<'_>) -> Result<Contest> {
    let mut command = Command::new(env::current_exe()?);
    let group = format!("/sys/fs/cgroup/{}", stage.group);
    let (running, pipes) = Running::start(command.args([SENPAI, &group]).stdin(Stdio::piped()))?;
    // It ends with this program, or when it is dropped.
    std::mem::forget(pipes);
    Ok(Contest::Program(running))
}

/// The ten lines.
pub(crate) fn play_senpai() -> Result<()> {
    let (group, clock) = (env::args().nth(2).context("a group")?, WallClock::new());
    let group = Path::new(&group);
    loop {
        let waits = |file: &str| -> Result<bool> {
            let text = fs::read_to_string(group.join(file))?;
            let avg10 =
                text.split_once("avg10=").and_then(|(_, rest)| rest.split(' ').next()).context("avg10")?;
            Ok(avg10.parse::<f64>()? >= 0.1)
        };
        if !waits("memory.pressure")? && !waits("io.pressure")? {
            let current: u64 = fs::read_to_string(group.join("memory.current"))?.trim().parse()?;
            // Less than was asked for is no fault.
            let _ = fs::write(group.join("memory.reclaim"), (current / 100).to_string());
        }
        let _ = clock.pause(Duration::from_secs(1));
    }
}

fn daemon(stage: &Stage<'_>, text: &str) -> Result<Contest> {
    let daemon = Daemon::start(stage.binaries)?;
    daemon.add(text)?;
    daemon.must(&["project", "start", "-n", "p"])?;
    Ok(Contest::Daemon(Box::new(daemon)))
}

fn engine_damon(stage: &Stage<'_>) -> Result<Contest> {
    let text = format!(
        "[project]\nname=p\nscan_type=region\nsample_interval=5000\naggr_interval=100000\nupdate_interval=1000000\n\
         min_nr_regions=10\nmax_nr_regions=1000\n[engine]\nproject=p\nname=damon\nmin_size=4096\nmax_size=1099511627776\n\
         min_acc=0\nmax_acc=0\nmin_age=100\nmax_age=100000\naction=pageout\nmax_rate=32m\n\
         [task]\nproject=p\nengine=damon\nname=t\ntype=pid\nvalue={}\n",
        stage.pid
    );
    daemon(stage, &text)
}

fn psi(stage: &Stage<'_>) -> Result<Contest> {
    let text = format!(
        "[project]\nname=p\nscan_type=psi\ninterval=1\n[engine]\nproject=p\nname=psi\n\
         [task]\nproject=p\nengine=psi\nname=t\ncg_dir={}\n",
        stage.group
    );
    daemon(stage, &text)
}

fn slide(stage: &Stage<'_>, lines: &str) -> Result<Contest> {
    let text = format!(
        "[project]\nname=p\nloop=3\ninterval=2\nsleep=1\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=cgroup\nvalue={}\nT=1\n{lines}",
        stage.group
    );
    daemon(stage, &text)
}
