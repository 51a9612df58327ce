//! Arguments to what they ask for: a request for the daemon, or something done without one.
//!
//! The options of the original, as `getopt_long` read them there: before or after the command, joined or apart,
//! long ones cut short as long as they stay unique, and the last one counts where one is repeated.

use std::ffi::OsString;

use clap::{Command, value_parser};
use etmem_manual::{ExitStatus, Help};
use etmem_wire::SocketName;

use crate::arguments::{Asked, Object, option, unknown_command};
use crate::failure::Failure;
use crate::listening::socket_name;
use crate::verb::{
    completions, doctor, engine, idle, ksm, man, metrics, migrate, obj, pressure, project, record, reload,
    replay, report, survey, task, top, warm, where_is,
};

/// The objects, as help lists them.
pub(crate) const OBJECTS: &[Object] = &[
    obj::OBJECT,
    project::OBJECT,
    task::OBJECT,
    top::OBJECT,
    metrics::OBJECT,
    reload::OBJECT,
    migrate::OBJECT,
    engine::OBJECT,
    doctor::OBJECT,
    where_is::OBJECT,
    survey::OBJECT,
    record::OBJECT,
    report::OBJECT,
    replay::OBJECT,
    idle::OBJECT,
    warm::OBJECT,
    pressure::OBJECT,
    ksm::OBJECT,
    completions::OBJECT,
];

/// The program's text after the options.
pub(crate) const HELP: Help = Help {
    examples: &[
        "etmem obj add -f /etc/etmem/slide.yaml -s etmemd_socket",
        "etmem project start -n test -s etmemd_socket",
        "etmem project show -s etmemd_socket",
        "etmem task show -n test --watch -s etmemd_socket",
        "etmem top",
        "etmem doctor",
        "etmem where 4711",
        "etmem survey --all",
        "etmem record db.rec -N mysqld",
        "etmem report heatmap --from db.rec",
        "etmem idle 4711",
        "etmem warm 4711",
        "etmem engine showtaskpages -t task -n test -e cslide -s etmemd_socket",
        "etmem project stop -n test -s etmemd_socket",
        "etmem obj del -f /etc/etmem/slide.yaml -s etmemd_socket",
    ],
    exit_statuses: &[
        ExitStatus(0, "done"),
        ExitStatus(5, "the result could not be printed or written"),
        ExitStatus(11, "etmemd is busy and accepts no connection"),
        ExitStatus(111, "no etmemd listens at SOCKET"),
        ExitStatus(186, "etmemd refused the request or did not answer"),
        ExitStatus(
            234,
            "no object or no command is given, there is no such object, or an option is missing or bad",
        ),
        ExitStatus(249, "there are too many arguments"),
        ExitStatus(255, "the object has no such command; engine: COMMAND or -e ENGINE is missing"),
    ],
    notes: "etmem doctor, where, survey, record, report, replay, idle and warm have exit statuses of their own: see their --help.",
};

/// Reads the arguments, of which the first is the program's own name: what they ask for, and the socket of `-s` if it was
/// given.
///
/// A request for help is an error here, too: nothing is left to do.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Asked, Option<SocketName>), Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program = program().subcommand(man::command());
    let matches = program
        .clone()
        .try_get_matches_from(&arguments)
        .map_err(|error| Failure::command_line(error, names_object(program, &arguments)))?;
    let socket = matches.get_one::<OsString>("socket").map(|name| socket_name("-s", name));
    let Some((word, rest)) = matches.subcommand() else { return Err(unknown_command("etmem")) };
    if word == "engine" && engine::asks_for_help(rest) {
        return read(["etmem", "engine", "--help"].map(OsString::from));
    }
    let object = OBJECTS.iter().find(|object| (object.command)().get_name() == word);
    let asked = object.map_or(man::asked as fn(&_) -> _, |object| object.asked)(rest)?;
    Ok((asked, socket.transpose()?))
}

/// Whether `arguments` name an object, whatever else is wrong with them.
fn names_object(program: Command, arguments: &[OsString]) -> bool {
    let matches = program.ignore_errors(true).try_get_matches_from(arguments);
    matches.is_ok_and(|matches| matches.subcommand_name().is_some())
}

/// The definition of the command line, but for the command for packagers.
pub(crate) fn program() -> Command {
    let objects = OBJECTS.iter().map(|object| {
        let command = (object.command)().after_help(object.help.text());
        if !command.has_subcommands() {
            return command;
        }
        command.subcommand_required(true).arg_required_else_help(true)
    });
    Command::new("etmem")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Control etmemd, which moves memory that programs do not use to cheaper places")
        .infer_long_args(true)
        .args_override_self(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            option(
                "socket",
                's',
                "SOCKET",
                "Name of the socket of etmemd [default: ETMEM_SOCKET, else that of the only etmemd that runs]",
            )
            .alias("sock")
            .value_parser(value_parser!(OsString)),
        )
        .subcommands(objects)
        .after_help(HELP.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &[&str]) -> Result<(Asked, Option<SocketName>), Failure> {
        read(std::iter::once("etmem").chain(words.iter().copied()).map(OsString::from))
    }

    /// Words split at spaces, for lines without empty arguments.
    fn read_line(line: &str) -> Result<(Asked, Option<SocketName>), Failure> {
        read_words(&line.split(' ').collect::<Vec<_>>())
    }

    /// The request's line, where one is sent.
    fn line_sent(asked: Asked) -> String {
        match asked {
            Asked::Send(request) => request.encode(),
            Asked::TaskShow(task_show) => task_show.request.encode(),
            Asked::Metrics(metrics) => metrics.request().encode(),
            other @ (Asked::Etmemd(_)
            | Asked::WhereOfProject(_)
            | Asked::Listen(_)
            | Asked::Top(_)
            | Asked::DryRun(_)
            | Asked::PressureRun(..)
            | Asked::Print(_)
            | Asked::Completions(_)
            | Asked::Manual(_)) => {
                panic!("nothing is sent: {other:?}")
            }
        }
    }

    #[test]
    fn lines_that_are_sent() {
        const START: &str = "proj_name t file_name - cmd 2 eng_name - eng_cmd - task_name -";
        const STOP: &str = "proj_name t file_name - cmd 3 eng_name - eng_cmd - task_name -";
        const SHOW: &str = "proj_name - file_name - cmd 4 eng_name - eng_cmd - task_name -";
        const ADD: &str = "proj_name - file_name /f cmd 0 eng_name - eng_cmd - task_name -";
        const ENGINE: &str = "proj_name t file_name - cmd 5 eng_name e eng_cmd go task_name -";
        const STRICT: &str = "proj_name - file_name /f cmd 0 eng_name - eng_cmd strict task_name -";
        const ADD_PROJECT: &str = "proj_name t file_name /f cmd 0 eng_name - eng_cmd - task_name -";
        const DEL_PROJECT: &str = "proj_name t file_name - cmd 1 eng_name - eng_cmd - task_name -";
        const TASK: &str = "proj_name t file_name - cmd 5 eng_name e eng_cmd go task_name k";
        for (line, want) in [
            ("project start -n t -s sock", START),
            ("project start --name t --socket sock", START),
            ("project start --name=t --sock=sock", START),
            ("project start -nt -ssock", START),
            ("project start --na t --so sock", START),
            ("-s sock project start -n t", START),
            ("project -n t start -s sock", START),
            ("project -s sock -n t start", START),
            ("project start -n x -n t -s other -s sock", START),
            ("migrate start -n t --sock sock", START),
            ("project stop -n t -s sock", STOP),
            ("migrate stop -n t -s sock", STOP),
            ("project show -s sock", SHOW),
            ("project show -n t -s sock", "proj_name t file_name - cmd 4 eng_name - eng_cmd - task_name -"),
            (
                "project show --verbose -n t -s sock",
                "proj_name t file_name - cmd 4 eng_name - eng_cmd verbose task_name -",
            ),
            ("task show -n t -s sock", "proj_name t file_name - cmd 4 eng_name - eng_cmd tasks task_name -"),
            (
                "task -s sock show --json --watch -n t --task_name k",
                "proj_name t file_name - cmd 4 eng_name - eng_cmd tasks-json task_name k",
            ),
            ("metrics -s sock", "proj_name - file_name - cmd 4 eng_name - eng_cmd metrics task_name -"),
            (
                "metrics --file /f -s sock",
                "proj_name - file_name - cmd 4 eng_name - eng_cmd metrics-prometheus task_name -",
            ),
            (
                "metrics --file /f --format openmetrics -s sock",
                "proj_name - file_name - cmd 4 eng_name - eng_cmd metrics task_name -",
            ),
            ("obj add -f /f -s sock", ADD),
            ("obj -f /f add -s sock", ADD),
            ("obj add --file /./f -s sock", ADD),
            ("obj add --strict -f /f -s sock", STRICT),
            ("project add -n t -f /f -s sock", ADD_PROJECT),
            ("project add --name t --file /f --sock sock", ADD_PROJECT),
            ("project -n t add -s sock -f/f", ADD_PROJECT),
            ("project del -n t -s sock", DEL_PROJECT),
            ("obj del -f /f -s sock", "proj_name - file_name /f cmd 1 eng_name - eng_cmd - task_name -"),
            ("engine go -n t -e e -s sock", ENGINE),
            ("engine -n t go -e e -s sock", ENGINE),
            ("engine go --proj_name t --engine e -s sock", ENGINE),
            ("engine go --name t --eng e -s sock", ENGINE),
            ("engine go -n t -e e -t k -s sock", TASK),
            ("-s sock engine -n t -e e --task_name=k go", TASK),
        ] {
            let (asked, socket) = read_line(line).unwrap();
            assert_eq!(line_sent(asked), want, "{line}");
            assert_eq!(socket.unwrap().as_bytes(), b"sock", "{line}");
        }
        assert!(read_line("project show").unwrap().1.is_none());
    }

    #[test]
    fn what_the_doctor_is_given() {
        for (line, want) in [
            ("doctor", &["--doctor"][..]),
            ("doctor --json", &["--doctor", "--json"]),
            ("doctor --sys-root=/s --proc-root /p", &["--doctor", "--proc-root", "/p", "--sys-root", "/s"]),
        ] {
            let Asked::Etmemd(arguments) = read_line(line).unwrap().0 else { panic!("{line}") };
            assert_eq!(arguments, want, "{line}");
        }
    }

    #[test]
    fn what_commands_without_a_daemon_are_given() {
        for (line, want) in [
            ("idle 7", &["--idle", "--pid=7"][..]),
            ("idle -p 7 --json", &["--idle", "--pid=7", "--json"]),
            ("idle -N redis --keep 2m", &["--idle", "--name=redis", "--keep=2m"]),
            (
                "idle --keep=0 -c /a --max-swap-use 95 --proc-root /p",
                &["--idle", "--cgroup=/a", "--keep=0", "--max-swap-use=95", "--proc-root", "/p"],
            ),
            ("warm 7", &["--warm", "--pid=7"]),
            ("where", &["--where"]),
            ("where 7", &["--where", "--pid=7"]),
            ("where -N db --json --proc-root /p", &["--where", "--name=db", "--json", "--proc-root", "/p"]),
            ("where --all", &["--where", "--all"]),
            ("survey --all", &["--survey", "--all"]),
            ("record a.rec -p 7", &["--record", "--pid=7", "--file=a.rec"]),
            (
                "record a.rec -N x --for 1h --every 30s --json",
                &["--record", "--name=x", "--file=a.rec", "--for=1h", "--every=30s", "--json"],
            ),
            (
                "survey 7 --for 2m --no-sample --json",
                &["--survey", "--pid=7", "--for=2m", "--no-sample", "--json"],
            ),
            (
                "warm --cgroup /a/* --json --sys-root /s",
                &["--warm", "--cgroup=/a/*", "--json", "--sys-root", "/s"],
            ),
            ("report heatmap --from a.rec", &["--report", "--from=a.rec", "--what=heatmap"]),
            (
                "report wss -p 7 --for 5m --format csv",
                &["--report", "--pid=7", "--for=5m", "--what=wss", "--format=csv"],
            ),
            (
                "replay a.rec --set T=2 --set age=5m",
                &["--replay", "--file=a.rec", "--set=T=2", "--set=age=5m"],
            ),
        ] {
            let Asked::Etmemd(arguments) = read_line(line).unwrap().0 else { panic!("{line}") };
            assert_eq!(arguments, want, "{line}");
        }
        for line in [
            "report heatmap",
            "report --from a.rec",
            "report other --from a.rec",
            "report ages --from a.rec --format pdf",
            "replay",
            "replay a.rec T=2",
            "idle",
            "warm",
            "survey",
            "survey --all 7",
            "idle --all",
            "idle 7 -p 8",
            "idle 7 -N x",
            "warm 7 --keep 2s",
            "warm 7 8",
            "where 7 -N x",
            "where -n p -p 7",
            "record a.rec",
            "record -p 7",
            "record a.rec -p 7 -N x",
        ] {
            assert_ne!(read_line(line).unwrap_err().number(), 0, "{line}");
        }
    }

    #[test]
    fn a_relative_path_is_made_absolute() {
        let here = std::env::current_dir().unwrap();
        let here = here.display();
        let line = line_sent(read_line("obj add -f ./a/../b -s sock").unwrap().0);
        assert_eq!(
            line,
            format!("proj_name - file_name {here}/a/../b cmd 0 eng_name - eng_cmd - task_name -")
        );
    }

    #[test]
    fn values_that_cannot_be_sent() {
        let long = "n".repeat(108);
        for (words, text) in [
            (
                ["project", "start", "-n", "a b", "-s", "sock"],
                "name \"a b\" has the character ' '; a name is printable ASCII without spaces",
            ),
            (["project", "start", "-n", "", "-s", "sock"], "name \"\" is empty; a name has 1 to 64 bytes"),
            (
                ["project", "start", "-n-x", "-s", "sock", "--name=-y"],
                "name \"-y\" begins with '-', which the protocol takes for an absent value",
            ),
            (
                ["obj", "add", "-f", "/a b", "-s", "sock"],
                "file \"/a b\" has the character ' '; the protocol carries no spaces and no control characters",
            ),
            (["project", "start", "-n", "t", "-s", ""], "-s \"\" is empty; a socket name has 1 to 107 bytes"),
            (
                ["project", "start", "-n", "t", "-s", &long],
                &format!("-s \"{long}\" has 108 bytes; a socket name has 1 to 107"),
            ),
        ] {
            let failure = read_words(&words).unwrap_err();
            assert_eq!(failure.to_string(), text);
            assert_eq!(failure.number(), 234);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (line, text) in [
            ("project start -s s", "\"project start\" needs -n|--name PROJECT; see etmem help"),
            ("migrate stop -s s", "\"migrate stop\" needs -n|--name PROJECT; see etmem help"),
            ("obj del -s s", "\"obj del\" needs -f|--file FILE; see etmem help"),
            ("engine go -n t -s s", "\"engine\" needs -e|--engine ENGINE; see etmem help"),
            ("engine -n t -s s", "\"engine\" needs COMMAND; see etmem help"),
        ] {
            assert_eq!(read_line(line).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn clap_finds_no_fault_in_the_grammar() {
        program().debug_assert();
    }
}
