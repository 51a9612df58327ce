//! The first program of the virtual machine: mounts what programs expect, loads the modules, runs the command,
//! tells its status and switches the machine off. With a disk, it hands over to systemd there, a unit of which runs the
//! command.
//!
//! Each serial port has one use, so that nothing is mixed into anything: the kernel's messages go to the first, the
//! command's output to the second, and [`Report`]s to the third.

use std::fmt::Write;

const BEGUN: &str = "begun";
const BROKEN: &str = "broken ";
const STATUS: &str = "status ";

/// What the first program does once the modules are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// It runs the command.
    Command,
    /// It becomes the systemd of the disk.
    Systemd,
}

/// Where files for the disk are until it is there.
pub(crate) const BROUGHT: &str = "/brought";

/// What the virtual machine told about itself, from the lines that the script wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// Nothing: it never came to the script's first step.
    Nothing,
    /// A step before the command failed.
    Broken(String),
    /// The command was begun, and did not end.
    Begun,
    /// The command ended with this status.
    Status(u8),
}

impl Report {
    /// Reads the lines.
    pub(crate) fn read(text: &str) -> Self {
        let mut report = Self::Nothing;
        for line in text.lines() {
            if let Some(step) = line.strip_prefix(BROKEN) {
                return Self::Broken(step.to_owned());
            }
            if let Some(status) = line.strip_prefix(STATUS).and_then(|status| status.parse().ok()) {
                return Self::Status(status);
            }
            if line == BEGUN {
                report = Self::Begun;
            }
        }
        report
    }
}

/// The script for a shell of busybox that runs `command` once the `modules` (files, in this order) are loaded.
pub(crate) fn write(modules: &[String], command: &[String]) -> String {
    let mut script = beginning(modules);
    script.push_str(
        "step mount -t cgroup2 none /sys/fs/cgroup\n\
         step mkdir /dev/pts /dev/shm\n\
         step mount -t devpts none /dev/pts\n\
         step mount -t tmpfs none /dev/shm\n\
         step mkdir /run/lock\n\
         step ip link set lo up\n",
    );
    script.push_str(&run(command, "poweroff -f"));
    script
}

/// The script that goes on as systemd, once the `modules` are loaded.
pub(crate) fn hand_over(modules: &[String]) -> String {
    let mut script = beginning(modules);
    // What was brought along is copied to the disk; systemd mounts the rest.
    let _ = write!(
        script,
        "step mkdir /system\n\
         step mount -t ext4 /dev/vda /system\n\
         step cp -a {BROUGHT}/. /system/\n\
         step umount /sys\n\
         step umount /proc\n\
         step mount --move /dev /system/dev\n\
         exec 8>&- 9>&-\n\
         exec switch_root /system /usr/lib/systemd/systemd\n"
    );
    script
}

/// The script for the shell of the disk, of a unit of systemd.
pub(crate) fn service(command: &[String]) -> String {
    let ports = "#!/bin/sh\n\
                 stty -F /dev/ttyS1 raw -echo\n\
                 stty -F /dev/ttyS2 raw -echo\n\
                 exec 8>/dev/ttyS1 9>/dev/ttyS2\n";
    format!("{ports}{}", run(command, "systemctl poweroff --force --force"))
}

/// The unit that runs that script.
pub(crate) fn unit(script: &str) -> String {
    format!(
        "[Unit]\nDescription=Runs the command of the laboratory\n\
         [Service]\nType=exec\nExecStart={script}\n\
         Environment=HOME=/root TERM=dumb LANG=C.UTF-8 \
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    )
}

/// Runs the command, tells its status, and switches the machine off by `off`.
fn run(command: &[String], off: &str) -> String {
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    format!(
        "echo {BEGUN} >&9\n\
         {} </dev/null >&8 2>&1 8>&- 9>&-\n\
         echo \"{STATUS}$?\" >&9\n\
         {off}\n",
        words.join(" ")
    )
}

/// Up to where the modules are loaded.
fn beginning(modules: &[String]) -> String {
    let mut script = String::from(
        "#!/bin/busybox sh\n\
         export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8\n\
         /bin/busybox mount -t devtmpfs none /dev\n\
         /bin/busybox stty -F /dev/ttyS1 raw -echo\n\
         /bin/busybox stty -F /dev/ttyS2 raw -echo\n\
         # A port that is closed may lose what was not sent yet, so these stay open.\n\
         exec 8>/dev/ttyS1 9>/dev/ttyS2\n\
         give_up() { echo \"broken $1\" >&9; /bin/busybox poweroff -f; }\n\
         step() { \"$@\" || give_up \"$*\"; }\n\
         # Where programs were brought along, busybox leaves them.\n\
         /bin/busybox --install -s /bin 2>/dev/null\n\
         step mount -t proc none /proc\n\
         step mount -t sysfs none /sys\n",
    );
    let modules = modules.iter().map(|module| format!("step insmod {}\n", quoted(module)));
    script.extend(modules);
    script
}

/// `word` as one word of the shell, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn modules_come_before_the_command() {
        let words = ["/bin/uname", "-r"].map(str::to_owned);
        let script = write(&["/modules/0-lz4.ko".to_owned(), "/modules/1-zram.ko".to_owned()], &words);
        let at = |line: &str| script.find(line).unwrap_or_else(|| panic!("{line:?} is not in\n{script}"));
        assert!(at("insmod '/modules/0-lz4.ko'") < at("insmod '/modules/1-zram.ko'"));
        assert!(at("insmod '/modules/1-zram.ko'") < at("\n'/bin/uname' '-r' <"));
    }

    #[test]
    fn systemd_runs_the_command() {
        let words = ["/bin/uname", "-r"].map(str::to_owned);
        let script = hand_over(&["/modules/0-ext4.ko".to_owned()]);
        assert!(script.find("insmod").unwrap() < script.find("mount -t ext4").unwrap(), "{script}");
        assert!(script.ends_with("exec switch_root /system /usr/lib/systemd/systemd\n"), "{script}");
        assert!(service(&words).contains("\n'/bin/uname' '-r' </dev/null >&8"));
        assert!(unit("/x/y").contains("\nExecStart=/x/y\n"));
    }

    #[test]
    fn reports() {
        for (text, want) in [
            ("", Report::Nothing),
            ("begun\n", Report::Begun),
            ("begun\nstatus 0\n", Report::Status(0)),
            ("begun\nstatus 101\n", Report::Status(101)),
            ("begun\nstatus \n", Report::Begun),
            ("begun\nstat", Report::Begun),
            ("broken insmod /modules/0-zram.ko\n", Report::Broken("insmod /modules/0-zram.ko".to_owned())),
        ] {
            assert_eq!(Report::read(text), want, "{text:?}");
        }
    }

    #[test]
    fn the_shell_reads_the_scripts() {
        let modules = ["/modules/0-it's.ko".to_owned()];
        let command = ["it's".to_owned(), "$(x) `y`; \"".to_owned()];
        for script in [write(&modules, &command), hand_over(&modules), service(&command)] {
            let output = Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
            assert!(output.status.success(), "{}\n{script}", String::from_utf8_lossy(&output.stderr));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_quoted_word_comes_back(word in "[^\0]{0,24}") {
            let script = format!("printf %s. {}", quoted(&word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{word}."));
        }
    }
}
