//! What a daemon sets, and whether any of it is left.
//!
//! | what | where | ends |
//! | --- | --- | --- |
//! | its socket | abstract | with its holder |
//! | its pid file (`-m`) | `/run/etmemd.pid` | at exit; of one that was killed, the next one writes it again |
//! | what it will have to take back | files in `/run/etmem` | when it is taken back; of one that was killed, at the next start |
//! | reclaim of the swap cache | openEuler's module | the same |
//! | DAMON's settings | sysfs | the same |
//! | BPF programs, maps, links; the module's scan flags | open files | with their holder |
//! | accessed bits | page tables | nothing is kept |
//! | processes of engines (`isolate=yes`) | | when the daemon does |
//!
//! It stops no program, traces none and sets nothing of one; and it writes no setting of the kernel beside these. Both is looked at,
//! too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;

use crate::damon;
use crate::process::LIMIT;
use crate::series::{Kind, Series};
use crate::target::Target;

/// What an engine's process is called, in its command line.
const ENGINE: &str = "etmemd-engine";
const PROGRAM: &str = "page_walk";
const MAPS: [&str; 4] = ["walk", "spans", "slots", "tables"];
/// Folders of settings that have to do with memory; what is deeper tells more than is set.
const SETTINGS: [&str; 5] = [
    "/proc/sys/vm",
    "/sys/kernel/mm/swap",
    "/sys/kernel/mm/numa",
    "/sys/kernel/mm/lru_gen",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Once the next daemon answers, or this one has ended.
pub(crate) fn nothing_of(series: &Series) -> Result<()> {
    let log = || series.daemon.as_ref().map(|daemon| daemon.log()).unwrap_or_default();
    let files = files(series);
    ensure!(files.is_empty(), "left in the folder of what is set: {files:?}\n{}", log());
    if series.kind == Kind::Damon {
        let count = damon::count()?;
        ensure!(count == 0, "{count} kdamonds are left\n{}", log());
    }
    if let Target::Scripted(fake, _) = &series.target {
        ensure!(!fake.is_reclaiming(), "the swap cache is reclaimed still\n{}", log());
        ensure!(fake.violations().is_empty(), "{:?}", fake.violations());
    }
    if series.kind == Kind::Isolated {
        let mut left = Vec::new();
        let waited = WallClock::new().wait_until(LIMIT, "processes of engines end", || {
            left = engines(series.socket())?;
            Ok(left.is_empty())
        });
        waited.with_context(|| format!("{left:?} are left"))?;
    }
    Ok(())
}

/// The files that tell what is to be taken back.
pub(crate) fn files(series: &Series) -> Vec<OsString> {
    let files = fs::read_dir(series.state_folder()).into_iter().flatten().flatten();
    // Records are files; the folders of what is scanned and of what tasks know stay.
    let records = files.filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()));
    records.map(|file| file.file_name()).collect()
}

/// The processes of engines of a daemon on `socket`.
fn engines(socket: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for pid in processes()? {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        if words.next() == Some(ENGINE.as_bytes()) && words.any(|word| word == socket.as_bytes()) {
            found.push(pid);
        }
    }
    Ok(found)
}

fn processes() -> Result<Vec<String>> {
    let names = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect())
}

/// Waits until the kernel has nothing of the page walk that no process holds: it lets go of programs a little later than
/// their holder.
pub(crate) fn no_programs() -> Result<()> {
    let mut left = Vec::new();
    let waited = WallClock::new().wait_until(LIMIT, "the kernel lets go of BPF programs", || {
        left = unheld()?;
        Ok(left.is_empty())
    });
    waited.with_context(|| format!("{left:?} are left")).map(drop)
}

/// What the kernel has of the page walk and no process does. Those that come and go while this looks are passed over.
fn unheld() -> Result<Vec<String>> {
    let programs: BTreeMap<u32, Vec<u32>> = aya::programs::loaded_programs()
        .flatten()
        .filter(|program| program.name_as_str() == Some(PROGRAM))
        .map(|program| (program.id(), program.map_ids().ok().flatten().unwrap_or_default()))
        .collect();
    let maps: Vec<u32> = aya::maps::loaded_maps()
        .flatten()
        .filter(|map| map.name_as_str().is_some_and(|name| MAPS.contains(&name)))
        .map(|map| map.id())
        .collect();
    let links: Vec<u32> = aya::programs::loaded_links()
        .flatten()
        .filter(|link| programs.contains_key(&link.program_id()))
        .map(|link| link.id())
        .collect();
    let held = held()?;
    let is_held = |what: &str, id: u32| held.contains(&format!("{what}_id:{id}"));
    let mut left = Vec::new();
    left.extend(programs.keys().filter(|id| !is_held("prog", **id)).map(|id| format!("program {id}")));
    left.extend(links.into_iter().filter(|id| !is_held("link", *id)).map(|id| format!("link {id}")));
    // A map needs no descriptor while its program has one.
    let of_held =
        |id: &u32| programs.iter().any(|(program, maps)| is_held("prog", *program) && maps.contains(id));
    let alone = maps.into_iter().filter(|id| !is_held("map", *id) && !of_held(id));
    left.extend(alone.map(|id| format!("map {id}")));
    Ok(left)
}

/// The programs, maps and links that processes have open: `prog_id:7`.
fn held() -> Result<BTreeSet<String>> {
    let mut held = BTreeSet::new();
    for pid in processes()? {
        for file in fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            let ids = text.lines().filter(|line| line.contains("_id:"));
            held.extend(ids.map(|line| line.split_whitespace().collect::<String>()));
        }
    }
    Ok(held)
}

/// The kernel's settings of memory, by file.
pub(crate) fn settings() -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for folder in SETTINGS.map(Path::new) {
        // Not every kernel has all of them.
        for file in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Ok(text) = fs::read_to_string(file.path()) {
                settings.insert(file.path().display().to_string(), text);
            }
        }
    }
    settings
}
