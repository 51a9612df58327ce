//! Which daemons run: two of them clear each other's accessed bits.

use super::finding::{Finding, Severity};
use super::text::{line_of, numbered, printable};
use crate::root::ProcRoot;
use std::fs;
use std::path::PathBuf;

/// The option of a doctor, which distinguishes it from a daemon.
const DOCTOR: &str = "--doctor";

/// Most characters of a command line that are shown.
const SHOWN: usize = 100;

/// A daemon that runs.
pub(super) struct Daemon {
    pub(super) pid: u32,
    /// Its folder in procfs.
    pub(super) folder: PathBuf,
    /// Its command line.
    words: Vec<String>,
}

impl Daemon {
    /// The value that an option was given.
    pub(super) fn option(&self, name: &str) -> Option<String> {
        let given = |(at, word): (usize, &String)| match word.strip_prefix(name)? {
            "" => self.words.get(at + 1).cloned(),
            rest => rest.strip_prefix('=').map(str::to_owned),
        };
        self.words.iter().enumerate().find_map(given)
    }

    /// The unit of systemd that it is the program of, by its control group.
    pub(super) fn service(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("cgroup")).ok()?;
        let mut names = text.lines().filter_map(|line| Some(line.rsplit_once('/')?.1));
        names.find(|name| name.ends_with(".service")).map(str::to_owned)
    }
}

/// Those of this machine, of whatever version.
pub(super) fn running(proc: &ProcRoot) -> Vec<Daemon> {
    let processes = numbered(proc.path(), "").into_iter();
    processes
        .filter(|(_, folder)| line_of(&folder.join("comm")).as_deref() == Some("etmemd"))
        .filter_map(|(pid, folder)| {
            let command = fs::read(folder.join("cmdline")).unwrap_or_default();
            let words = command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
            let words: Vec<String> = words.map(printable).collect();
            (!words.iter().any(|word| word == DOCTOR)).then_some(Daemon { pid, folder, words })
        })
        .collect()
}

/// How many run.
pub(super) fn daemons(running: &[Daemon]) -> Finding {
    const NAME: &str = "daemons";
    let shown = |Daemon { pid, words, .. }: &Daemon| {
        format!("pid {pid}: {}", words.join(" ").chars().take(SHOWN).collect::<String>())
    };
    let daemons: Vec<String> = running.iter().map(shown).collect();
    match daemons.len() {
        0 => Finding::ok(NAME, "none runs"),
        1 => Finding::ok(NAME, "one runs").with(daemons),
        many => Finding::ok(NAME, format!("{many} run"))
            .with(daemons)
            .but(
                Severity::Warning,
                "each clears accessed bits that the others need: if two look at the same process, its hot pages seem cold",
            )
            .helped_by("stop all but one, or give each of them other processes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_the_control_group() {
        let tree = tempfile::tempdir().unwrap();
        let daemon = Daemon { pid: 1, folder: tree.path().to_owned(), words: Vec::new() };
        for (text, service) in [
            ("0::/system.slice/etmemd-notify.service\n", Some("etmemd-notify.service")),
            ("5:memory:/system.slice/a.service\n0::/\n", Some("a.service")),
            ("0::/../../kubepods.slice/cri-1.scope\n", None),
        ] {
            fs::write(tree.path().join("cgroup"), text).unwrap();
            assert_eq!(daemon.service().as_deref(), service, "{text}");
        }
    }

    #[test]
    fn values_of_options() {
        let words = ["etmemd", "-s", "name", "--metrics-file", "/a/b", "--sys-root=/host/sys", "--last"];
        let words = words.map(str::to_owned).to_vec();
        let daemon = Daemon { pid: 1, folder: PathBuf::new(), words };
        for (name, value) in [
            ("--metrics-file", Some("/a/b")),
            ("--sys-root", Some("/host/sys")),
            ("--metrics", None),
            ("--last", None),
        ] {
            assert_eq!(daemon.option(name).as_deref(), value, "{name}");
        }
    }
}
