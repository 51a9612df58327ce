//! `[task]`: whose memory an engine works on, and how.

use super::engine::Known;
use super::key_lines::KeyLines;
use crate::error::{ConfigError, FaultClass, Order, Rule};
use crate::keyfile::Group;
use crate::listing::ListedTask;
use crate::setting::{Reader, needed, optional, or_default, settings};
use crate::sibling_groups::SiblingGroups;
use crate::values::{
    Fraction, Percent, SocketAddress, at_least, decimal, decimal_or_none, gibibytes, name, rate, vm_flags,
    within, yes_or_no,
};
use crate::warning::{Ignored, Warnings};
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::process::{Pid, Target};
use etmem_core::kernel::wishes::{Mover, Tracker};
use etmem_core::name::Name;
use etmem_core::throttle::Rate;
use std::borrow::Cow;
use std::path::Path;

pub(crate) const GROUP: &str = "task";

/// Most characters of a `value`: what the kernel keeps of a process's name (`TASK_COMM_LEN` less its zero).
const VALUE_MAX: usize = 15;

/// Where a memdcd listens if a task does not say.
const MEMDCD_SOCKET: &str = "@_memdcd.server";

/// A `[task]` group.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSection {
    /// The line it begins on, from 1.
    pub line: usize,
    /// The project its engine belongs to.
    pub project: Name,
    /// Its engine's name in the project.
    pub engine: Name,
    /// Its own name, unique in its engine.
    pub name: Name,
    /// Which processes it works on.
    pub target: Target,
    /// What its engine has to know.
    pub parameters: TaskParameters,
    /// The keys of which more is asked once it is clear where the task goes, and their lines.
    pub(crate) lines: KeyLines,
}

impl TaskSection {
    /// The line that `key` is written on, from 1; that of the group for a key that is not written or is no longer
    /// asked about.
    #[must_use]
    pub fn line_of(&self, key: &str) -> usize {
        self.lines.of(key).unwrap_or(self.line)
    }
}

/// Parameters of a task, by the name of its engine.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskParameters {
    /// `engine=slide`.
    Slide(SlideTask),
    /// `engine=cslide`.
    Cslide(CslideTask),
    /// `engine=psi`.
    Psi(PsiTask),
    /// `engine=damon`, which needs no more.
    Damon,
    /// `engine=memdcd`.
    Memdcd(MemdcdTask),
    /// Any other engine, which can only be a thirdparty one.
    Other(OtherTask),
}

/// Parameters of a task of a thirdparty engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherTask {
    /// What every task may have, for the plugin to heed, at least 1.
    pub max_threads: usize,
    /// The same: only mappings that the process marked for swapping.
    pub swap_flag: bool,
    /// Every key of the group with its value, each key once: what the plugin gets to read.
    pub keys: Vec<(String, String)>,
    /// The other groups that it gets to read.
    pub siblings: SiblingGroups,
}

/// Parameters of a task of engine slide.
#[derive(Debug, Clone, PartialEq)]
pub struct SlideTask {
    /// `T`: a page counted below it is cold. At most three times the loops of the project, which is not checked
    /// here: 0 to 360, three times the most loops there are.
    pub threshold: u16,
    /// Processes worked on at once, at least 1. There is no upper bound here: that depends on the machine.
    pub max_threads: usize,
    /// Leave alone a process with no more bytes than this in memory; looked at only where the project has a
    /// `sysmem_threshold`.
    pub swap_threshold: Option<u64>,
    /// Only mappings that the process marked for swapping.
    pub swap_flag: bool,
    /// Keep about this share of the process's memory instead of going by `threshold`; never 0.
    pub dram_percent: Option<Percent>,
    /// Only mappings that have all of these flags (ours).
    pub vm_flags: Vec<VmFlag>,
    /// How to see which pages were touched (ours).
    pub tracker: Tracker,
    /// How to get pages out of memory (ours).
    pub mover: Mover,
    /// Do everything but move pages (ours).
    pub dry_run: bool,
    /// How to do no harm (ours).
    pub care: Care,
}

/// What keeps a task of engine slide from doing harm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Care {
    /// `max_refault`: how much of the working set may come back, in percent a minute, 0 to 100; none: it does not matter.
    pub refault_percent: Option<f64>,
    /// `max_rate`: how fast pages may leave.
    pub rate: Rate,
    /// `max_cpu`: how much of a processor the task may use, in percent; none: the default, which goes for looking alone.
    pub processor_percent: Option<Percent>,
    /// `max_swap_use`: most of swap that may be in use, at least 1 %.
    pub swap_use: Percent,
    /// `max_pressure`: most of the time that programs may wait for memory, in percent, 0 to 100; none: it does not matter.
    pub pressure_percent: Option<f64>,
}

impl Default for Care {
    /// As if none of the keys were written.
    fn default() -> Self {
        Self {
            refault_percent: Some(0.2),
            rate: Rate::default(),
            processor_percent: None,
            swap_use: Percent::new(80).unwrap_or_default(),
            pressure_percent: Some(20.0),
        }
    }
}

/// Parameters of a task of engine cslide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CslideTask {
    /// Only mappings that have all of these flags.
    pub vm_flags: Vec<VmFlag>,
    /// Only anonymous mappings.
    pub anon_only: bool,
    /// Ignore what the host itself accesses of a virtual machine's memory.
    pub ign_host: bool,
    /// How to see which pages were touched (ours).
    pub tracker: Tracker,
}

/// Parameters of a task of engine psi.
#[derive(Debug, Clone, PartialEq)]
pub struct PsiTask {
    /// The cgroups: a path or glob below the root of the cgroup file system.
    pub cgroups: Box<str>,
    /// A round at or above this pressure (`some`, in percent of time) is a bad one.
    pub pressure_percent: f64,
    /// Share of the reclaimable bytes to reclaim in a round, to begin with.
    pub reclaim_rate: Fraction,
    /// Least that the rate sinks to.
    pub reclaim_rate_min: Fraction,
    /// Most that the rate rises to.
    pub reclaim_rate_max: Fraction,
    /// Bytes always left beside what cannot be reclaimed.
    pub limit_min_bytes: u64,
    /// Share of the cgroup's limit that is always left.
    pub limit_min_ratio: Fraction,
    /// Most bytes to reclaim in a round.
    pub reclaim_max_bytes: u64,
}

/// Parameters of a task of engine memdcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemdcdTask {
    /// Where the decider listens.
    pub socket: SocketAddress,
}

/// The words of `type`.
#[derive(Debug)]
pub(crate) enum TargetType {
    Pid,
    Name,
}

settings! {
    PROJECT: Name = "project", "every task", |text| needed(text, name);
    ENGINE: Name = "engine", "every task", |text| needed(text, name);
    NAME: Name = "name", "every task", |text| needed(text, name);
    TYPE: TargetType = "type", "every task", |text| needed(text, target_type);
    VALUE: Box<str> = "value", "every task", |text| needed(text, target_value);
    T: u16 = "T", "engine slide", |text| needed(text, |text| within(text, 0, 360));
    MAX_THREADS: usize = "max_threads", "engine slide", |text| or_default(text, "1", threads);
    SWAP_THRESHOLD: Option<u64> = "swap_threshold", "engine slide", |text| optional(text, gibibytes);
    SWAP_FLAG: bool = "swap_flag", "engine slide", |text| or_default(text, "no", yes_or_no);
    TRACKER: Tracker = "tracker", "engines slide and cslide", |text| or_default(text, "auto", tracker);
    MOVER: Mover = "mover", "engine slide", |text| or_default(text, "auto", mover);
    DRY_RUN: bool = "dry_run", "engine slide", |text| or_default(text, "no", yes_or_no);
    MAX_REFAULT: Option<f64> = "max_refault", "engine slide", |text| or_default(text, "0.2", |text| decimal_or_none(text, 0.0, 100.0));
    MAX_RATE: Rate = "max_rate", "engine slide", |text| or_default(text, "auto", rate);
    MAX_CPU: Option<Percent> = "max_cpu", "engine slide", |text| optional(text, |text| Percent::read(text, 1));
    MAX_SWAP_USE: Percent = "max_swap_use", "engine slide", |text| or_default(text, "80", |text| Percent::read(text, 1));
    MAX_PRESSURE: Option<f64> = "max_pressure", "engine slide", |text| or_default(text, "20", |text| decimal_or_none(text, 0.0, 100.0));
    DRAM_PERCENT: Option<Percent> = "dram_percent", "engine slide", |text| or_default(text, "0", dram_percent);
    VM_FLAGS: Vec<VmFlag> = "vm_flags", "engines slide and cslide", |text| optional(text, vm_flags).map(Option::unwrap_or_default);
    ANON_ONLY: bool = "anon_only", "engine cslide", |text| or_default(text, "no", yes_or_no);
    IGN_HOST: bool = "ign_host", "engine cslide", |text| or_default(text, "no", yes_or_no);
    CG_DIR: Box<str> = "cg_dir", "engine psi", |text| needed(text, cgroups);
    PRESSURE: f64 = "pressure", "engine psi", |text| or_default(text, "0.1", |text| decimal(text, 0.0, 100.0));
    RECLAIM_RATE: Fraction = "reclaim_rate", "engine psi", |text| or_default(text, "0.05", Fraction::read);
    RECLAIM_RATE_MIN: Fraction = "reclaim_rate_min", "engine psi", |text| or_default(text, "0.01", Fraction::read);
    RECLAIM_RATE_MAX: Fraction = "reclaim_rate_max", "engine psi", |text| or_default(text, "0.5", Fraction::read);
    LIMIT_MIN_BYTES: u64 = "limit_min_bytes", "engine psi", |text| or_default(text, "0", |text| at_least(text, 0));
    LIMIT_MIN_RATIO: Fraction = "limit_min_ratio", "engine psi", |text| or_default(text, "0.1", Fraction::read);
    RECLAIM_MAX_BYTES: u64 = "reclaim_max_bytes", "engine psi", |text| or_default(text, "1073741824", |text| at_least(text, 0));
    SOCK: SocketAddress = "Sock", "engine memdcd", |text| needed(text, |text| SocketAddress::read(text, MEMDCD_SOCKET));
}

fn target_type(text: &str) -> Result<TargetType, Rule> {
    match text {
        "pid" => Ok(TargetType::Pid),
        "name" => Ok(TargetType::Name),
        // As the samples write it, where a reader is to choose.
        "pid/name" => Err(Rule::Form("either pid or name, and value the one to fit")),
        _ => Err(Rule::Form("pid or name")),
    }
}

fn target_value(text: &str) -> Result<Box<str>, Rule> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".%/_-".contains(&byte);
    if (1..=VALUE_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.into())
    } else {
        Err(Rule::Form("1 to 15 characters out of A-Z a-z 0-9 . % / _ -, as in /proc/PID/comm"))
    }
}

fn threads(text: &str) -> Result<usize, Rule> {
    let count: i64 = text.parse().map_err(|_| Rule::Form("a whole number"))?;
    Ok(usize::try_from(count.max(1)).unwrap_or(usize::MAX))
}

/// 0 is written for "off".
fn dram_percent(text: &str) -> Result<Option<Percent>, Rule> {
    Percent::read(text, 0).map(|percent| Some(percent).filter(|percent| percent.get() > 0))
}

fn tracker(text: &str) -> Result<Tracker, Rule> {
    match text {
        "auto" => Ok(Tracker::Auto),
        "etmem" => Ok(Tracker::Etmem),
        "bpf" => Ok(Tracker::Bpf),
        "idle" => Ok(Tracker::Idle),
        "damon" => Ok(Tracker::Damon),
        _ => Err(Rule::Form("auto, etmem, bpf, idle or damon")),
    }
}

fn mover(text: &str) -> Result<Mover, Rule> {
    match text {
        "auto" => Ok(Mover::Auto),
        "etmem" => Ok(Mover::Etmem),
        "madvise" => Ok(Mover::Madvise),
        _ => Err(Rule::Form("auto, etmem or madvise")),
    }
}

fn cgroups(text: &str) -> Result<Box<str>, Rule> {
    let climbs = text.split('/').any(|part| part == "..");
    if text.is_empty() || climbs || text.contains(char::is_control) {
        Err(Rule::Form("a path or glob below the cgroup root, without .."))
    } else {
        Ok(text.into())
    }
}

/// Reads `group` of the file at `path`.
pub(crate) fn read(
    path: &Path,
    group: &Group<'_>,
    warnings: &mut Warnings<'_>,
) -> Result<TaskSection, ConfigError> {
    let group = name_taken_for_value(group);
    if let Cow::Owned(meant) = &group {
        for pair in meant.pairs.iter().filter(|pair| pair.key == VALUE.key) {
            warnings.add(pair.line, meant, || Ignored::NameForValue { value: pair.value.into() });
        }
    }
    let group = &group;
    let mut reader = Reader::new(path, group, GROUP, KEYS);
    let (project, engine, name) = names(&mut reader)?;
    reader.faults_are(FaultClass::Internal);
    let target = target(&mut reader)?;
    let parameters = match Known::named(&engine) {
        Some(Known::Slide) => TaskParameters::Slide(slide(&mut reader)?),
        Some(Known::Cslide) => TaskParameters::Cslide(cslide(&mut reader)?),
        Some(Known::Psi) => TaskParameters::Psi(psi(&mut reader)?),
        Some(Known::Damon) => TaskParameters::Damon,
        Some(Known::Memdcd) => TaskParameters::Memdcd(MemdcdTask { socket: reader.get(&SOCK)? }),
        Some(Known::Thirdparty) | None => TaskParameters::Other(OtherTask {
            max_threads: reader.get(&MAX_THREADS)?,
            swap_flag: reader.get(&SWAP_FLAG)?,
            keys: reader.all(),
            siblings: SiblingGroups::default(),
        }),
    };
    // A plugin's keys are its own affair.
    if !matches!(parameters, TaskParameters::Other(_)) {
        reader.warn(warnings);
    }
    let lines = KeyLines::new([group.as_ref()]);
    Ok(TaskSection { line: group.line, project, engine, name, target, parameters, lines })
}

/// The group as it was meant where it has no `value` but `name` twice, as the sample in the original's manual
/// does: the first is the name, the second the value.
fn name_taken_for_value<'g, 't>(group: &'g Group<'t>) -> Cow<'g, Group<'t>> {
    if group.pairs.iter().any(|pair| pair.key == VALUE.key) {
        return Cow::Borrowed(group);
    }
    let mut names = (0..).zip(&group.pairs).filter(|(_, pair)| pair.key == NAME.key).map(|(place, _)| place);
    let [_, Some(second), None] = [names.next(), names.next(), names.next()] else {
        return Cow::Borrowed(group);
    };
    let mut meant = group.clone();
    if let Some(pair) = meant.pairs.get_mut(second) {
        pair.key = VALUE.key;
    }
    Cow::Owned(meant)
}

/// By what the task is found: its project, its engine and its own name.
fn names(reader: &mut Reader<'_>) -> Result<(Name, Name, Name), ConfigError> {
    Ok((reader.get(&PROJECT)?, reader.get(&ENGINE)?, reader.get(&NAME)?))
}

/// Reads of `group` of the file at `path` by what the task is found, and nothing else.
pub(crate) fn list(path: &Path, group: &Group<'_>) -> Result<ListedTask, ConfigError> {
    let group = &name_taken_for_value(group);
    let (project, engine, name) = names(&mut Reader::new(path, group, GROUP, KEYS))?;
    Ok(ListedTask { line: group.line, project, engine, name })
}

/// Whose memory the task works on, by `type` and `value`.
pub(crate) fn target(reader: &mut Reader<'_>) -> Result<Target, ConfigError> {
    let target_type = reader.get(&TYPE)?;
    let value = reader.get(&VALUE)?;
    match target_type {
        TargetType::Name => Ok(Target::Comm(value)),
        TargetType::Pid => within(&value, 1, i32::MAX.into())
            .ok()
            .and_then(Pid::new)
            .map(Target::Pid)
            .ok_or_else(|| reader.refuse(&VALUE, Rule::Form("the number of a process, 1 or more"))),
    }
}

fn slide(reader: &mut Reader<'_>) -> Result<SlideTask, ConfigError> {
    Ok(SlideTask {
        threshold: reader.get(&T)?,
        max_threads: reader.get(&MAX_THREADS)?,
        swap_threshold: reader.get(&SWAP_THRESHOLD)?,
        swap_flag: reader.get(&SWAP_FLAG)?,
        dram_percent: reader.get(&DRAM_PERCENT)?,
        vm_flags: reader.get(&VM_FLAGS)?,
        tracker: reader.get(&TRACKER)?,
        mover: reader.get(&MOVER)?,
        dry_run: reader.get(&DRY_RUN)?,
        care: Care {
            refault_percent: reader.get(&MAX_REFAULT)?,
            rate: reader.get(&MAX_RATE)?,
            processor_percent: reader.get(&MAX_CPU)?,
            swap_use: reader.get(&MAX_SWAP_USE)?,
            pressure_percent: reader.get(&MAX_PRESSURE)?,
        },
    })
}

fn cslide(reader: &mut Reader<'_>) -> Result<CslideTask, ConfigError> {
    Ok(CslideTask {
        vm_flags: reader.get(&VM_FLAGS)?,
        anon_only: reader.get(&ANON_ONLY)?,
        ign_host: reader.get(&IGN_HOST)?,
        tracker: reader.get(&TRACKER)?,
    })
}

fn psi(reader: &mut Reader<'_>) -> Result<PsiTask, ConfigError> {
    let task = PsiTask {
        cgroups: reader.get(&CG_DIR)?,
        pressure_percent: reader.get(&PRESSURE)?,
        reclaim_rate: reader.get(&RECLAIM_RATE)?,
        reclaim_rate_min: reader.get(&RECLAIM_RATE_MIN)?,
        reclaim_rate_max: reader.get(&RECLAIM_RATE_MAX)?,
        limit_min_bytes: reader.get(&LIMIT_MIN_BYTES)?,
        limit_min_ratio: reader.get(&LIMIT_MIN_RATIO)?,
        reclaim_max_bytes: reader.get(&RECLAIM_MAX_BYTES)?,
    };
    let rate = (&RECLAIM_RATE, &task.reclaim_rate);
    reader.check_order((&RECLAIM_RATE_MIN, &task.reclaim_rate_min), Order::AtMost, rate)?;
    reader.check_order(rate, Order::AtMost, (&RECLAIM_RATE_MAX, &task.reclaim_rate_max))?;
    Ok(task)
}
