//! Looking at programs for a while, and writing what they touch to a record, without moving anything.
//!
//! ```text
//! arm -> [every] -> look at each process -> append what is new -> [every, or longer: 1 % of a processor] -> ...
//! ```

use super::options::{Asked, Looking};
use super::stage::{Once, Progress, find, print, refused};
use super::watch::{Watch, stopped};
use crate::scan_claims::CommandClaims;
use crate::task_show::text::size;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessId, Target};
use etmem_core::scan::{is_swappable, rest};
use etmem_engine::{Reason, ReasonName};
use etmem_linux::mapping::Mappings;
use etmem_linux::root::{ProcRoot, Roots};
use etmem_record::Writer;
use etmem_record::header::{Ended, Header, NamedMapping, Process, VERSION};
use etmem_record::writer::WriteError;
use nix::fcntl::OFlag;
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Most of a processor that looking takes, in percent.
const PROCESSOR_PERCENT: u32 = 1;

/// Records to `file`; the status to exit with.
pub(super) fn run(asked: &Asked, file: &Path, looking: Looking) -> ExitCode {
    let name = file.display().to_string();
    let recorded = match open(file) {
        Ok(out) => record(&asked.roots, &asked.target, looking, out),
        Err(error) => {
            let why = if error.kind() == io::ErrorKind::AlreadyExists {
                "exists: name another file, or remove it".to_owned()
            } else {
                error.to_string()
            };
            Err(refused(format!("{name}: {why}")))
        }
    };
    let recorded = recorded.map(|(_, recorded)| recorded).unwrap_or_else(|reason| {
        // What has no look is of no use to anyone.
        Recorded { reason: Some(reason), ..Recorded::default() }
    });
    let shown = Shown {
        version: env!("CARGO_PKG_VERSION"),
        command: "record",
        target: asked.target.to_string(),
        file: name,
        recorded,
    };
    let text = if asked.json { shown.json() } else { shown.to_string() };
    print(&text, shown.status())
}

/// Where a program has its memory concerns no other user, and no record is written over.
fn open(file: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits()).open(file)
}

/// Records what the processes of `target` touch.
///
/// # Errors
/// Why nothing could be seen, or written.
pub(super) fn record<W: Write>(
    roots: &Roots,
    target: &Target,
    looking: Looking,
    out: W,
) -> Result<(W, Recorded), Reason> {
    let once = Once::new(roots, target)?;
    let processes = find(&*once.kernel.processes, target)?;
    let header = header(&once.kernel, &roots.proc, target, looking);
    let mut writer = Writer::new(out, &header).map_err(unwritten)?;
    let claims = once.claims()?;
    let mappings = Mappings::new(roots.proc.clone());
    let recorder = Recorder {
        kernel: &once.kernel,
        claims: &claims,
        mappings: &mappings,
        pacer: &*once.pacer,
        progress: &Progress::new(),
        looking,
    };
    let used = once.pacer.processor_time();
    let mut recorded = recorder.record(&processes, &mut writer)?;
    recorded.seconds = once.pacer.processor_time().saturating_sub(used).as_secs_f64();
    recorded.bytes = writer.bytes();
    Ok((writer.into_inner(), recorded))
}

fn unwritten(error: impl fmt::Display) -> Reason {
    refused(format!("the record cannot be written: {error}"))
}

fn header(kernel: &Kernel, proc: &ProcRoot, target: &Target, looking: Looking) -> Header {
    let [machine, release] = proc.host_and_release();
    Header {
        etmem_record: VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine,
        kernel: release,
        target: target.to_string(),
        probe: kernel.probe.name().to_owned(),
        page_bytes: etmem_core::address::PAGE_SIZE,
        interval_seconds: looking.every.as_secs_f64(),
        start: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default(),
    }
}

/// What records.
#[derive(Debug)]
struct Recorder<'a> {
    kernel: &'a Kernel,
    claims: &'a CommandClaims,
    mappings: &'a Mappings,
    pacer: &'a dyn Pacer,
    progress: &'a Progress,
    looking: Looking,
}

/// A process that is looked at.
#[derive(Debug)]
struct Watched {
    watch: Watch,
    /// Its number in the record.
    number: usize,
    name: String,
    looks: u64,
    /// Why it is looked at no more.
    ended: Option<Reason>,
}

/// What became of a record.
#[derive(Debug, Default, Serialize)]
pub(super) struct Recorded {
    watched_seconds: f64,
    /// Processor time.
    seconds: f64,
    bytes: u64,
    looks: u64,
    processes: Vec<RecordedProcess>,
    /// Why nothing was recorded, or why the record is shorter than asked for.
    reason: Option<Reason>,
}

#[derive(Debug, Serialize)]
struct RecordedProcess {
    pid: u32,
    name: String,
    looks: u64,
    resident_bytes: u64,
    reason: Option<Reason>,
}

impl Recorder<'_> {
    fn record<W: Write>(&self, processes: &[ProcessId], writer: &mut Writer<W>) -> Result<Recorded, Reason> {
        let begun = self.pacer.now();
        let mut recorded = Recorded::default();
        let mut all = Vec::new();
        for process in processes {
            match self.begin(*process, begun, writer)? {
                Ok(watched) => all.push(watched),
                Err(reason) => recorded.processes.push(RecordedProcess {
                    pid: process.pid.get(),
                    name: self.kernel.processes.name(*process).unwrap_or_default(),
                    looks: 0,
                    resident_bytes: 0,
                    reason: Some(reason),
                }),
            }
        }
        let early = if all.is_empty() { None } else { self.rounds(&mut all, begun, writer)? };
        for watched in all {
            let Watched { watch, number, name, looks, ended } = watched;
            let (resident_bytes, _) = writer.bytes_of(number);
            let pid = watch.process.pid.get();
            recorded.processes.push(RecordedProcess { pid, name, looks, resident_bytes, reason: ended });
            recorded.looks += looks;
        }
        let why = early.as_ref().map_or("all that was asked for", |reason| &reason.text);
        writer.ended(&Ended { process: None, why: why.to_owned() }).map_err(unwritten)?;
        recorded.reason = early;
        recorded.watched_seconds = self.pacer.now().saturating_sub(begun).as_secs_f64();
        Ok(recorded)
    }

    /// Begins to watch a process.
    fn begin<W: Write>(
        &self,
        process: ProcessId,
        begun: Duration,
        writer: &mut Writer<W>,
    ) -> Result<Result<Watched, Reason>, Reason> {
        let Self { kernel, pacer, .. } = *self;
        let watch = match Watch::begin(process, kernel, self.claims, pacer) {
            Ok(watch) => watch,
            Err(reason) => return Ok(Err(reason)),
        };
        let name = kernel.processes.name(process).unwrap_or_default();
        let since = pacer.now().saturating_sub(begun).as_millis();
        let number = writer.process(&Process {
            pid: process.pid.get(),
            start_time: process.start_time,
            name: name.clone(),
            since_ms: u64::try_from(since).unwrap_or_default(),
        });
        let number = number.map_err(unwritten)?;
        Ok(Ok(Watched { watch, number, name, looks: 0, ended: None }))
    }

    /// Looks until all has been seen. Returns why that was too early.
    fn rounds<W: Write>(
        &self,
        all: &mut [Watched],
        begun: Duration,
        writer: &mut Writer<W>,
    ) -> Result<Option<Reason>, Reason> {
        let Looking { length, every } = self.looking;
        let end = begun + length;
        let (mut next, mut spent) = (begun + every, Duration::ZERO);
        loop {
            let now = self.pacer.now();
            // At its time, or later where looking takes long; the last look is at the end.
            let at = next.max(now + rest(spent, Some(PROCESSOR_PERCENT)));
            if at > end + every / 2 {
                return Ok(None);
            }
            let line = |left: Duration| {
                let seconds = (at.saturating_sub(begun)).saturating_sub(left).as_secs();
                format!("recording: {seconds} of {} s, {}", length.as_secs(), size(writer.bytes()))
            };
            if self.progress.wait(at.saturating_sub(now), self.pacer, line) == Pace::Stop {
                return Ok(Some(stopped()));
            }
            let before = self.pacer.processor_time();
            for watched in all.iter_mut().filter(|watched| watched.ended.is_none()) {
                if let Some(reason) = self.look(watched, begun, writer)? {
                    let ended = Ended { process: Some(watched.number), why: reason.text.clone() };
                    writer.ended(&ended).map_err(unwritten)?;
                    watched.ended = Some(reason);
                }
            }
            spent = self.pacer.processor_time().saturating_sub(before);
            if all.iter().all(|watched| watched.ended.is_some()) {
                return Ok(Some(Reason::new(ReasonName::NoProcess, "there is no process left to look at")));
            }
            next = at + every;
        }
    }

    /// Looks at a process. Returns why it is looked at no more.
    fn look<W: Write>(
        &self,
        watched: &mut Watched,
        begun: Duration,
        writer: &mut Writer<W>,
    ) -> Result<Option<Reason>, Reason> {
        let heat = match watched.watch.look(self.kernel, self.pacer) {
            Ok(Some(heat)) => heat,
            Ok(None) => return Ok(None),
            Err(reason) => return Ok(Some(reason)),
        };
        let at = self.pacer.now().saturating_sub(begun);
        let named = match self.mappings.named(watched.watch.process) {
            Ok(named) => named,
            Err(error) => return Ok(Some(Reason::from(&error))),
        };
        let wanted = named.iter().filter(|(mapping, _)| is_swappable(mapping));
        let mappings = wanted.map(|(mapping, name)| NamedMapping::new(mapping, name)).collect();
        writer.mappings(watched.number, mappings).map_err(unwritten)?;
        match writer.look(watched.number, at, &heat) {
            Ok(()) => watched.looks += 1,
            Err(WriteError::Io(error)) => return Err(unwritten(error)),
            Err(error @ WriteError::TooMuch(_)) => return Ok(Some(refused(error))),
        }
        Ok(None)
    }
}

/// What is said of a record.
#[derive(Debug, Serialize)]
struct Shown {
    version: &'static str,
    command: &'static str,
    target: String,
    file: String,
    #[serde(flatten)]
    recorded: Recorded,
}

impl Shown {
    fn json(&self) -> String {
        // Texts and numbers, so it is always JSON.
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value:#}\n")
    }

    /// The status to exit with: 2 if nothing was recorded, 1 if less than asked for.
    fn status(&self) -> u8 {
        match (self.recorded.looks, &self.recorded.reason) {
            (0, _) => 2,
            (_, Some(_)) => 1,
            (_, None) => 0,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recorded { watched_seconds, seconds, bytes, looks, processes, reason } = &self.recorded;
        for process in processes {
            let RecordedProcess { pid, name, looks, resident_bytes, reason } = process;
            let resident = size(*resident_bytes);
            write!(f, "process {pid} ({name}): {looks} looks, {resident} in memory at the last")?;
            if let Some(Reason { name, text, .. }) = reason {
                write!(f, ", then {name}: {text}")?;
            }
            f.write_str("\n")?;
        }
        if let Some(Reason { text, .. }) = reason {
            let what = if *looks == 0 { "nothing was recorded" } else { "ended early" };
            writeln!(f, "{what}: {text}")?;
        }
        if *looks == 0 {
            return Ok(());
        }
        let percent = if *watched_seconds > 0.0 { seconds * 100.0 / watched_seconds } else { 0.0 };
        writeln!(
            f,
            "recorded {looks} looks in {watched_seconds:.0} s, {}; it took {percent:.1} % of a processor",
            size(*bytes)
        )?;
        writeln!(f, "see it: etmem report heatmap --from {}", self.file)
    }
}
