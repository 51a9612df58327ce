//! `etmem where`: each page is counted where it is, also where the types of swap devices have a hole.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::sinking::Sinking;
use etmem_testkit::hotset::HotSet;
use etmem_testkit::size::MIB;
use serde_json::Value;

use crate::inside::{Disk, Inside, PAGE, Zram, machine, on_disk, page_out, part, places};

pub(crate) fn exact(inside: &Inside) -> Result<()> {
    let (first, second, back) = (Disk::new("first", 64)?, Disk::new("second", 64)?, Disk::new("back", 64)?);
    first.swap_on(3)?;
    second.swap_on(4)?;
    let mut program = inside.program(64 * MIB)?;
    let on_second = part(&program, 48 * MIB, 8 * MIB);
    page_out(&program, on_second)?;
    let zram = Zram::new(128 * MIB, Some(&back))?;
    // Its type is free now, and no device after it gets another.
    first.swap_off()?;
    let in_zram = part(&program, 0, 32 * MIB);
    page_out(&program, in_zram)?;
    let port = machine();
    let old = port.oldest("zram0", Duration::ZERO, 1000)?;
    ensure!(port.begin("zram0", 1000)?.sink(&old.slots).written == 1000);
    let types: Vec<u64> = [on_second, in_zram]
        .into_iter()
        .map(|range| Ok(places(&program, range)?.into_iter().flatten().next().context("nothing")?.0))
        .collect::<Result<_>>()?;
    inside.say(format!("second has the type {}, zram0 the type {}", types[0], types[1]));
    ensure!(types == [1, 2], "there is a hole");
    let report = of(inside, &program, &[])?;
    let shown = &report["processes"][0];
    let level = |name: &str| shown["level_bytes"][name].as_u64().unwrap_or(0);
    let (sunk, stayed) = on_disk(&program, in_zram)?;
    let name = |disk: &Disk| disk.device.file_name().map(|name| name.to_string_lossy().into_owned());
    ensure!(level("zram0") == (stayed * PAGE) as u64, "{shown:#}");
    ensure!(level(&back.device.to_string_lossy()) == (sunk * PAGE) as u64 && sunk == 1000, "{shown:#}");
    ensure!(level(&name(&second).context("no name")?) == 8 << 20, "{shown:#}");
    ensure!(shown["unknown_swap_bytes"] == 0 && shown["shared_swap_bytes"] == 0, "{shown:#}");
    let memory = shown["memory_bytes"].as_u64().context("no memory")?;
    ensure!((24 << 20..40 << 20).contains(&memory), "{shown:#}");
    println!("{}", text(inside, &program)?);
    // The levels alone, with what is missing.
    let levels: Value = serde_json::from_str(&said(inside, &["where", "--json"])?)?;
    let kinds: Vec<&str> = levels["levels"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|level| level["kind"].as_str())
        .collect();
    ensure!(kinds == ["node", "zram", "zram_disk", "disk"], "{levels:#}");
    let doctor = Command::new(&inside.binaries.etmem).arg("doctor").output()?;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let line = doctor.lines().find(|line| line.contains("the disk behind zram")).context(doctor.clone())?;
    inside.say(line.trim());
    ensure!(program.verify()? == 64 * MIB);
    program.kill()?;
    drop(zram);
    second.swap_off()
}

fn said(inside: &Inside, words: &[&str]) -> Result<String> {
    let ran = Command::new(&inside.binaries.etmem).args(words).output()?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    ensure!(
        ran.status.success(),
        "{words:?}: {}: {said}{}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(said)
}

fn text(inside: &Inside, program: &HotSet) -> Result<String> {
    said(inside, &["where", &program.pid().to_string()])
}

fn of(inside: &Inside, program: &HotSet, more: &[&str]) -> Result<Value> {
    let pid = program.pid().to_string();
    Ok(serde_json::from_str(&said(inside, &[&["where", &pid, "--json"], more].concat())?)?)
}
