//! The rows of docs/service.md: each engine in the sandbox of the confined unit, as it is or with the drop-in that is shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use etmem_testkit::original::decider::{Heard, Manner, OriginalDecider};
use etmem_testkit::process::Running;
use etmem_testkit::qmp::{ReportingGuest, ScriptedGuest};

use crate::inside::{CONFIG, Inside, MEMORY, NOTIFY, TARGET, in_swap, plugin};

/// Examples, by the names that docs/service.md has.
const SHIPPED: &str = "/usr/lib/systemd/system/etmemd-notify.service.d";
const DROP_INS: &str = "/etc/systemd/system/etmemd-notify.service.d";
const ROW: &str = "/etc/etmem/conf.d/row.conf";
const KERNEL: DropIn = DropIn { example: "kernel-settings.conf", setting: Some("ProtectKernelTunables=no") };
const GROUPS: DropIn = DropIn { example: "control-groups.conf", setting: Some("ProtectControlGroups=no") };
const METRICS: DropIn = DropIn { example: "metrics-file.conf", setting: None };
const LIMITS: &str = "max_rate=none\nmax_refault=none\nmax_pressure=none\n";

/// An example of the package, and the setting that the daemon names where it is missing.
struct DropIn {
    example: &'static str,
    setting: Option<&'static str>,
}

pub(crate) fn slide(inside: &Inside) -> Result<()> {
    let task = format!(
        "{}T=1\nage=none\n{LIMITS}",
        of_target("scan_type=page\nloop=2\ninterval=200ms\nsleep=1", "slide", "")
    );
    row(inside, &task, None, |pid| Ok(in_swap(pid)? > MEMORY / 2))
}

pub(crate) fn cslide(inside: &Inside) -> Result<()> {
    // All of the fast node is kept for hot pages.
    let pair = "node_pair=1,0\nhot_threshold=1\nnode_mig_quota=64\nnode_hot_reserve=1024";
    let project = "scan_type=page\nloop=2\ninterval=200ms\nsleep=1";
    let task = format!("{}anon_only=yes\nign_host=no\n", of_target(project, "cslide", pair));
    row(inside, &task, None, |pid| Ok(on_second_node(pid)? > MEMORY / 2))
}

pub(crate) fn psi(inside: &Inside) -> Result<()> {
    let task = format!(
        "[project]\nname=row\nscan_type=psi\ninterval=1\n[engine]\nproject=row\nname=psi\n\
         [task]\nproject=row\nengine=psi\nname=it\ncg_dir=system.slice/{TARGET}\nreclaim_rate=0.3\nreclaim_rate_min=0.3\n\
         pressure=90\nio_pressure=90\nmax_refault=none\nmax_rate=none\n"
    );
    let is_placed = || Path::new(DROP_INS).join(GROUPS.example).exists();
    let mut looks = false;
    row(inside, &task, Some(GROUPS), |pid| {
        let looked = said(inside)?.contains("the kernel looks at which of its memory is in use");
        ensure!(is_placed() || !looked, "the kernel can be asked to look without {}", GROUPS.example);
        looks |= looked;
        Ok(in_swap(pid)? > MEMORY / 8)
    })?;
    ensure!(looks, "the kernel could not be asked to look");
    Ok(())
}

pub(crate) fn damon(inside: &Inside) -> Result<()> {
    let project = "scan_type=region\nsample_interval=5000\naggr_interval=100000\nupdate_interval=1000000\n\
                   min_nr_regions=10\nmax_nr_regions=100";
    let action = "min_size=4096\nmax_size=1099511627776\nmin_acc=0\nmax_acc=0\nmin_age=5\nmax_age=100000\n\
                  action=pageout\nmax_rate=none\nmax_swap_use=100\nmax_pressure=none";
    let task = of_target(project, "damon", action);
    row(inside, &task, Some(KERNEL), |pid| Ok(in_swap(pid)? > MEMORY / 8))
}

pub(crate) fn ksm(inside: &Inside) -> Result<()> {
    let task = of_target("scan_type=none\ninterval=5", "ksm", "");
    row(inside, &task, Some(KERNEL), |_| Ok(fs::read_to_string("/sys/kernel/mm/ksm/run")?.trim() == "1"))
}

/// The swap of the machine has a disk behind it; the kernel pages out the program.
pub(crate) fn tiers(inside: &Inside) -> Result<()> {
    let task = "[project]\nname=row\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=row\nname=tiers\n\
                [task]\nproject=row\nengine=tiers\nname=it\ntype=machine\nsink_after=1s\nsink_rate=none\n";
    row(inside, task, Some(KERNEL), |_| {
        let reclaim = format!("/sys/fs/cgroup/system.slice/{TARGET}/memory.reclaim");
        // It ends with EAGAIN where less than that is left.
        let _ = fs::write(reclaim, "32M");
        let counts = fs::read_to_string("/sys/block/zram0/bd_stat")?;
        Ok(counts.split_whitespace().next() != Some("0"))
    })
}

/// A policy in Rust, in a process of its own.
pub(crate) fn isolated_plugin(inside: &Inside) -> Result<()> {
    let path = plugin(inside)?;
    let engine = format!("eng_name=cold_pages\nlibname={path}\nops_name=cold_pages_ops\nisolate=yes");
    let task = of_target("scan_type=page\nloop=1\ninterval=1\nsleep=1", "thirdparty", &engine)
        .replace("engine=thirdparty", "engine=cold_pages");
    row(inside, &format!("{task}cold_below=1\n"), None, |pid| Ok(in_swap(pid)? > MEMORY / 2))
}

/// A process outside of the sandbox decides what leaves: it hears of every page in each round.
pub(crate) fn memdcd(inside: &Inside) -> Result<()> {
    let decider = OriginalDecider::start(Manner::Succeeds)?;
    let task = of_target("loop=2\ninterval=200ms\nsleep=1", "memdcd", "")
        + &format!("Sock=@{}\nvm_flags=rd wr\n", decider.name());
    row(inside, &task, None, |pid| {
        let heard = decider.heard();
        let round =
            heard.iter().rposition(|one| one.status == Heard::LAST).map_or(&[][..], |last| &heard[..=last]);
        let first = round.iter().rposition(|one| one.status == Heard::FIRST).unwrap_or_default();
        let bytes: u64 = round[first..].iter().flat_map(|one| &one.pages).map(|page| page.1).sum();
        let is_of_target = round.last().is_some_and(|one| u32::try_from(one.pid) == Ok(pid));
        Ok(is_of_target && bytes >= MEMORY as u64)
    })?;
    decider.end().map(drop)
}

/// A monitor of QEMU outside of the sandbox: the guest gives memory, and has it back when the service stops.
pub(crate) fn balloon(inside: &Inside) -> Result<()> {
    let folder = tempfile::tempdir_in("/run")?;
    let socket = folder.path().join("qmp");
    let guest = ReportingGuest::start(&socket, ScriptedGuest::default())?;
    let size = guest.guest().size;
    let (qemu, _) = Running::start(Command::new("sleep").arg("1d").stdin(Stdio::null()))?;
    let task = format!(
        "[project]\nname=row\nscan_type=none\ninterval=1\n[engine]\nproject=row\nname=balloon\nhost_pressure=none\nhost_free=100\n\
         [task]\nproject=row\nengine=balloon\nname=it\ntype=pid\nvalue={}\nqmp_socket={}\nballoon_min=128\n",
        qemu.pid(),
        socket.display()
    );
    row(inside, &task, None, |_| Ok(guest.guest().actual < size / 2))?;
    ensure!(guest.guest().actual == size, "the guest has {} of {size} bytes back", guest.guest().actual);
    Ok(())
}

/// In the folder of the example, which is that of node_exporter on Debian.
pub(crate) fn metrics(inside: &Inside) -> Result<()> {
    let folder = Path::new("/var/lib/prometheus/node-exporter");
    fs::create_dir_all(folder)?;
    let task = of_target("scan_type=page\nloop=1\ninterval=1\nsleep=1", "slide", "") + "T=1\n";
    row(inside, &task, Some(METRICS), |_| {
        let text = fs::read_to_string(folder.join("etmem.prom")).unwrap_or_default();
        Ok(text.contains("project=\"row\""))
    })
}

/// A task on the program of the stories.
fn of_target(project: &str, engine: &str, keys: &str) -> String {
    format!(
        "[project]\nname=row\n{project}\n[engine]\nproject=row\nname={engine}\n{keys}\n\
         [task]\nproject=row\nengine={engine}\nname=it\ntype=name\nvalue=hotset\n"
    )
}

/// A fresh program, and the daemon with this task alone: `works` comes true, if need be after the drop-in; without that, the
/// daemon names what is missing, and nothing is done.
fn row(
    inside: &Inside,
    task: &str,
    drop_in: Option<DropIn>,
    mut works: impl FnMut(u32) -> Result<bool>,
) -> Result<()> {
    inside.serve()?;
    let _ = fs::remove_file(CONFIG);
    inside.systemctl(&["stop", NOTIFY, TARGET])?;
    let pid = inside.target()?;
    inside.configure(ROW, task)?;
    inside.systemctl(&["start", NOTIFY])?;
    let mut placed = None;
    if let Some(DropIn { example, setting }) = drop_in {
        if let Some(setting) = setting {
            inside.wait(NOTIFY, &format!("{setting} is named"), || Ok(said(inside)?.contains(setting)))?;
            // Its status is that of all that it finds.
            let doctor = inside.run("/usr/bin/etmem", &["doctor"])?.stdout;
            ensure!(
                doctor.contains(&format!("{example} ({setting})")),
                "doctor does not name {example}:\n{doctor}"
            );
        }
        ensure!(!works(pid)?, "it works without {example}");
        placed = Some(place(example)?);
        inside.systemctl(&["daemon-reload"])?;
        inside.systemctl(&["restart", NOTIFY])?;
    }
    let waited =
        inside.wait(NOTIFY, "it works", || works(pid)).with_context(|| said(inside).unwrap_or_default());
    inside.say(format!("works after {:?}", waited?));
    inside.systemctl(&["stop", NOTIFY])?;
    fs::remove_file(ROW)?;
    if let Some(placed) = placed {
        fs::remove_file(placed)?;
        inside.systemctl(&["daemon-reload"])?;
    }
    Ok(())
}

/// Puts an example where systemd reads it, as docs/service.md says.
fn place(example: &str) -> Result<PathBuf> {
    fs::create_dir_all(DROP_INS)?;
    let place = Path::new(DROP_INS).join(example);
    fs::copy(Path::new(SHIPPED).join(format!("{example}.example")), &place).context(example.to_owned())?;
    Ok(place)
}

/// The journal of the daemon that runs, and its answers about the task.
fn said(inside: &Inside) -> Result<String> {
    let id = inside.property(NOTIFY, "InvocationID")?;
    let journal = inside.must("journalctl", &["--no-pager", &format!("_SYSTEMD_INVOCATION_ID={id}")])?;
    let socket = ["-n", "row", "-s", "etmemd_socket"];
    let shown = inside.run("/usr/bin/etmem", &[&["task", "show"][..], &socket].concat())?;
    Ok(format!("{journal}{}{}", shown.stdout, shown.stderr))
}

/// Bytes of the program in memory of node 1.
fn on_second_node(pid: u32) -> Result<usize> {
    let text = fs::read_to_string(format!("/proc/{pid}/numa_maps"))?;
    let pages = text.split_whitespace().filter_map(|word| word.strip_prefix("N1=")?.parse::<usize>().ok());
    Ok(pages.sum::<usize>() * 4096)
}
