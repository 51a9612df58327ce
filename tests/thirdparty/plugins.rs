//! Plugins in C, compiled as a stranger would compile them, and a daemon that they are added to.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::built::top;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::process::{Pipes, Ran, Running, success};

pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// What the client ends with when the daemon says no.
pub(crate) const REFUSED: i32 = 186;
/// How a plugin sees structures: by this project's headers and GLib's, and by offsets alone.
pub(crate) const LAYOUTS: [&str; 2] = ["by_headers.h", "by_offsets.h"];

/// Where the sources of plugins are.
pub(crate) fn sources() -> PathBuf {
    top().join("tests/thirdparty")
}

/// GLib's options, `--cflags` or `--libs`.
pub(crate) fn glib(what: &str) -> Result<Vec<String>> {
    let said = success(Command::new("pkg-config").args([what, "glib-2.0"]), LIMIT)?.stdout;
    Ok(said.split_whitespace().map(str::to_owned).collect())
}

/// Compiles `source` into a plugin at `to`, which is root's alone.
pub(crate) fn compile(source: &str, options: &[String], to: &Path) -> Result<()> {
    let mut command = Command::new("gcc");
    command.args(["-shared", "-fPIC", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    command.arg(sources().join(source)).args(options).arg("-o").arg(to);
    success(&mut command, LIMIT)?;
    fs::set_permissions(to, Permissions::from_mode(0o500))?;
    Ok(())
}

/// The recorder, seeing structures by `layout`.
pub(crate) fn recorder(layout: &str, to: &Path) -> Result<()> {
    let mut options = vec![format!("-DLAYOUT=\"{layout}\"")];
    if layout == "by_headers.h" {
        options.push(format!("-I{}", top().join("include").display()));
        options.extend(glib("--cflags")?);
        options.extend(glib("--libs")?);
    }
    compile("recorder.c", &options, to)
}

/// A daemon, and plugins that write down what becomes of them.
pub(crate) struct Stage {
    pub(crate) daemon: Daemon,
    pub(crate) clock: WallClock,
    /// A shell and its child, the targets. The child reads what the shell was given, and so ends with us: one that
    /// outlived us would keep our output open.
    _shell: (Running, Pipes),
    pub(crate) pids: [u32; 2],
    /// Bytes of the record that were looked at.
    read: Cell<usize>,
}

impl Stage {
    pub(crate) fn new(layout: &str) -> Result<Self> {
        let daemon = Daemon::start(Binaries::build()?)?;
        recorder(layout, &daemon.folder().join("recorder.so"))?;
        let clock = WallClock::new();
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 3<&0; cat <&3 >/dev/null & wait"]).stdin(Stdio::piped());
        let (shell, pipes) = Running::start(&mut shell)?;
        let children = format!("/proc/{0}/task/{0}/children", shell.pid());
        let mut child = None;
        clock.wait_until(LIMIT, "the shell has its child", || {
            child = fs::read_to_string(&children)?.trim().parse().ok();
            Ok(child.is_some())
        })?;
        let pids = [shell.pid(), child.context("a child")?];
        Ok(Self { daemon, clock, _shell: (shell, pipes), pids, read: Cell::new(0) })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.daemon.folder().join(name)
    }

    /// Project p, with one engine x and its task t.
    pub(crate) fn small(&self, engine: &str, task: &str) -> String {
        project() + &self.engine("x", engine) + &self.task("x", "t", task)
    }

    pub(crate) fn engine(&self, name: &str, lines: &str) -> String {
        let [library, record, gate] = ["recorder.so", "record", "gate"].map(|name| self.path(name));
        format!(
            "[engine]\nproject=p\nname=thirdparty\neng_name={name}\nlibname={}\nops_name=recorder_ops\n\
             record={}\ngate={}\n{lines}",
            library.display(),
            record.display(),
            gate.display()
        )
    }

    pub(crate) fn task(&self, engine: &str, name: &str, lines: &str) -> String {
        format!("[task]\nproject=p\nengine={engine}\nname={name}\ntype=pid\nvalue={}\n{lines}", self.pids[0])
    }

    /// What the plugins wrote since the last time, the targets called A and B.
    pub(crate) fn record(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("record")).unwrap_or_default();
        let text = text.get(self.read.replace(text.len())..).unwrap_or_default();
        let [a, b] = self.pids.map(|pid| pid.to_string());
        let word = |word: &str| {
            let plain = word.trim_end_matches(';');
            let known = if plain == a {
                "A"
            } else if plain == b {
                "B"
            } else {
                plain
            };
            word.replace(plain, known)
        };
        let line = |line: &str| {
            line.split(' ').map(word).collect::<Vec<_>>().join(" ").replace(&format!("pid={a}"), "pid=A")
        };
        text.lines().map(line).collect()
    }

    pub(crate) fn recorded(&self, want: &[&str]) -> Result<()> {
        let record = self.record();
        ensure!(record == want, "{record:#?}\nwanted: {want:#?}\nlog:\n{}", self.daemon.log());
        Ok(())
    }

    /// Waits until the plugins have written all of `want`.
    pub(crate) fn wait_for_record(&self, want: &[&str]) -> Result<()> {
        let mut seen = Vec::new();
        let waited = self.clock.wait_until(LIMIT, "the plugin is told", || {
            seen.extend(self.record());
            Ok(seen.len() >= want.len())
        });
        ensure!(waited.is_ok() && seen == want, "{seen:#?}\nwanted: {want:#?}\nlog:\n{}", self.daemon.log());
        Ok(())
    }

    pub(crate) fn open_gate(&self) -> Result<()> {
        Ok(fs::write(self.path("gate"), "")?)
    }

    /// Runs a command that has to be refused, with all `words` in the answer.
    pub(crate) fn refused(&self, command: &[&str], words: &[&str]) -> Result<Ran> {
        let ran = self.daemon.etmem(command)?;
        let told = words.iter().all(|word| ran.stdout.contains(word));
        ensure!(
            ran.status == REFUSED && told,
            "{command:?}: {ran:?}, wanted {words:?}\nlog:\n{}",
            self.daemon.log()
        );
        Ok(ran)
    }

    /// Adds `text`, which has to be refused.
    pub(crate) fn add_refused(&self, text: &str, words: &[&str]) -> Result<Ran> {
        let file = self.daemon.write("refused.conf", text)?;
        self.refused(&["obj", "add", "-f", &file.display().to_string()], words)
    }

    /// Deletes what `text` lists.
    pub(crate) fn del(&self, text: &str) -> Result<String> {
        let file = self.daemon.write("deleted.conf", text)?;
        self.daemon.must(&["obj", "del", "-f", &file.display().to_string()])
    }

    pub(crate) fn start(&self) -> Result<String> {
        self.daemon.must(&["project", "start", "-n", "p"])
    }

    pub(crate) fn stop(&self) -> Result<String> {
        self.daemon.must(&["project", "stop", "-n", "p"])
    }

    pub(crate) fn show(&self) -> Result<String> {
        self.daemon.must(&["project", "show"])
    }

    /// Whether the daemon has a file loaded whose path ends in this.
    pub(crate) fn is_loaded(&self, name: &str) -> Result<bool> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.daemon.pid()))?;
        Ok(maps.contains(&format!("/{name}")))
    }
}

pub(crate) fn project() -> String {
    "[project]\nname=p\nloop=3\ninterval=1\nsleep=2\n".to_owned()
}

/// An engine command of project p, engine x.
pub(crate) fn command<'a>(word: &'a str, task: Option<&'a str>) -> Vec<&'a str> {
    let mut words = vec!["engine", word, "-n", "p", "-e", "x"];
    words.extend(task.map(|task| ["-t", task]).iter().flatten());
    words
}
