//! What a survey found of a program: bytes by how long they were idle, what moving them out would save and bring back, and the
//! configuration that would do it.

use crate::task_show::text::size;
use etmem_core::compressed::{self, PAGE_BYTES};
use etmem_core::feedback::LastTouches;
use etmem_core::kernel::process::ProcessId;
use etmem_engine::Reason;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// How long pages have been idle, in seconds: close enough to each other that a task does not wait much longer than it must.
const SECONDS: [u64; 8] = [10, 30, 60, 120, 180, 300, 600, 1800];

/// The same.
pub(super) const AGES: [Duration; SECONDS.len()] = {
    let mut ages = [Duration::ZERO; SECONDS.len()];
    let mut number = 0;
    while number < ages.len() {
        ages[number] = Duration::from_secs(SECONDS[number]);
        number += 1;
    }
    ages
};

/// Two thirds of each age: a task counts ages in steps, and may take pages that were idle for two thirds of one ([`etmem_core::age`]). So
/// what returns from then on is what comes back.
pub(super) const RETURNS: [Duration; AGES.len()] = {
    let mut ages = AGES;
    let mut number = 0;
    while number < ages.len() {
        ages[number] = Duration::from_millis(SECONDS[number] * 1000 * 2 / 3);
        number += 1;
    }
    ages
};

/// What may come back in a minute, in percent of the working set: 70 % of `max_refault=0.2`, as a task chooses its age.
const MOST_PERCENT: f64 = 0.7 * 0.2;

/// The working set is what was touched within this time.
const WORKING_SET: Duration = Duration::from_secs(120);

/// What a survey found of a process, or of all processes of a program.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    pub(super) resident: u64,
    /// Of these, what a task of slide looks at.
    pub(super) scanned: u64,
    pub(super) working_set: u64,
    /// For each age; `None` if it was not watched for so long.
    pub(super) idle: Vec<Option<u64>>,
    /// For each age, bytes that were touched after two thirds of it or more.
    pub(super) returned: Vec<u64>,
    pub(super) watched: Duration,
    pub(super) sampled: Sampled,
}

/// A sample of cold pages, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sampled {
    /// That were read.
    pub(super) read: u64,
    /// To which these compress.
    pub(super) lz4: u64,
    pub(super) zstd: u64,
    /// Not read: shared by copy-on-write with a forked process, so that they cannot leave.
    pub(super) shared: u64,
}

impl Sampled {
    /// Adds a page.
    pub(super) fn add(&mut self, page: &[u8; PAGE_BYTES]) {
        self.read += PAGE_BYTES as u64;
        self.lz4 += compressed::lz4(page);
        self.zstd += compressed::copy(page, |page| compress_to_vec(page, CompressionLevel::Fastest));
    }

    /// What `bytes` of such pages take when they are compressed to `of_read`.
    fn taken(&self, bytes: u64, of_read: u64) -> u64 {
        share(bytes, of_read, self.read)
    }

    /// What of `bytes` can leave.
    fn movable(&self, bytes: u64) -> u64 {
        let all = self.read + self.shared;
        if all == 0 { bytes } else { share(bytes, self.read, all) }
    }

    fn append(&mut self, other: Self) {
        self.read += other.read;
        self.lz4 += other.lz4;
        self.zstd += other.zstd;
        self.shared += other.shared;
    }
}

fn share(bytes: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(bytes) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// What moving out at an age would do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Offer {
    pub(super) age: Duration,
    pub(super) idle: u64,
    /// Bytes free for others, less the compressed copy; without a sample, less nothing.
    pub(super) saves: u64,
    /// Percent of the working set that would come back in a minute.
    pub(super) percent_per_minute: f64,
}

impl Found {
    /// What `touches` says of a process with `resident` bytes in memory.
    pub(super) fn of(touches: &LastTouches, resident: u64) -> Self {
        Self {
            resident,
            scanned: touches.resident(),
            working_set: touches.touched_within(WORKING_SET),
            idle: touches.idle(&AGES),
            returned: touches.returned().to_vec(),
            watched: touches.watched(),
            sampled: Sampled::default(),
        }
    }

    /// Adds another process of the same program.
    pub(super) fn append(&mut self, other: &Self) {
        self.resident += other.resident;
        self.scanned += other.scanned;
        self.working_set += other.working_set;
        for (sum, bytes) in self.idle.iter_mut().zip(&other.idle) {
            *sum = sum.zip(*bytes).map(|(sum, bytes)| sum + bytes);
        }
        for (sum, bytes) in self.returned.iter_mut().zip(&other.returned) {
            *sum += bytes;
        }
        self.watched = self.watched.min(other.watched);
        self.sampled.append(other.sampled);
    }

    /// Percent of the working set that would have come back in a minute, for age number `number`.
    fn percent_per_minute(&self, number: usize) -> Option<f64> {
        // Nothing can come back before it has been idle for so long.
        let minutes = self.watched.checked_sub(AGES[number])?.as_secs_f64() / 60.0;
        let returned = percent(*self.returned.get(number)?, self.working_set.max(1 << 20));
        (minutes > 0.0).then(|| returned / minutes)
    }

    fn offer(&self, number: usize) -> Option<Offer> {
        let idle = (*self.idle.get(number)?)?;
        let percent_per_minute = self.percent_per_minute(number)?;
        let movable = self.sampled.movable(idle);
        let saves = movable - self.sampled.taken(movable, self.sampled.lz4).min(movable);
        Some(Offer { age: AGES[number], idle, saves, percent_per_minute })
    }

    /// The youngest age at which little enough would come back; the looks must have lasted half as long again, since
    /// nothing leaves first that would show more.
    pub(super) fn best(&self) -> Option<Offer> {
        let known = (0..AGES.len()).filter(|number| self.watched >= AGES[*number] + AGES[*number] / 2);
        let mut offers = known.filter_map(|number| self.offer(number));
        offers.find(|offer| offer.percent_per_minute <= MOST_PERCENT && offer.idle > 0)
    }

    /// The age of the pages that are sampled: the best, else the oldest that is known.
    pub(super) fn age(&self) -> Duration {
        let mut known = AGES.iter().zip(&self.idle).filter(|(_, idle)| idle.is_some());
        let oldest = known.next_back().map_or(Duration::MAX, |(age, _)| *age);
        self.best().map_or(oldest, |offer| offer.age)
    }
}

/// A program, which has one or several processes.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) processes: Vec<ProcessId>,
    pub(super) found: Found,
    /// Other processes have this name that were not surveyed.
    pub(super) has_namesakes: bool,
}

impl Program {
    /// The program of each of `found`, by its name, the largest first; and those of which nothing is known.
    pub(super) fn all(
        found: Vec<(ProcessId, Result<Found, Reason>)>,
        name: impl Fn(ProcessId) -> String,
    ) -> (Vec<Self>, Vec<(ProcessId, Reason)>) {
        let (mut programs, mut unknown): (Vec<Self>, Vec<_>) = (Vec::new(), Vec::new());
        for (process, found) in found {
            match found {
                Err(reason) => unknown.push((process, reason)),
                Ok(found) => {
                    let name = name(process);
                    match programs.iter_mut().find(|program| program.name == name) {
                        Some(program) => {
                            program.processes.push(process);
                            program.found.append(&found);
                        }
                        None => {
                            programs.push(Self {
                                name,
                                processes: vec![process],
                                found,
                                has_namesakes: false,
                            });
                        }
                    }
                }
            }
        }
        programs.sort_by_key(|program| std::cmp::Reverse(program.found.resident));
        (programs, unknown)
    }

    /// The configuration that would move out what is idle, and nothing that was not looked at; none if no age is good enough, or no task can
    /// name these processes alone.
    pub(super) fn configuration(&self) -> Option<String> {
        let age = self.found.best()?.age.as_secs();
        // A name may have characters that a file cannot.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let name: String =
            self.name.bytes().map(|byte| if plain(byte) { char::from(byte) } else { '_' }).collect();
        let name = name.trim_start_matches('-');
        let target = match &self.processes[..] {
            _ if self.name.bytes().all(plain) && !self.has_namesakes => {
                format!("type=name\nvalue={}", self.name)
            }
            [process] => format!("type=pid\nvalue={process}"),
            _ => return None,
        };
        Some(format!(
            "[project]\nname=survey_{name}\nscan_type=page\nloop=1\ninterval=5\nsleep=5\n\n[engine]\nproject=survey_{name}\nname=slide\n\n\
             [task]\nproject=survey_{name}\nengine=slide\nname={name}\n{target}\nT=1\nage={age}s\n"
        ))
    }
}

/// A program in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    name: String,
    pids: Vec<u32>,
    resident_bytes: u64,
    scanned_bytes: u64,
    working_set_bytes: u64,
    watched_seconds: f64,
    ages: Vec<ShownAge>,
    sample: Option<ShownSample>,
    best: Option<ShownAge>,
    configuration: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownAge {
    age_seconds: u64,
    idle_bytes: Option<u64>,
    saved_bytes: Option<u64>,
    percent_per_minute: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ShownSample {
    read_bytes: u64,
    shared_bytes: u64,
    lz4_bytes: u64,
    zstd_bytes: u64,
}

impl From<&Program> for Shown {
    fn from(program: &Program) -> Self {
        let Program { name, processes, found, .. } = program;
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        let age = |number: usize| ShownAge {
            age_seconds: SECONDS[number],
            idle_bytes: found.idle.get(number).copied().flatten(),
            saved_bytes: found.offer(number).filter(|_| found.sampled.read > 0).map(|offer| offer.saves),
            percent_per_minute: found.percent_per_minute(number).map(rounded),
        };
        let Sampled { read, lz4, zstd, shared } = found.sampled;
        let best = found.best().and_then(|offer| AGES.iter().position(|age| *age == offer.age));
        Self {
            name: name.clone(),
            pids: processes.iter().map(|process| process.pid.get()).collect(),
            resident_bytes: found.resident,
            scanned_bytes: found.scanned,
            working_set_bytes: found.working_set,
            watched_seconds: rounded(found.watched.as_secs_f64()),
            ages: (0..AGES.len()).map(age).collect(),
            sample: (read + shared > 0).then_some(ShownSample {
                read_bytes: read,
                shared_bytes: shared,
                lz4_bytes: lz4,
                zstd_bytes: zstd,
            }),
            best: best.map(age),
            configuration: program.configuration(),
        }
    }
}

/// A time in words.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds if seconds >= 60 && seconds.is_multiple_of(60) => write!(f, "{} min", seconds / 60),
            seconds => write!(f, "{seconds} s"),
        }
    }
}

/// Characters of the longest bar.
const BAR: u64 = 30;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, processes, found, .. } = self;
        let Found { resident, scanned, sampled, watched, .. } = found;
        match &processes[..] {
            [process] => write!(f, "{name} (process {process})")?,
            several => write!(f, "{name} ({} processes)", several.len())?,
        }
        let (resident_size, scanned_size) = (size(*resident), size(*scanned));
        writeln!(
            f,
            ": {resident_size} resident, of which slide can move {scanned_size}; watched for {} s",
            watched.as_secs()
        )?;
        writeln!(f, "  {:>8}  {:>10}  {:>7}  {:>11}", "idle for", "bytes", "of all", "back, %/min")?;
        for (number, (age, idle)) in AGES.iter().zip(&found.idle).enumerate() {
            let Some(idle) = idle else { continue };
            let back =
                found.percent_per_minute(number).map_or_else(|| "-".to_owned(), |back| format!("{back:.2}"));
            let bar = "#".repeat(usize::try_from(share(BAR, *idle, *resident)).unwrap_or(0));
            let (age, share) = (Time(*age).to_string(), percent(*idle, *resident));
            writeln!(f, "  {age:>8}  {:>10}  {share:>5.1} %  {back:>11}  {bar}", size(*idle))?;
        }
        if sampled.read > 0 {
            writeln!(
                f,
                "  cold pages compress to {:.0} % (lz4) or {:.0} % (zstd, its fastest level), by a sample of {}",
                percent(sampled.lz4, sampled.read),
                percent(sampled.zstd, sampled.read),
                size(sampled.read)
            )?;
        }
        if sampled.shared > 0 {
            let share = percent(sampled.shared, sampled.read + sampled.shared);
            writeln!(f, "  {share:.0} % of the sample is shared with a forked process, and cannot leave")?;
        }
        match found.best() {
            Some(Offer { age, idle, saves, percent_per_minute }) => {
                let net = if sampled.read > 0 { "" } else { ", less its compressed copy," };
                writeln!(
                    f,
                    "  {:.0} % of {name} ({}) was idle for {}; moving it out saves {}{net} and brings back {percent_per_minute:.2} % a minute",
                    percent(idle, *resident),
                    size(idle),
                    Time(age),
                    size(saves)
                )?;
                if self.configuration().is_none() {
                    f.write_str("  no configuration: no task can name these processes and no others\n")?;
                }
                Ok(())
            }
            None => writeln!(
                f,
                "  no age is known at which little enough would come back ({MOST_PERCENT:.2} % of the working set a minute); \
                 a longer look (--for) may find one"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;
    use std::path::Path;

    const MIB: u64 = 1 << 20;

    /// Half of 1 GiB is idle; of what was idle for less than 5 min, much comes back.
    fn found() -> Found {
        Found {
            resident: 1024 * MIB,
            scanned: 1020 * MIB,
            working_set: 256 * MIB,
            idle: vec![
                Some(800 * MIB),
                Some(800 * MIB),
                Some(700 * MIB),
                Some(600 * MIB),
                Some(560 * MIB),
                Some(512 * MIB),
                Some(512 * MIB),
                None,
            ],
            returned: vec![900 * MIB, 800 * MIB, 700 * MIB, 600 * MIB, 500 * MIB, MIB, 0, 0],
            watched: Duration::from_secs(600),
            sampled: Sampled { read: 8 * MIB, lz4: 4 * MIB, zstd: 3 * MIB, shared: 0 },
        }
    }

    fn program(name: &str) -> Program {
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 1 };
        Program { name: name.to_owned(), processes: vec![process], found: found(), has_namesakes: false }
    }

    #[test]
    fn the_youngest_age_that_brings_little_back_is_best() {
        let best = found().best().unwrap();
        assert_eq!((best.age, best.idle, best.saves), (Duration::from_secs(300), 512 * MIB, 256 * MIB));
        // 1 MiB of 256 MiB in five minutes.
        assert!((best.percent_per_minute - 0.078).abs() < 0.001, "{best:?}");
        let short = Found { watched: Duration::from_secs(400), ..found() };
        assert_eq!(short.best(), None, "not watched for half as long again");
        assert_eq!(short.age(), Duration::from_secs(600));
        let text = program("mysqld").to_string();
        assert!(
            text.contains(
                "50 % of mysqld (512.0 MiB) was idle for 5 min; moving it out saves 256.0 MiB and brings back 0.08 % a minute"
            ),
            "{text}"
        );
        assert!(text.contains("compress to 50 % (lz4) or 38 % (zstd"), "{text}");
        assert!(!text.contains("30 min"), "it was not watched for so long: {text}");
    }

    #[test]
    fn what_is_shared_saves_nothing() {
        let mut found = found();
        found.sampled.shared = 8 * MIB;
        assert_eq!(found.best().unwrap().saves, 128 * MIB);
        found.sampled = Sampled::default();
        assert_eq!(found.best().unwrap().saves, 512 * MIB, "nothing is known of what its copy takes");
    }

    #[test]
    fn pages_compress_as_in_zram() {
        let mut sampled = Sampled::default();
        sampled.add(&[7; PAGE_BYTES]);
        assert_eq!((sampled.read, sampled.lz4, sampled.zstd), (4096, 0, 0), "one byte throughout");
        let mut random = 1_u64;
        let noise: [u8; PAGE_BYTES] = std::array::from_fn(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56).to_le_bytes()[0]
        });
        sampled.add(&noise);
        assert_eq!((sampled.lz4, sampled.zstd), (4096, 4096), "a page that does not compress takes a page");
        let half: [u8; PAGE_BYTES] = std::array::from_fn(|at| if at < 2048 { noise[at] } else { 0 });
        sampled.add(&half);
        for taken in [sampled.lz4, sampled.zstd] {
            assert!((4096 + 2048..4096 + 2200).contains(&taken), "{sampled:?}");
        }
    }

    #[test]
    fn its_configuration_is_one() {
        for name in ["mysqld", "a b:c", "-x"] {
            let text = program(name).configuration().unwrap();
            let file = etmem_config::parse(Path::new("survey.conf"), &text, &etmem_engine::keys()).unwrap();
            assert_eq!((file.projects.len(), file.tasks.len()), (1, 1), "{text}");
            assert!(text.contains("age=300s"), "{text}");
        }
        let mut several = program("mysqld");
        several.has_namesakes = true;
        let text = several.configuration().unwrap();
        assert!(text.contains("type=pid\nvalue=7\n"), "what was not looked at is not moved: {text}");
        several.processes.push(several.processes[0]);
        assert_eq!(several.configuration(), None);
        assert!(several.to_string().contains("no task can name these processes"), "{several}");
    }

    #[test]
    fn processes_of_a_name_are_one_program() {
        let process = |pid| ProcessId { pid: Pid::new(pid).unwrap(), start_time: 1 };
        let small = Found { resident: MIB, ..found() };
        let gone = Reason::new(etmem_engine::ReasonName::Exited, "gone");
        let all = vec![
            (process(1), Ok(small)),
            (process(2), Ok(found())),
            (process(4), Ok(found())),
            (process(5), Err(gone)),
        ];
        let name = |process: ProcessId| if process.pid.get() == 1 { "small" } else { "large" }.to_owned();
        let (programs, unknown) = Program::all(all, name);
        let names: Vec<_> =
            programs.iter().map(|program| (&*program.name, program.processes.len())).collect();
        assert_eq!(names, [("large", 2), ("small", 1)]);
        assert_eq!(programs[0].found.idle[0], Some(1600 * MIB));
        assert_eq!(unknown.len(), 1);
        let shown = serde_json::to_value(Shown::from(&programs[0])).unwrap();
        assert_eq!(
            (&shown["best"]["age_seconds"], &shown["pids"]),
            (&300.into(), &serde_json::json!([2, 4]))
        );
    }
}
