//! Virtual machines for tests: the laboratory (`cargo xtask vm`), with its lacks as reasons to skip.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::{Failed, Trial};
use tempfile::NamedTempFile;

use crate::built;
use crate::process::{Ran, run};
use crate::trial::is_asked_for;

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
    /// MiB of an empty virtio disk, `/dev/vda`, if there is to be one (modules virtio_pci and virtio_blk).
    pub disk: Option<u64>,
    /// Whether the command is a service of systemd, in a small Debian.
    pub systemd: bool,
    /// Seconds that boot and command may take.
    pub seconds: u64,
}

/// A file of `mebibytes` that takes no room until it is written.
fn empty_disk(mebibytes: u64) -> Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix("etmem-test-disk-").tempfile()?;
    file.as_file().set_len(mebibytes << 20)?;
    Ok(file)
}

impl Machine {
    /// One of one node and 1 GiB, with 4 levels.
    pub const fn of(kernel: &'static str) -> Self {
        Self {
            kernel,
            levels: "4",
            nodes: "1",
            memory: "1G",
            modules: &[],
            disk: None,
            systemd: false,
            seconds: BOOT_SECONDS,
        }
    }

    /// Runs `command` (words of the shell) with `files` at hand; it must succeed, on the machine that was asked for. What
    /// it printed.
    ///
    /// # Errors
    /// How it ended otherwise, with all it said.
    pub fn run(self, files: &[&Path], command: &str) -> Result<String> {
        let ran = self.boot(files, command, self.seconds)?;
        let said = || indented(&format!("{}{}", ran.stdout, ran.stderr));
        ensure!(ran.status == 0, "it ended with {} and said:\n{}", ran.status, said());
        self.is_as_asked(&ran.stdout)?;
        Ok(ran.stdout)
    }

    fn boot(self, files: &[&Path], command: &str, seconds: u64) -> Result<Ran> {
        let mut laboratory = laboratory()?;
        laboratory.args(["--kernel", self.kernel, "--page-table-levels", self.levels]);
        laboratory.args(["--nodes", self.nodes, "--mem", self.memory]);
        laboratory.args(["--timeout", &seconds.to_string()]);
        for module in self.modules {
            laboratory.args(["--module", module]);
        }
        if self.systemd {
            laboratory.arg("--systemd");
        }
        let disk = self.disk.map(empty_disk).transpose()?;
        if let Some(disk) = &disk {
            let path = disk.path().display();
            laboratory.arg("--qemu").arg(format!("-drive file={path},format=raw,if=virtio,cache=unsafe"));
        }
        for file in files {
            laboratory.arg("--file").arg(file);
        }
        let script = format!("uname -r; grep -c -m 1 -w la57 /proc/cpuinfo; {command}");
        run(laboratory.args(["--", "sh", "-c", &script]), Duration::from_secs(seconds) + GRACE)
    }

    /// What must be installed before it can be booted here; a failure of any other kind is left to the tests.
    pub fn lacks(self) -> Option<String> {
        let mut laboratory = laboratory().ok()?;
        laboratory.args(["--kernel", self.kernel]);
        if self.systemd {
            laboratory.arg("--systemd");
        }
        let ran = run(&mut laboratory, FETCH_LIMIT).ok()?;
        let reason = ran.stderr.lines().last().unwrap_or_default();
        (ran.status == MISSING).then(|| reason.trim_start_matches("vm: ").to_owned())
    }

    /// By the first lines that it printed.
    fn is_as_asked(self, stdout: &str) -> Result<()> {
        let mut lines = stdout.lines();
        let release = lines.next().unwrap_or_default();
        ensure!(release.starts_with(&format!("{}.", self.kernel)), "this is Linux {release}, not {self:?}");
        let five_levels = lines.next() == Some("1");
        ensure!(five_levels == (self.levels == "5"), "five levels: {five_levels}, on {self:?}");
        Ok(())
    }
}

/// What runs in a [`SharedBoot`]: files to have at hand, and the commands, as the test's name and words of the shell.
pub type Commands = (Vec<PathBuf>, Vec<(String, String)>);

/// One boot for several commands, one after the other, each of which is a test: booting takes longer than many of them.
pub struct SharedBoot {
    machine: Machine,
    prepare: Box<dyn Fn() -> Result<Commands> + Send + Sync>,
    ran: OnceLock<Result<Ran, String>>,
}

impl SharedBoot {
    /// Of `machine`; what runs in it is prepared when the first test asks.
    pub fn new(machine: Machine, prepare: impl Fn() -> Result<Commands> + Send + Sync + 'static) -> Self {
        Self { machine, prepare: Box::new(prepare), ran: OnceLock::new() }
    }

    /// What the command of the test `name` printed; the first to ask boots the machine.
    ///
    /// # Errors
    /// The command failed, or the machine ended before it did.
    pub fn of(&self, name: &str) -> Result<String> {
        let ran = self.ran.get_or_init(|| self.boot().map_err(|error| format!("{error:#}")));
        let ran = ran.as_ref().map_err(|error| anyhow!(error.clone()))?;
        self.machine.is_as_asked(&ran.stdout)?;
        let all = || indented(&format!("{}{}", ran.stdout, ran.stderr));
        let (said, status) = part(&ran.stdout, name)
            .with_context(|| format!("the machine ended with {} and said:\n{}", ran.status, all()))?;
        ensure!(status == "0", "it ended with {status} and said:\n{}", indented(said));
        Ok(said.to_owned())
    }

    /// Runs the commands of the tests that the command line asks for.
    fn boot(&self) -> Result<Ran> {
        let (files, mut commands) = (self.prepare)()?;
        commands.retain(|(name, _)| is_asked_for(name));
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        // A command that hangs leaves the others their time.
        let limit = self.machine.seconds;
        let script: String = commands
            .iter()
            .map(|(name, command)| {
                let command = quoted_text(command);
                format!("echo '{BEGINS}{name}'; timeout {limit} sh -c {command}; status=$?; echo; echo '{ENDS}{name}' $status; ")
            })
            .collect();
        self.machine.boot(&files, &(script + "true"), limit * (commands.len() as u64 + 1))
    }
}

impl fmt::Debug for SharedBoot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SharedBoot").field("machine", &self.machine).finish_non_exhaustive()
    }
}

const BEGINS: &str = "@begins ";
const ENDS: &str = "@ends ";

/// What the command `name` printed, and its status.
fn part<'a>(stdout: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (_, rest) = stdout.split_once(&format!("{BEGINS}{name}\n"))?;
    let (said, rest) = rest.split_once(&format!("\n{ENDS}{name} "))?;
    Some((said, rest.lines().next()?))
}

/// What must be installed before `kernel` can be booted here; a failure of any other kind is left to the tests.
pub fn lacks(kernel: &'static str) -> Option<String> {
    Machine::of(kernel).lacks()
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
    path.to_str().map(quoted_text).with_context(|| format!("{} is not UTF-8", path.display()))
}

fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_of_a_boot_has_its_own_output_and_status() {
        let stdout =
            "6.12.1\n0\n@begins a\none\n@ends nothing\n\n@ends a 0\n@begins b\n\n@ends b 3\n@begins c\nha";
        assert_eq!(part(stdout, "a"), Some(("one\n@ends nothing\n", "0")));
        assert_eq!(part(stdout, "b"), Some(("", "3")));
        assert_eq!(part(stdout, "c"), None);
    }

    #[test]
    fn a_path_with_a_quote_is_one_word() {
        assert_eq!(quoted(Path::new("/it's")).unwrap(), r"'/it'\''s'");
    }
}
