//! The text files, beside those of the real kernel.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use etmem_testkit::fake::proc::script::{
    PageSize, Script, ScriptedMapping, ScriptedProcess, Segment, Texture,
};

use crate::{PID, START, Stage, cold, hot};

fn script() -> Script {
    let heap = ScriptedMapping { name: "[heap]".into(), ..ScriptedMapping::private(0x1000, vec![hot(4)]) };
    let file = ScriptedMapping {
        permissions: "r-xp".into(),
        inode: 4711,
        name: "/usr/bin/a b".into(),
        ..ScriptedMapping::private(0x40_0000, vec![cold(2)])
    };
    let texture = Texture::Solid(etmem_testkit::fake::proc::script::Life::cold());
    let huge = Segment { pages: 1, size: PageSize::Huge, texture };
    let anonymous = ScriptedMapping::private(START, vec![huge, cold(3)]);
    let parent = ScriptedProcess::new(PID, "a) S (b", vec![heap, file, anonymous]);
    let child = ScriptedProcess { parent: PID, ..ScriptedProcess::new(PID + 1, "child", Vec::new()) };
    Script::new(vec![parent, child])
}

/// The names of the lines `NAME: NUMBER kB`.
fn names(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| Some(line.strip_suffix("kB")?.split_once(':')?.0.to_owned())).collect()
}

pub(crate) fn as_the_kernel_writes_them() -> Result<()> {
    let stage = Stage::with(script())?;
    let maps = stage.text("maps")?;
    let want = "00001000-00005000 rw-p 00000000 00:00 0                                  [heap]\n\
        00400000-00402000 r-xp 00000000 fe:00 4711                               /usr/bin/a b\n\
        700000000000-700000203000 rw-p 00000000 00:00 0 \n";
    ensure!(maps == want, "{maps}");
    // A line with a name has it in the real kernel's column.
    let real = fs::read_to_string("/proc/self/maps")?;
    let named = real.lines().find(|line| line.ends_with("[stack]")).context("no stack")?;
    ensure!(maps.lines().next().context("no line")?.find('[') == named.find('['), "{named}");
    let real = names(&fs::read_to_string("/proc/self/smaps")?);
    let ours = names(&stage.text("smaps")?);
    ensure!(ours.is_subset(&real) && ours.contains("Swap"), "{ours:?} against {real:?}");
    let real = names(&fs::read_to_string("/proc/meminfo")?);
    let ours = names(&fs::read_to_string(stage.fake.root().join("meminfo"))?);
    ensure!(ours.is_subset(&real), "{ours:?} against {real:?}");
    let real = names(&fs::read_to_string("/proc/self/status")?);
    let ours = names(&stage.text("status")?);
    ensure!(ours.is_subset(&real), "{ours:?} against {real:?}");
    ensure!(stage.text("smaps")?.contains("AnonHugePages:      2048 kB\n"));
    let fields = |text: &str| text.rsplit(')').next().map_or(0, |rest| rest.split_whitespace().count());
    let real = fs::read_to_string("/proc/self/stat")?;
    ensure!(fields(&stage.text("stat")?) == fields(&real), "{real}");
    ensure!(stage.text("stat")?.starts_with("4711 (a) S (b) S 1 "));
    // Two spaces of the name come before it.
    ensure!(stage.text("stat")?.split(' ').nth(21 + 2) == Some("5711"), "{}", stage.text("stat")?);
    ensure!(stage.text("comm")? == "a) S (b\n");
    ensure!(stage.text("statm")?.split(' ').nth(1) == Some("521"), "{}", stage.text("statm")?);
    ensure!(stage.text("task/4711/children")? == "4712 ");
    ensure!(!stage.path("task/4712").exists() && !stage.path("children").exists());
    let release = fs::read_to_string(stage.fake.root().join("sys/kernel/osrelease"))?;
    ensure!(release.starts_with("6.6."));
    let listed: BTreeSet<String> = fs::read_dir(stage.fake.root().join("4711"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    for name in ["maps", "smaps", "status", "stat", "idle_pages", "swap_pages", "task"] {
        ensure!(listed.contains(name), "{name} is not in {listed:?}");
    }
    for name in &listed {
        ensure!(fs::symlink_metadata(stage.path(name)).is_ok(), "{name} is listed and not there");
    }
    Ok(())
}

pub(crate) fn the_process_that_asks() -> Result<()> {
    let stage = Stage::with(script())?;
    let ours = fs::read_to_string(stage.fake.root().join("self/stat"))?;
    ensure!(ours.starts_with(&format!("{} (", std::process::id())), "{ours}");
    Ok(())
}
