//! A task from `--set` to what it did over the record.

use super::super::options::{refuse, word};
use super::super::source::{Opened, Source};
use super::super::stage::{Progress, print};
use super::machine::{Account, ReplayedMachine};
use crate::task_show::text::size;
use clap::{Arg, ArgAction, Command, value_parser};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_engine::{ScanLocks, TaskRunner, engine};
use serde::Serialize;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What stands in the place of a file in messages.
const SET: &str = "--set";

/// Keys of a project; all others are the task's.
const OF_PROJECT: [&str; 4] = ["loop", "interval", "sleep", "sysmem_threshold"];

fn command() -> Command {
    Command::new("etmemd")
        .arg(Arg::new("replay").long("replay").action(ArgAction::SetTrue))
        .arg(word("file").value_parser(value_parser!(PathBuf)).required(true))
        .arg(word("set").action(ArgAction::Append).value_parser(setting))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue))
        .disable_help_flag(true)
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let is_key =
        |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let pair = text.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
    let pair = pair.filter(|(key, value)| is_key(key) && !value.contains(char::is_control));
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or("a setting is KEY=VALUE, such as T=2")
}

/// Replays what `arguments` ask for; the status to exit with.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    let file = matches.get_one::<PathBuf>("file").cloned().unwrap_or_default();
    let set: Vec<(String, String)> =
        matches.get_many::<(String, String)>("set").into_iter().flatten().cloned().collect();
    match replay(&file, &set) {
        Ok(forecast) => {
            let text = if matches.get_flag("json") { forecast.json() } else { forecast.to_string() };
            print(&text, u8::from(forecast.incomplete.is_some()))
        }
        Err(why) => {
            eprintln!("nothing was replayed: {why}");
            ExitCode::from(2)
        }
    }
}

/// Time between two looks of a record, rounded to what a project can say.
fn interval(record: &Opened) -> Duration {
    Duration::try_from_secs_f64(record.header().interval_seconds.round().clamp(1.0, 1200.0))
        .unwrap_or_default()
}

/// The file of a task that works by `set`.
fn configuration(set: &[(String, String)], interval: Duration) -> String {
    let of_project = |key: &&(String, String)| OF_PROJECT.contains(&&*key.0);
    let lines = |keep: &dyn Fn(&&(String, String)) -> bool| {
        set.iter().filter(keep).map(|(key, value)| format!("{key}={value}\n")).collect::<String>()
    };
    let default = |key: &str, value: u64| {
        let is_set = set.iter().any(|(other, _)| other == key);
        if is_set { String::new() } else { format!("{key}={value}\n") }
    };
    let seconds = interval.as_secs();
    format!(
        "[project]\nname=replay\nscan_type=page\n{}{}{}{}\n[engine]\nproject=replay\nname=slide\n\n[task]\nproject=replay\n\
         engine=slide\nname=replay\ntype=pid\nvalue=1\n{}{}",
        default("loop", 1),
        default("interval", seconds),
        default("sleep", seconds),
        lines(&|key| of_project(key)),
        default("T", 1),
        lines(&|key| !of_project(key)),
    )
}

fn task(set: &[(String, String)], interval: Duration) -> Result<Box<dyn TaskRunner>, String> {
    let text = configuration(set, interval);
    let file = etmem_config::parse(Path::new(SET), &text, &etmem_engine::keys())
        .map_err(|error| error.to_string())?;
    let (Some(section), Some(project), Some(task)) =
        (file.engines.first(), file.projects.first(), file.tasks.first())
    else {
        return Err("the settings make no task".to_owned());
    };
    if let Some(scan) = &project.page
        && (scan.interval < interval || scan.sleep < interval)
    {
        // Cycles between two looks would see nothing, and take all for idle.
        return Err(format!(
            "interval={} and sleep={} must be at least the {} s between two looks of the record: set them, or record with a \
             shorter --every",
            scan.interval.as_secs(),
            scan.sleep.as_secs(),
            interval.as_secs()
        ));
    }
    let engine = engine(section, &ScanLocks::default()).map_err(|error| error.to_string())?;
    engine.work(project, task).map_err(|error| error.to_string())
}

fn replay(path: &Path, set: &[(String, String)]) -> Result<Forecast, String> {
    let source = Source::open(path)?;
    let failed = |error: &dyn fmt::Display| format!("{} {error}", path.display());
    let record = source.reader().map_err(|error| failed(&error))?;
    let interval = interval(&record);
    let mut task = task(set, interval)?;
    let machine = ReplayedMachine::new(record, interval);
    let (kernel, progress) = (machine.kernel(), Progress::new());
    let mut last = None;
    let mut cycles = 0;
    while machine.pace() == Pace::Continue {
        let report = task.step(&kernel, &machine);
        cycles += 1;
        progress.show(&format_args!("replaying: {} s", machine.now().as_secs()));
        let told = report.processes.iter().find_map(|process| process.feedback.as_ref()?.forecast.clone());
        last = told.and_then(|told| told.age).or(last);
        if machine.pause(task.period()) == Pace::Stop {
            break;
        }
    }
    drop(progress);
    let account = machine.account();
    if account.looks == 0 {
        return Err(failed(&"has no look: the record ended before the first"));
    }
    Ok(Forecast::new(path, set, &account, cycles, last, machine.failed()))
}

/// What a task would have done.
#[derive(Debug, Serialize)]
struct Forecast {
    version: &'static str,
    command: &'static str,
    file: String,
    set: Vec<String>,
    seconds: f64,
    looks: u64,
    cycles: u64,
    /// That would have left, and of these what would have come back.
    moved_bytes: u64,
    refaulted_bytes: u64,
    /// Out at the end, and on average.
    out_bytes: u64,
    average_out_bytes: u64,
    /// In memory or out at the end.
    program_bytes: u64,
    /// Of what is touched between two looks, in a minute.
    refault_percent_per_minute: f64,
    /// At which pages left in the end, if the task works by ages.
    age_seconds: Option<f64>,
    /// Why the record ends before its end.
    incomplete: Option<String>,
}

impl Forecast {
    fn new(
        path: &Path,
        set: &[(String, String)],
        account: &Account,
        cycles: u64,
        age: Option<Duration>,
        incomplete: Option<String>,
    ) -> Self {
        let looks = account.looks.max(1);
        let (working_set, minutes) =
            (account.touched as f64 / looks as f64, account.passed.as_secs_f64() / 60.0);
        let rate = account.back as f64 * 100.0 / working_set.max(f64::from(1 << 20)) / minutes.max(1e-9);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            command: "replay",
            file: path.display().to_string(),
            set: set.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            seconds: account.passed.as_secs_f64(),
            looks: account.looks,
            cycles,
            moved_bytes: account.moved,
            refaulted_bytes: account.back,
            out_bytes: account.out,
            average_out_bytes: account.out_sum / looks,
            program_bytes: account.all,
            refault_percent_per_minute: (rate * 1000.0).round() / 1000.0,
            age_seconds: age.map(|age| age.as_secs_f64()),
            incomplete,
        }
    }

    fn json(&self) -> String {
        // Texts and numbers, so it is always JSON.
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value:#}\n")
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = if self.set.is_empty() { "the defaults".to_owned() } else { self.set.join(" ") };
        writeln!(
            f,
            "a task of slide with {set}, over {:.0} s ({} looks, {} cycles):",
            self.seconds, self.looks, self.cycles
        )?;
        writeln!(f, "  moved out      {}", size(self.moved_bytes))?;
        writeln!(
            f,
            "  refaulted      {}, {:.3} % of what is in use a minute",
            size(self.refaulted_bytes),
            self.refault_percent_per_minute
        )?;
        writeln!(
            f,
            "  out at the end {} of {}, on average {}",
            size(self.out_bytes),
            size(self.program_bytes),
            size(self.average_out_bytes)
        )?;
        match self.age_seconds {
            Some(age) => writeln!(f, "  pages left when they had been idle for {age:.0} s")?,
            None if self.moved_bytes == 0 => {
                writeln!(f, "  nothing left: record for longer, or set age= to a time (docs/report.md)")?;
            }
            None => {}
        }
        if let Some(why) = &self.incomplete {
            writeln!(f, "  {why}")?;
        }
        f.write_str("\nNothing was moved. Swap, its speed and what it saves are not part of a record: etmem survey says what is saved.\n")
    }
}
