//! Virtual machines for tests: the laboratory (`cargo xtask vm`), with its lacks as reasons to skip.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Failed, Trial};

use crate::built;
use crate::process::run;

/// The laboratory's status when QEMU, busybox or a kernel's package is missing.
const MISSING: i32 = 77;
/// With a kernel to fetch.
const FETCH_LIMIT: Duration = Duration::from_secs(900);
/// Many times what it takes where every instruction is emulated, for machines that do something else meanwhile.
const BOOT_SECONDS: u64 = 300;
/// From the end of that to giving up on the laboratory itself.
const GRACE: Duration = Duration::from_secs(30);

/// A machine of the laboratory.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Debian's series.
    pub kernel: &'static str,
    /// Levels of its page tables.
    pub levels: &'static str,
    /// NUMA nodes.
    pub nodes: &'static str,
    /// Its memory.
    pub memory: &'static str,
    /// Modules to load.
    pub modules: &'static [&'static str],
    /// Seconds that boot and command may take.
    pub seconds: u64,
}

impl Machine {
    /// One of one node and 1 GiB, with 4 levels.
    pub const fn of(kernel: &'static str) -> Self {
        Self { kernel, levels: "4", nodes: "1", memory: "1G", modules: &[], seconds: BOOT_SECONDS }
    }

    /// Runs `command` (words of the shell) with `files` at hand; it must succeed, on the machine that was asked for. What
    /// it printed.
    ///
    /// # Errors
    /// How it ended otherwise, with all it said.
    pub fn run(self, files: &[&Path], command: &str) -> Result<String> {
        let mut laboratory = laboratory()?;
        laboratory.args(["--kernel", self.kernel, "--page-table-levels", self.levels]);
        laboratory.args(["--nodes", self.nodes, "--mem", self.memory]);
        laboratory.args(["--timeout", &self.seconds.to_string()]);
        for module in self.modules {
            laboratory.args(["--module", module]);
        }
        for file in files {
            laboratory.arg("--file").arg(file);
        }
        let script = format!("uname -r; grep -c -m 1 -w la57 /proc/cpuinfo; {command}");
        let limit = Duration::from_secs(self.seconds) + GRACE;
        let ran = run(laboratory.args(["--", "sh", "-c", &script]), limit)?;
        let said = indented(&format!("{}{}", ran.stdout, ran.stderr));
        ensure!(ran.status == 0, "it ended with {} and said:\n{said}", ran.status);
        let mut lines = ran.stdout.lines();
        let release = lines.next().unwrap_or_default();
        ensure!(release.starts_with(&format!("{}.", self.kernel)), "this is Linux {release}, not {self:?}");
        let five_levels = lines.next() == Some("1");
        ensure!(five_levels == (self.levels == "5"), "five levels: {five_levels}, on {self:?}");
        Ok(ran.stdout)
    }
}

/// What must be installed before `kernel` can be booted here; a failure of any other kind is left to the tests.
pub fn lacks(kernel: &str) -> Option<String> {
    let ran = run(laboratory().ok()?.args(["--kernel", kernel]), FETCH_LIMIT).ok()?;
    let reason = ran.stderr.lines().last().unwrap_or_default();
    (ran.status == MISSING).then(|| reason.trim_start_matches("vm: ").to_owned())
}

/// A test that is listed as skipped where the laboratory lacks something.
pub fn trial(name: &str, missing: Option<&str>, body: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    match missing {
        None => Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}")))),
        Some(reason) => {
            let reason = reason.to_owned();
            let full = format!("{name} [skipped: {reason}]");
            Trial::test(full, move || Err(Failed::from(reason))).with_ignored_flag(true)
        }
    }
}

fn laboratory() -> Result<Command> {
    let mut command = Command::new(built::program("xtask")?);
    command.arg("vm");
    Ok(command)
}

/// Lines from inside, where they cannot be taken for this program's own results.
pub fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}\n")).collect()
}

/// A path as one word of the shell.
///
/// # Errors
/// It cannot be one.
pub fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    if text.contains('\'') {
        bail!("{text} holds a quote");
    }
    Ok(format!("'{text}'"))
}
