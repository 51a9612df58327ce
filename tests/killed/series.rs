//! A daemon that is killed again and again, beside others: its socket, its folders, its project and its target.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::instance::{listens, path_text};
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::process::{Ran, Running, run};
use nix::sys::signal::Signal;

use crate::leftovers;
use crate::plan::Phase;
use crate::process::{DaemonProcess, LIMIT};
use crate::target::Target;

/// What `etmem` says that has waited for long enough.
const NO_ANSWER_YET: &str = "the command may still be carried out";

/// The number of a command in the log.
fn number(phase: Phase) -> u32 {
    match phase {
        Phase::Delete => 1,
        Phase::Begin => 2,
        Phase::Stop => 3,
        Phase::Add | Phase::Start | Phase::Scan | Phase::Look | Phase::Move | Phase::Exit => 0,
    }
}

/// A good deal less than anything that is measured takes.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// What the daemons of a series do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Engine slide on real memory, by BPF, as fast as it goes.
    Slide,
    /// The same in the background, with a pid file, and at a rate.
    Background,
    /// By DAMON.
    Damon,
    /// On a scripted machine with openEuler's modules, where the swap cache is reclaimed.
    Modules,
    /// A plugin in a process of its own.
    Isolated,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slide => "slide",
            Self::Background => "background",
            Self::Damon => "damon",
            Self::Modules => "modules",
            Self::Isolated => "isolated",
        }
    }

    /// What it can be killed in.
    pub(crate) fn phases(self) -> &'static [Phase] {
        match self {
            Self::Slide | Self::Background | Self::Damon | Self::Modules => &Phase::ALL,
            // It does nothing without a command.
            Self::Isolated => &[
                Phase::Start,
                Phase::Add,
                Phase::Begin,
                Phase::Scan,
                Phase::Stop,
                Phase::Delete,
                Phase::Exit,
            ],
        }
    }
}

/// Names a series: its kind, and a number, since of some kinds there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeriesId(pub(crate) Kind, pub(crate) u64);

impl SeriesId {
    /// What its rounds are made of.
    pub(crate) fn seed(self) -> u64 {
        let kind = match self.0 {
            Kind::Slide => 1,
            Kind::Background => 2,
            Kind::Damon => 3,
            Kind::Modules => 4,
            Kind::Isolated => 5,
        };
        kind * 10 + self.1
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.0.name(), self.1)
    }
}

/// How long each phase takes here, measured in a round without a kill.
pub(crate) type Durations = BTreeMap<Phase, Duration>;

/// A series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) id: SeriesId,
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    pub(crate) durations: Durations,
    pub(crate) clock: WallClock,
    /// The one that runs, or ran last.
    pub(crate) daemon: Option<DaemonProcess>,
    /// Those before it were killed.
    pub(crate) before: Option<DaemonProcess>,
    folder: tempfile::TempDir,
    socket: String,
    binaries: Binaries,
    started: usize,
}

impl Series {
    /// One whose daemon does not run yet.
    pub(crate) fn new(id: SeriesId, target: Target, binaries: &Binaries) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("etmem-test-").tempdir()?;
        let series = Self {
            id,
            kind: id.0,
            durations: Durations::new(),
            clock: WallClock::new(),
            daemon: None,
            before: None,
            socket: format!("etmem-test-{}-{}", std::process::id(), id),
            binaries: binaries.clone(),
            started: 0,
            folder,
            target,
        };
        let text = series.target.project(series.kind)?;
        fs::write(series.file(), text)?;
        fs::set_permissions(series.file(), fs::Permissions::from_mode(0o600))?;
        Ok(series)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("project.conf")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("etmemd.pid")
    }

    pub(crate) fn state_folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    /// Starts a daemon, and does not wait for it.
    pub(crate) fn spawn(&mut self) -> Result<()> {
        let mut command = Daemon::command(&self.binaries, &self.socket);
        command.env("ETMEMD_STATE_FOLDER", self.state_folder()).env("ETMEMD_PID_FILE", self.pid_file());
        let pid_file = (self.kind == Kind::Background).then(|| self.pid_file());
        if pid_file.is_some() {
            command.arg("-m");
        }
        if let Target::Scripted(fake, _) = &self.target {
            command.arg("--proc-root").arg(fake.root());
        }
        self.started += 1;
        let log = self.folder.path().join(format!("log-{}", self.started));
        if let Some(old) = self.started.checked_sub(3) {
            // There is none of those that came first.
            let _ = fs::remove_file(self.folder.path().join(format!("log-{old}")));
        }
        let daemon = DaemonProcess::spawn(&mut command, &log, pid_file.as_deref())?;
        self.before = self.daemon.replace(daemon);
        Ok(())
    }

    pub(crate) fn daemon(&self) -> Result<&DaemonProcess> {
        self.daemon.as_ref().context("there is no daemon")
    }

    /// Starts one: it answers, it has nothing, and nothing is left of the one before.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.clock.wait_until(LIMIT, "the next daemon listens", || {
            let daemon = self.daemon()?;
            if let Some(status) = daemon.ended()? {
                bail!("the next daemon ended with {status} instead of starting:\n{}", daemon.log());
            }
            self.listens()
        })?;
        let shown = self.must(&["project", "show"])?;
        ensure!(shown.trim() == "no project exists", "the next daemon has a project: {shown}");
        leftovers::nothing_of(self)?;
        if self.kind == Kind::Background {
            let pid = self.daemon()?.pid().context("no daemon is in the background")?;
            let written = fs::read_to_string(self.pid_file())?;
            ensure!(written.trim() == pid.to_string(), "{written:?} in the pid file of {pid}");
        }
        Ok(())
    }

    /// Whether one listens.
    pub(crate) fn listens(&self) -> Result<bool> {
        listens(&self.socket)
    }

    /// Ends it by SIGTERM.
    pub(crate) fn quit(&self) -> Result<()> {
        let daemon = self.daemon()?;
        daemon.signal(Signal::SIGTERM)?;
        let status = daemon.wait()?;
        ensure!(status == 0, "by SIGTERM it ended with {status}:\n{}", daemon.log());
        Ok(())
    }

    /// The same: all is taken back.
    pub(crate) fn end(&self) -> Result<()> {
        self.quit()?;
        leftovers::nothing_of(self)?;
        ensure!(!self.pid_file().exists(), "its pid file is left");
        Ok(())
    }

    fn words(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binaries.etmem);
        command.args(words).args(["-s", &self.socket]);
        command
    }

    /// The command that adds or deletes everything.
    fn of_file(&self, verb: &str) -> Result<Command> {
        let file = self.file();
        Ok(self.words(&["obj", verb, "-f", path_text(&file)?]))
    }

    /// The command of `etmem` that the daemon is killed in; none if the phase has no command.
    pub(crate) fn command(&self, phase: Phase) -> Result<Option<Command>> {
        let project = |verb| Ok(Some(self.words(&["project", verb, "-n", "p"])));
        match phase {
            Phase::Add => self.of_file("add").map(Some),
            Phase::Begin => project("start"),
            Phase::Stop => project("stop"),
            Phase::Delete => self.of_file("del").map(Some),
            Phase::Start | Phase::Scan | Phase::Look | Phase::Move | Phase::Exit => Ok(None),
        }
    }

    /// Does that, and it must succeed.
    pub(crate) fn run_command(&mut self, phase: Phase) -> Result<()> {
        let mut command = self.command(phase)?.context("it is no command")?;
        let ran = run(&mut command, LIMIT)?;
        let took = ran.took;
        if ran.stderr.contains(NO_ANSWER_YET) {
            // On a processor that is emulated and shared, loading takes its time.
            let done = format!(" cmd {} ", number(phase));
            self.until("the command is carried out", || Ok(self.daemon()?.log().contains(&done)))?;
        } else {
            self.succeeded(&command, ran)?;
        }
        // The first time it may have been held up.
        if (self.kind, phase) != (Kind::Damon, Phase::Begin)
            && let Some(length) = self.durations.get_mut(&phase)
        {
            *length = took.min(*length);
        }
        Ok(())
    }

    /// Runs `etmem WORDS`: what it printed.
    pub(crate) fn must(&self, words: &[&str]) -> Result<String> {
        self.succeeds(&mut self.words(words)).map(|ran| ran.stdout)
    }

    fn succeeds(&self, command: &mut Command) -> Result<Ran> {
        let ran = run(command, LIMIT)?;
        self.succeeded(command, ran)
    }

    fn succeeded(&self, command: &Command, ran: Ran) -> Result<Ran> {
        let log = || self.daemon.as_ref().map(DaemonProcess::log).unwrap_or_default();
        ensure!(ran.status == 0, "{command:?}: {}{}log:\n{}", ran.stdout, ran.stderr, log());
        Ok(ran)
    }

    /// Begins what may not come to its end; what it says goes nowhere.
    pub(crate) fn begin(&self, phase: Phase) -> Result<Running> {
        let mut command = self.command(phase)?.context("it is no command")?;
        let said = fs::File::create(self.folder.path().join("client"))?;
        command.stdin(std::process::Stdio::null()).stdout(said.try_clone()?).stderr(said);
        Ok(Running::start(&mut command)?.0)
    }

    /// The same: how long it took.
    pub(crate) fn timed(&self, phase: Phase) -> Result<Duration> {
        let client = self.begin(phase)?;
        let took = self.until("the client ends", || Ok(client.ended()?.is_some()))?;
        let said = || fs::read_to_string(self.folder.path().join("client")).unwrap_or_default();
        if said().contains(NO_ANSWER_YET) {
            let done = format!(" cmd {} ", number(phase));
            return Ok(took + self.until("it is carried out", || Ok(self.daemon()?.log().contains(&done)))?);
        }
        ensure!(
            client.ended()?.is_some_and(|status| status.success()),
            "{} failed: {}",
            phase.name(),
            said()
        );
        Ok(took)
    }

    /// Waits until `found`, and looks often: how long that took.
    pub(crate) fn until(&self, what: &str, mut found: impl FnMut() -> Result<bool>) -> Result<Duration> {
        let begun = self.clock.now();
        while !found()? {
            let log = || self.daemon.as_ref().map(DaemonProcess::log).unwrap_or_default();
            ensure!(self.clock.now() - begun < LIMIT, "waited in vain: {what}; log:\n{}", log());
            self.pass(LOOK_AGAIN)?;
        }
        Ok(self.clock.now() - begun)
    }

    /// Adds all and starts it.
    pub(crate) fn work(&mut self) -> Result<()> {
        self.target.prepare_cycle();
        self.run_command(Phase::Add)?;
        self.run_command(Phase::Begin)
    }

    pub(crate) fn length(&self, phase: Phase) -> Duration {
        self.durations.get(&phase).copied().unwrap_or_default()
    }

    pub(crate) fn pass(&self, time: Duration) -> Result<()> {
        ensure!(self.clock.pause(time) == Pace::Continue, "stopped");
        Ok(())
    }
}
