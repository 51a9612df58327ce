//! What the stories share: a machine with swap, a program with cold memory as a unit of its own, and the words of systemd.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::process::{Ran, run};
use etmem_testkit::size::MIB;
use etmem_testkit::swap::areas;

use crate::packages;

pub(crate) const NOTIFY: &str = "etmemd-notify.service";
pub(crate) const FORKING: &str = "etmemd.service";
/// The program whose cold memory moves, as a unit of its own.
pub(crate) const TARGET: &str = "target.service";
pub(crate) const MEMORY: usize = 96 * MIB;
const DISK: &str = "/dev/nullb0";
const PLUGIN: &str = "/usr/lib/etmem/libcold_pages.so";
const HOT: usize = 8 * MIB;
pub(crate) const CONFIG: &str = "/etc/etmem/conf.d/story.conf";
/// Many times what it takes, where every instruction is emulated on a machine that does something else meanwhile.
pub(crate) const LIMIT: Duration = Duration::from_secs(400);

/// The machine that a story happens in.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) binaries: Binaries,
    pub(crate) clock: WallClock,
}

impl Inside {
    pub(crate) fn new(binaries: Binaries) -> Result<Self> {
        let inside = Self { binaries, clock: WallClock::new() };
        if areas()?.is_empty() {
            let zram = "/sys/block/zram0";
            fs::write(format!("{zram}/comp_algorithm"), "lz4")?;
            // Where the machine has a disk in memory, it is for what sinks.
            if Path::new(DISK).exists() {
                fs::write(format!("{zram}/backing_dev"), DISK)?;
            }
            fs::write(format!("{zram}/disksize"), "256M")?;
            inside.must("mkswap", &["-q", "/dev/zram0"])?;
            inside.must("swapon", &["/dev/zram0"])?;
        }
        Ok(inside)
    }

    /// Tells the reader of a failed test how far it came.
    pub(crate) fn say(&self, what: impl AsRef<str>) {
        println!("{:?}: {}", self.clock.now(), what.as_ref());
    }

    pub(crate) fn run(&self, program: &str, words: &[&str]) -> Result<Ran> {
        run(Command::new(program).args(words), LIMIT)
    }

    /// Runs what has to succeed: what it printed.
    pub(crate) fn must(&self, program: &str, words: &[&str]) -> Result<String> {
        let ran = self.run(program, words)?;
        ensure!(ran.status == 0, "{program} {words:?}: {}\n{}{}", ran.status, ran.stdout, ran.stderr);
        Ok(ran.stdout)
    }

    /// By the shell: a small Debian has no kill(1).
    pub(crate) fn signal(&self, signal: &str, pid: &str) -> Result<()> {
        self.must("sh", &["-c", &format!("kill {signal} {pid}")]).map(|_| ())
    }

    pub(crate) fn systemctl(&self, words: &[&str]) -> Result<String> {
        self.must("systemctl", words)
    }

    pub(crate) fn etmem(&self, words: &[&str]) -> Result<String> {
        self.must("/usr/bin/etmem", &[words, &["-s", "etmemd_socket"]].concat())
    }

    pub(crate) fn property(&self, unit: &str, name: &str) -> Result<String> {
        Ok(self.systemctl(&["show", "--property", name, "--value", unit])?.trim().to_owned())
    }

    /// When this happened, as systemd has it: by the clock of the machine.
    pub(crate) fn moment(&self, unit: &str, name: &str) -> Result<Duration> {
        let text = self.property(unit, &format!("{name}TimestampMonotonic"))?;
        Ok(Duration::from_micros(text.parse().with_context(|| format!("{name} of {unit}: {text:?}"))?))
    }

    pub(crate) fn main_pid(&self, unit: &str) -> Result<String> {
        let pid = self.property(unit, "MainPID")?;
        ensure!(pid != "0", "{unit} does not run:\n{}", self.journal(unit)?);
        Ok(pid)
    }

    pub(crate) fn is_active(&self, unit: &str) -> Result<bool> {
        Ok(self.run("systemctl", &["is-active", "--quiet", unit])?.status == 0)
    }

    pub(crate) fn journal(&self, unit: &str) -> Result<String> {
        self.must("journalctl", &["--no-pager", "--output", "short-monotonic", "--unit", unit])
    }

    /// Waits for `found`; says what the unit's journal has if that is in vain.
    pub(crate) fn wait(
        &self,
        unit: &str,
        what: &str,
        found: impl FnMut() -> Result<bool>,
    ) -> Result<Duration> {
        let waited = self.clock.wait_until(LIMIT, what, found);
        waited.with_context(|| self.journal(unit).unwrap_or_default())
    }

    /// The package of this version.
    pub(crate) fn package(&self, package: &str, version: &str) -> Result<PathBuf> {
        packages::file(&packages::packages(), package, version)
    }

    pub(crate) fn install(&self, package: &str, version: &str) -> Result<String> {
        let deb = self.package(package, version)?;
        self.must("dpkg", &["--install", deb.to_str().context("no UTF-8")?])
    }

    pub(crate) fn installed_version(&self) -> Result<String> {
        let found = self.run("dpkg-query", &["--show", "--showformat", "${Status} ${Version}", "etmem"])?;
        Ok(found.stdout.strip_prefix("install ok installed ").unwrap_or_default().to_owned())
    }

    /// Starts the program with cold memory, unless it runs: its pid.
    pub(crate) fn target(&self) -> Result<u32> {
        if !self.is_active(TARGET)? {
            let hotset = self.binaries.hotcold.with_file_name("hotset");
            // It leaves at the end of its input.
            let script = format!("sleep 1d | exec {} --memory {MEMORY} --hot {HOT}", hotset.display());
            self.must("systemd-run", &["--quiet", &format!("--unit={TARGET}"), "sh", "-c", &script])?;
        }
        let mut pid = None;
        self.wait(TARGET, "the program has its memory", || {
            pid = processes_of("hotset")?.first().copied();
            Ok(pid.is_some_and(|pid| {
                let held = resident(pid).unwrap_or(0) + in_swap(pid).unwrap_or(0);
                held >= MEMORY
            }))
        })?;
        pid.context("no program")
    }

    /// A file in the folder of files that a start reads.
    pub(crate) fn configure(&self, path: &str, text: &str) -> Result<()> {
        fs::write(path, text).with_context(|| path.to_owned())?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
    }

    /// The package is installed, the confined unit is enabled and runs, and so does the project of the file.
    pub(crate) fn serve(&self) -> Result<()> {
        if self.installed_version()?.is_empty() {
            self.install("etmem", packages::VERSIONS[0])?;
        }
        self.target()?;
        if !Path::new(CONFIG).exists() {
            self.configure(CONFIG, SLIDE)?;
        }
        if self.is_active(FORKING)? {
            self.systemctl(&["disable", "--now", FORKING])?;
        }
        self.systemctl(&["enable", "--now", NOTIFY])?;
        Ok(())
    }

    /// How many cycles the task of slide has behind it.
    pub(crate) fn cycles(&self) -> Result<u64> {
        let shown = self.etmem(&["task", "show", "-n", "story", "--json"])?;
        let shown: serde_json::Value = serde_json::from_str(&shown).with_context(|| shown.clone())?;
        let cycles = shown["cycles"].as_u64();
        cycles.with_context(|| format!("no cycles in {shown}"))
    }
}

/// A task that acts at once, on the program of the stories.
pub(crate) const SLIDE: &str = "[project]\nname=story\nloop=2\ninterval=200ms\nsleep=1\n\
     [engine]\nproject=story\nname=slide\n\
     [task]\nproject=story\nengine=slide\nname=cold\ntype=name\nvalue=hotset\nT=1\nage=none\nmax_rate=none\nmax_refault=none\n";

/// Installs the example of a policy in Rust: its path.
pub(crate) fn plugin(inside: &Inside) -> Result<&'static str> {
    inside.install("libetmemd-scan", packages::VERSIONS[0])?;
    let built = inside.binaries.etmemd.with_file_name("libcold_pages.so");
    let built = built.to_str().context("no UTF-8")?;
    inside.must("install", &["-D", "-m", "0500", "-o", "root", "-g", "root", built, PLUGIN])?;
    Ok(PLUGIN)
}

/// Processes called `name`.
pub(crate) fn processes_of(name: &str) -> Result<Vec<u32>> {
    let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_called =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name);
    Ok(pids.filter(is_called).collect())
}

pub(crate) fn in_swap(pid: u32) -> Result<usize> {
    status_bytes(pid, "VmSwap")
}

pub(crate) fn resident(pid: u32) -> Result<usize> {
    status_bytes(pid, "VmRSS")
}
