//! `etmem report`: a record, or what is seen now, as text, a picture, a page or a table.

use super::options::{Looking, duration_args, refuse, roots, roots_of, target_of, targets, word};
use super::recording;
use super::source::{Chosen, Opened, Source};
use super::stage::{Progress, print};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use etmem_core::kernel::process::Target;
use etmem_linux::terminal;
use etmem_record::Event;
use etmem_record::reader::ReadError;
use etmem_record::report::{
    About, Ages, AgesReport, Extent, Format, Grid, HeatReport, WorkingSetReport, room, write_ages,
    write_heat, write_working_set,
};
use std::ffi::OsString;
use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

/// Columns where the terminal does not say how many it has.
const COLUMNS: usize = 100;

/// How often it is shown how far reading is.
const SHOWN_EVERY: u64 = 64;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Heat,
    Ages,
    WorkingSet,
}

fn command() -> Command {
    Command::new("etmemd")
        .arg(Arg::new("report").long("report").action(ArgAction::SetTrue))
        .arg(word("what").value_parser(["heatmap", "ages", "wss"]).required(true))
        .arg(word("format").value_parser(["text", "svg", "html", "csv"]).default_value("text"))
        .arg(word("from").value_parser(value_parser!(PathBuf)))
        .args(targets())
        .group(ArgGroup::new("target").args(["pid", "name", "cgroup", "from"]).required(true).multiple(true))
        .args(duration_args())
        .args(roots())
        .disable_help_flag(true)
}

/// Draws what `arguments` ask for; the status to exit with.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    match draw(matches) {
        Ok(text) => print(&text, 0),
        Err(why) => {
            eprintln!("nothing was reported: {why}");
            ExitCode::from(2)
        }
    }
}

fn draw(mut matches: ArgMatches) -> Result<String, String> {
    let is = |name: &str, value: &str| matches.get_one::<String>(name).is_some_and(|given| given == value);
    let kind = match () {
        () if is("what", "ages") => Kind::Ages,
        () if is("what", "wss") => Kind::WorkingSet,
        () => Kind::Heat,
    };
    let format = match () {
        () if is("format", "svg") => Format::Svg,
        () if is("format", "html") => Format::Html,
        () if is("format", "csv") => Format::Csv,
        () => text(),
    };
    let (looking, from) = (Looking::of(&matches), matches.remove_one::<PathBuf>("from"));
    let (roots, target) = (roots_of(&mut matches), target_of(&mut matches));
    let (source, pid, name) = match (from, target) {
        (Some(path), target) => (Source::open(&path)?, pid_in_record(target)?, path.display().to_string()),
        (None, Some(target)) => {
            let (bytes, _) =
                recording::record(&roots, &target, looking, Vec::new()).map_err(|reason| reason.text)?;
            (Source::Bytes(bytes.into()), None, target.to_string())
        }
        (None, None) => return Err("name a record with --from, or a process".to_owned()),
    };
    report(&source, pid, kind, format).map_err(|error| with_name(&name, &error))
}

/// A failure of the record that is called `name`.
pub(super) fn with_name(name: &str, error: &ReadError) -> String {
    format!("{name} {error}")
}

/// Which process of a record is meant.
pub(super) fn pid_in_record(target: Option<Target>) -> Result<Option<u32>, String> {
    match target {
        None => Ok(None),
        Some(Target::Pid(pid)) => Ok(Some(pid.get())),
        Some(other) => Err(format!("of a record, a process is chosen with -p PID, not as {other}")),
    }
}

fn text() -> Format {
    let out = stdout();
    let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Format::Text { columns: terminal::columns(&out).unwrap_or(COLUMNS), colours }
}

fn report(source: &Source, pid: Option<u32>, kind: Kind, format: Format) -> Result<String, ReadError> {
    let progress = Progress::new();
    let show = |reader: &Opened| {
        if reader.looks().is_multiple_of(SHOWN_EVERY) {
            progress.show(&format_args!("reading: look {}", reader.looks()));
        }
    };
    let mut extents: Vec<Extent> = Vec::new();
    let (chosen, first) = source.choose(pid, |reader, process| {
        show(reader);
        extents.resize_with(reader.processes().len(), Extent::default);
        extents[process].saw(&reader.processes()[process].memory);
    })?;
    let about = about(&first, chosen);
    let Chosen { process, looks } = chosen;
    let since = first.processes()[process].process.since();
    let (mut ages, mut grid) = (Ages::new(since), None);
    if kind == Kind::Heat {
        let (rows, columns) = room(format);
        grid = Some(Grid::new(extents[process].layout(rows), looks, columns));
    }
    let mut reader = source.reader()?;
    while let Some(event) = reader.next()? {
        let Event::Look(look) = event else { continue };
        show(&reader);
        if look.process != process {
            continue;
        }
        let memory = &reader.processes()[process].memory;
        match &mut grid {
            Some(grid) => grid.saw(memory, look.at, look.window),
            None => ages.saw(memory, look.at),
        }
    }
    drop(progress);
    let mappings = &first.processes()[process].mappings;
    Ok(match (kind, &grid) {
        (_, Some(grid)) => write_heat(&HeatReport { about: &about, grid, mappings }, format),
        (Kind::Ages, None) => write_ages(&AgesReport { about: &about, ages: &ages }, format),
        (Kind::WorkingSet | Kind::Heat, None) => {
            write_working_set(&WorkingSetReport { about: &about, ages: &ages }, format)
        }
    })
}

/// What is said of the record.
fn about(reader: &Opened, Chosen { process, looks }: Chosen) -> About {
    let (header, known) = (reader.header(), &reader.processes()[process]);
    let mut notes = Vec::new();
    let begin = i64::try_from(header.start).ok().filter(|start| *start > 0);
    let begin = begin.and_then(|start| jiff::Timestamp::from_second(start).ok());
    let at = begin.map_or(String::new(), |start| format!(" from {start}"));
    let watched = reader.last().saturating_sub(known.process.since());
    let apart = watched / u32::try_from(looks).unwrap_or(u32::MAX).max(1);
    notes.push(format!("{looks} looks{at}, {:.1} s apart", apart.as_secs_f64()));
    if reader.processes().len() > 1 {
        notes.push(format!("the largest of {} processes: choose one with -p PID", reader.processes().len()));
    }
    notes.extend(reader.cut().map(str::to_owned));
    notes.extend(known.ended.clone());
    if header.probe == "damon" {
        notes.push("regions of DAMON: all of a region counts as touched if a page of it was".to_owned());
    }
    let machine = [&*header.machine, &*header.kernel].join(" ").trim().to_owned();
    About {
        program: format!("{} ({})", known.process.name, known.process.pid),
        machine,
        start: header.start,
        notes,
    }
}
