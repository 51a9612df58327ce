//! The options of `cargo xtask vm`.

use super::kernel_package::Wanted;
use super::machine::{Levels, Machine};
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;
use std::time::Duration;

/// What a run is asked for.
#[derive(Debug)]
pub(crate) struct Request {
    /// Which kernel.
    pub(crate) kernel: Wanted,
    /// On which machine.
    pub(crate) machine: Machine,
    /// Modules to load.
    pub(crate) modules: Vec<String>,
    /// Programs and files to bring along.
    pub(crate) files: Vec<PathBuf>,
    /// Further arguments of QEMU.
    pub(crate) qemu: Vec<String>,
    /// How long the whole run may take.
    pub(crate) deadline: Duration,
    /// What to run; nothing: only see that all is there.
    pub(crate) command: Vec<String>,
}

/// The chore `vm`.
pub(crate) fn chore() -> Command {
    let several =
        |name: &'static str, value| Arg::new(name).long(name).value_name(value).action(ArgAction::Append);
    Command::new("vm")
        .about("Run a command on one of Debian's kernels, in a virtual machine")
        .after_help(
            "Without COMMAND: fetch what is needed, and say what is missing.\n\
             Exit status: that of COMMAND; 77 when QEMU, busybox or the kernel's package is missing; 124 when the time \
             was over; 125 when the kernel panicked, or the laboratory failed otherwise.",
        )
        .arg(
            Arg::new("kernel")
                .long("kernel")
                .value_name("SERIES")
                .help("The newest of Debian's kernels of this series, such as 6.12 or 6.1, or HOST, the kernel that runs here")
                .default_value("6.12")
                .value_parser(clap::value_parser!(Wanted)),
        )
        .arg(
            Arg::new("page-table-levels")
                .long("page-table-levels")
                .help("Levels of the processors' page tables")
                .default_value("4")
                .value_parser(PossibleValuesParser::new(["4", "5"])),
        )
        .arg(
            Arg::new("nodes")
                .long("nodes")
                .value_name("N")
                .help("NUMA nodes that share the memory; of 2, the second has no processor, of 4, the last two have none")
                .default_value("1")
                .value_parser(clap::value_parser!(u32).range(1..=16)),
        )
        .arg(
            Arg::new("mem")
                .long("mem")
                .value_name("SIZE")
                .help("Memory, in MiB, or with M or G behind it")
                .default_value("1G")
                .value_parser(mebibytes),
        )
        .arg(several("module", "NAME").help("Load this kernel module and those it needs; may be given several times"))
        .arg(
            several("file", "PATH")
                .help("Bring this file, program with its libraries, or folder to the same place; several times")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(
            several("qemu", "ARGUMENTS")
                .help("Further arguments of QEMU, separated by spaces, such as '-device virtio-balloon-pci'; several times")
                .allow_hyphen_values(true),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .help("How long the run may take, the boot included")
                .default_value("120")
                .value_parser(clap::value_parser!(u64).range(1..=86_400)),
        )
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .help("A program of this machine, brought along with its libraries, or an applet of busybox; and its words")
                .num_args(0..)
                .last(true),
        )
}

/// The request that clap has found well formed.
pub(crate) fn request(options: &ArgMatches) -> anyhow::Result<Request> {
    let words = |name| options.get_many::<String>(name).into_iter().flatten().cloned().collect();
    let levels = match options.get_one::<String>("page-table-levels").map(String::as_str) {
        Some("5") => Levels::Five,
        _ => Levels::Four,
    };
    let machine = Machine {
        levels,
        nodes: *options.get_one("nodes").context("--nodes")?,
        mebibytes: *options.get_one("mem").context("--mem")?,
    };
    Ok(Request {
        kernel: *options.get_one("kernel").context("--kernel")?,
        machine,
        modules: words("module"),
        files: options.get_many::<PathBuf>("file").into_iter().flatten().cloned().collect(),
        qemu: words("qemu")
            .iter()
            .flat_map(|line: &String| line.split_whitespace().map(str::to_owned))
            .collect(),
        deadline: Duration::from_secs(*options.get_one("timeout").context("--timeout")?),
        command: words("command"),
    })
}

fn mebibytes(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.strip_suffix('G') {
        Some(number) => (number, 1024),
        None => (text.strip_suffix('M').unwrap_or(text), 1),
    };
    // What Debian's kernels need to boot at all.
    let size =
        number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)).filter(|&size| size >= 256);
    size.ok_or_else(|| {
        "a size is a number of MiB, or one with M or G behind it, and at least 256M".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Request, clap::Error> {
        let matches = chore().try_get_matches_from([&["vm"], words].concat())?;
        Ok(request(&matches).unwrap())
    }

    #[test]
    fn all_options() {
        let words = "--kernel 6.1 --page-table-levels 5 --nodes 2 --mem 2G --module zram --module lz4 \
                     --file /a --timeout 9 --qemu - -- sh -c true";
        let words: Vec<_> = words
            .split_whitespace()
            .map(|word| if word == "-" { "-device x,id=y -qmp z" } else { word })
            .collect();
        let request = parse(&words).unwrap();
        assert_eq!(request.qemu, ["-device", "x,id=y", "-qmp", "z"]);
        assert_eq!(request.kernel, "6.1".parse().unwrap());
        assert_eq!(request.machine, Machine { levels: Levels::Five, nodes: 2, mebibytes: 2048 });
        assert_eq!(request.modules, ["zram", "lz4"]);
        assert_eq!(request.files, [PathBuf::from("/a")]);
        assert_eq!(request.deadline, Duration::from_secs(9));
        assert_eq!(request.command, ["sh", "-c", "true"]);
    }

    #[test]
    fn without_options() {
        let request = parse(&[]).unwrap();
        assert_eq!(request.machine, Machine { levels: Levels::Four, nodes: 1, mebibytes: 1024 });
        assert_eq!(parse(&["--kernel", "HOST"]).unwrap().kernel, Wanted::Host);
        assert!(request.command.is_empty() && request.modules.is_empty() && request.files.is_empty());
    }

    #[test]
    fn what_is_refused() {
        for words in [
            ["--kernel", "host"],
            ["--page-table-levels", "3"],
            ["--nodes", "0"],
            ["--mem", "128M"],
            ["--mem", "4194304G"],
            ["--mem", "1T"],
            ["--timeout", "0"],
        ] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
    }
}
