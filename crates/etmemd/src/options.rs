//! The daemon's command line.

use clap::{Arg, ArgAction, Command, value_parser};
use etmem_linux::root::{ProcRoot, Roots, SysRoot};
use etmem_wire::SocketName;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

/// What the daemon was told.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where to listen.
    pub(crate) socket: SocketName,
    /// What to log.
    pub(crate) log_level: LevelFilter,
    /// Whether to go on in the background.
    pub(crate) background: bool,
    /// Where the kernel's file systems are.
    pub(crate) roots: Roots,
}

fn command() -> Command {
    Command::new("etmemd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Finds the memory that programs are not using and moves it to cheaper places")
        .override_usage(
            "etmemd -s NAME [OPTIONS]\n       etmemd --doctor [--json] [--proc-root DIR] [--sys-root DIR]",
        )
        .after_help(crate::manual::HELP.text())
        .arg(
            Arg::new("socket")
                .short('s')
                .long("socket")
                .value_name("NAME")
                .required_unless_present(crate::doctor::OPTION)
                .help("Abstract socket to listen on, 1 to 107 bytes")
                .value_parser(value_parser!(OsString)),
        )
        .arg(
            Arg::new("log-level")
                .short('l')
                .long("log-level")
                .value_name("LEVEL")
                .default_value("3")
                .help("What to log: 0 debug, 1 info, 2 warnings, 3 errors")
                .value_parser(["0", "1", "2", "3"])
                .hide_possible_values(true),
        )
        .arg(
            Arg::new("mode-systemctl")
                .short('m')
                .long("mode-systemctl")
                .action(ArgAction::SetTrue)
                .help("Go on in the background once listening, with the pid in /run/etmemd.pid"),
        )
        .args(crate::doctor::options())
        .arg(crate::manual::option())
        .arg(root("proc-root", "Where procfs is mounted, if elsewhere: in a container, the host's"))
        .arg(root("sys-root", "Where sysfs is mounted, if elsewhere"))
        .disable_version_flag(true)
        .arg(Arg::new("version").long("version").action(ArgAction::Version).help("Print the version"))
}

fn root(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("DIR").help(help).value_parser(value_parser!(PathBuf))
}

/// Reads the command line.
///
/// # Errors
/// The exit status, once help or what is wrong was printed.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, ExitCode> {
    let matches = command().try_get_matches_from(arguments).map_err(|error| {
        // Printing fails only when nobody reads; the status still tells.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
    })?;
    if let Some(exit) = crate::manual::asked_for(command(), &matches) {
        return Err(exit);
    }
    let root = |name| matches.get_one::<PathBuf>(name);
    let proc = root("proc-root").map_or_else(ProcRoot::default, ProcRoot::new);
    let sys = root("sys-root").map_or_else(SysRoot::default, SysRoot::new);
    let roots = Roots { proc, sys };
    if let Some(exit) = crate::doctor::asked_for(&matches, &roots) {
        return Err(exit);
    }
    let socket = matches.get_one::<OsString>("socket").map(|name| SocketName::new(name.as_bytes()));
    let socket = match socket {
        Some(Ok(socket)) => socket,
        Some(Err(error)) => {
            eprintln!("etmemd: the socket name given with -s {error}");
            return Err(ExitCode::from(2));
        }
        None => return Err(ExitCode::from(2)),
    };
    let log_level = match matches.get_one::<String>("log-level").map(String::as_str) {
        Some("0") => LevelFilter::DEBUG,
        Some("1") => LevelFilter::INFO,
        Some("2") => LevelFilter::WARN,
        _ => LevelFilter::ERROR,
    };
    let background = matches.get_flag("mode-systemctl");
    Ok(Options { socket, log_level, background, roots })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_and_refused() {
        let parse = |line: &str| super::parse(line.split(' ').map(OsString::from));
        let options = parse("etmemd -s sock").unwrap();
        assert_eq!(options.socket.as_bytes(), b"sock");
        assert_eq!(options.log_level, LevelFilter::ERROR);
        assert!(!options.background);
        for line in ["etmemd -l 0 -s sock -m", "etmemd -ms sock", "etmemd --mode-systemctl --socket sock"] {
            assert!(parse(line).unwrap().background, "{line}");
        }
        assert_eq!(parse("etmemd --socket=x -l 0").unwrap().log_level, LevelFilter::DEBUG);
        for line in [
            "etmemd",
            "etmemd -m",
            "etmemd -s a -s b",
            "etmemd -s a -m -m",
            "etmemd -s a -l 4",
            "etmemd -s a stray",
            "etmemd -s a -x",
            "etmemd -s a --proc-root",
            "etmemd -s a --json",
            "etmemd -s a --doctor",
            "etmemd --doctor -m",
            "etmemd --json",
        ] {
            assert_eq!(parse(line).unwrap_err(), ExitCode::from(2), "{line}");
        }
        assert_eq!(options.roots, Roots::default());
        let elsewhere = Roots { proc: ProcRoot::new("/host/proc"), sys: SysRoot::new("/host/sys") };
        let line = "etmemd -s sock --proc-root /host/proc --sys-root=/host/sys";
        assert_eq!(parse(line).unwrap().roots, elsewhere);
        assert_eq!(parse("etmemd -h").unwrap_err(), ExitCode::SUCCESS);
        assert_eq!(parse(&format!("etmemd -s {}", "n".repeat(108))).unwrap_err(), ExitCode::from(2));
    }
}
