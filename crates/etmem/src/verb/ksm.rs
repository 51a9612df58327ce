//! `etmem ksm run` and `etmem ksm unit`: programs that let the kernel merge equal pages of them. The first becomes `etmemd --ksm-run`.

use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Arg, ArgMatches, Command};
use etmem_manual::{ExitStatus, Help};

use crate::arguments::{self, Asked, Object, text, unknown_command, words};
use crate::failure::Failure;

pub(crate) const OBJECT: Object =
    Object { command, asked, help: Help::examples(&["etmem ksm run -- worker --jobs 8", UNIT_EXAMPLE]) };

const UNIT_EXAMPLE: &str = "etmem ksm unit worker.service";

const RUN: Help = Help {
    examples: &["etmem ksm run -- worker --jobs 8"],
    exit_statuses: &[
        ExitStatus(
            125,
            "the kernel cannot merge the memory of a whole program: Linux 6.4 and CONFIG_KSM are needed",
        ),
        ExitStatus(126, "COMMAND cannot be run"),
        ExitStatus(127, "there is no COMMAND"),
        ExitStatus(234, "no COMMAND is given"),
        ExitStatus(254, "etmemd could not be run"),
    ],
    notes: "COMMAND takes the place of etmem, and its status is that of COMMAND. All its memory, and that of its children, may be\n\
            merged with equal pages of other such programs. That happens while KSM runs, as it does for a task of engine ksm.\n\
            Programs that share pages can find out what others have in memory: see docs/ksm.md.",
};

const UNIT: Help = Help {
    examples: &[UNIT_EXAMPLE],
    exit_statuses: &[],
    notes: "Nothing is changed: the file is printed, with what to do with it. It needs systemd 254 or later.",
};

/// What a name of a service may hold (systemd.unit(5)), and its length.
const ALLOWED: &str = ":-_.\\@";
const LONGEST: usize = 255;

/// Other kinds of units, which have no memory, or none that this could be set for.
const OTHERS: [&str; 10] =
    [".socket", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice", ".scope", ".device"];

fn command() -> Command {
    Command::new("ksm")
        .about("Let the kernel merge equal pages of programs (KSM)")
        .subcommand(
            Command::new("run")
                .about("Run a command whose memory may be merged with equal pages of others")
                .arg(arguments::command())
                .override_usage("etmem ksm run -- COMMAND [ARGUMENT...]")
                .after_help(RUN.text()),
        )
        .subcommand(
            Command::new("unit")
                .about("Print a file by which systemd lets the memory of a service be merged")
                .arg(
                    Arg::new("unit")
                        .value_name("NAME")
                        .help("The service, with or without .service")
                        .required(true)
                        .value_parser(StringValueParser::new().try_map(|name| service(&name))),
                )
                .override_usage("etmem ksm unit NAME")
                .after_help(UNIT.text()),
        )
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    match matches.subcommand() {
        Some(("run", options)) => {
            Ok(Asked::Etmemd(std::iter::once("--ksm-run".into()).chain(words(options)).collect()))
        }
        Some(("unit", options)) => Ok(Asked::Print(drop_in(text(options, "unit").unwrap_or_default()))),
        Some(_) | None => Err(unknown_command("ksm")),
    }
}

/// The whole name of the service called `name`.
fn service(name: &str) -> Result<String, String> {
    if let Some(other) = OTHERS.iter().find(|other| name.ends_with(**other)) {
        return Err(format!("{name} is a {} unit; name a service", &other[1..]));
    }
    let stem = name.strip_suffix(".service").unwrap_or(name);
    let fits = |character: char| character.is_ascii_alphanumeric() || ALLOWED.contains(character);
    let whole = format!("{stem}.service");
    if stem.is_empty() || whole.len() > LONGEST || !stem.chars().all(fits) {
        return Err(format!(
            "a service has letters, digits and {ALLOWED}, at most {LONGEST} characters with .service"
        ));
    }
    Ok(whole)
}

/// The file for the service called `unit`.
fn drop_in(unit: &str) -> String {
    format!(
        "# Save it as /etc/systemd/system/{unit}.d/50-etmem-ksm.conf, for example by\n\
         #     etmem ksm unit {unit} | systemctl edit --stdin --drop-in=50-etmem-ksm {unit}\n\
         # (systemd 256; before, write the file and run: systemctl daemon-reload), then: systemctl restart {unit}\n\
         # It needs systemd 254 and Linux 6.4. Its memory is merged while KSM runs, as for a task of engine ksm. Programs that\n\
         # share pages can find out what others have in memory: see docs/ksm.md.\n\
         [Service]\n\
         MemoryKSM=yes\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::read;
    use std::ffi::OsString;

    fn read_line(line: &str) -> Result<Asked, Failure> {
        read(line.split(' ').map(OsString::from)).map(|(asked, _)| asked)
    }

    #[test]
    fn a_command_is_passed_on_as_it_is() {
        let Asked::Etmemd(arguments) = read_line("etmem ksm run -- worker -x --help").unwrap() else {
            panic!()
        };
        assert_eq!(arguments, ["--ksm-run", "worker", "-x", "--help"]);
        for line in
            ["etmem ksm run", "etmem ksm run worker", "etmem ksm run --", "etmem ksm", "etmem ksm other"]
        {
            assert_ne!(read_line(line).unwrap_err().number(), 0, "{line}");
        }
    }

    #[test]
    fn the_file_of_a_service() {
        for name in ["db", "db.service"] {
            let Asked::Print(text) = read_line(&format!("etmem ksm unit {name}")).unwrap() else { panic!() };
            assert!(text.contains("/etc/systemd/system/db.service.d/50-etmem-ksm.conf"), "{text}");
            assert!(text.ends_with("[Service]\nMemoryKSM=yes\n"), "{text}");
        }
        assert_eq!(service("worker@1"), Ok("worker@1.service".to_owned()));
        let long = "n".repeat(248);
        for name in ["", ".service", "a/b", "a b", "user.slice", "x.timer", &long] {
            assert!(service(name).is_err(), "{name}");
        }
    }
}
