//! `etmem completions bash|zsh|fish`: a script that lets the shell complete this command line.
//!
//! It is made from the definition of the command line, and completes the words that are known without asking a daemon.

use std::io::{self, Write};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, ValueHint};
use clap_complete::Shell;
use etmem_manual::Help;
use etmem_wire::Status;

use crate::arguments::{Asked, Object, missing, text};
use crate::failure::Failure;

const SHELLS: [(&str, Shell); 3] = [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

/// What engines of every kind understand; a plugin's are not known here.
fn engine_commands() -> impl Iterator<Item = &'static str> {
    etmem_engine::KINDS.iter().flat_map(|kind| kind.commands).copied().chain(["help"])
}

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help::examples(&[
        "etmem completions bash > /usr/share/bash-completion/completions/etmem",
        "etmem completions zsh > /usr/local/share/zsh/site-functions/_etmem",
        "etmem completions fish > /usr/share/fish/vendor_completions.d/etmem.fish",
    ]),
};

fn command() -> Command {
    Command::new("completions")
        .about("Print a script by which a shell completes the commands and options of etmem")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .help("The shell: bash, zsh or fish")
                .required(true)
                .hide_possible_values(true)
                .value_parser(PossibleValuesParser::new(SHELLS.map(|(name, _)| name))),
        )
        .override_usage("etmem completions bash|zsh|fish")
}

fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let chosen = SHELLS.into_iter().find(|(name, _)| text(options, "shell") == Some(*name));
    chosen.map(|(_, shell)| Asked::Completions(shell)).ok_or(missing("completions", "bash, zsh or fish"))
}

/// Prints the script by which `shell` completes `program`. A reader that stops early is no failure.
pub(crate) fn print(shell: Shell, program: Command, out: &mut dyn Write) -> io::Result<Status> {
    match out.write_all(&script(shell, program)).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(Status::Success),
    }
}

fn script(shell: Shell, program: Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut with_hints(program), "etmem", &mut script);
    script
}

/// `command` with hints for its values: a file where a configuration file is expected, no file where a name is.
fn with_hints(command: Command) -> Command {
    let known = command.mut_args(|option| match option.get_id().as_str() {
        "file" => option.value_hint(ValueHint::FilePath),
        "command" => option.value_parser(PossibleValuesParser::new(engine_commands())),
        _ if option.is_positional() || !option.get_action().takes_values() => option,
        _ => option.value_hint(ValueHint::Other),
    });
    known.mut_subcommands(with_hints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::program;

    /// The words of every command and the long options that it has, hidden ones apart.
    fn words(command: &Command, found: &mut Vec<String>) {
        let options = command.get_arguments().filter(|option| !option.is_hide_set());
        found.extend(options.filter_map(|option| option.get_long()).map(ToOwned::to_owned));
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            found.push(verb.get_name().to_owned());
            words(verb, found);
        }
    }

    #[test]
    fn every_word_is_completed() {
        let mut found = Vec::new();
        words(&program(), &mut found);
        assert!(
            ["obj", "add", "migrate", "socket", "task_name"]
                .iter()
                .all(|word| found.iter().any(|w| w == word))
        );
        for (name, shell) in SHELLS {
            let script = String::from_utf8(script(shell, program())).unwrap();
            for word in &found {
                assert!(script.contains(word), "{word} is missing for {name}:\n{script}");
            }
            assert!(!script.contains("man "), "the command for packagers is completed:\n{script}");
        }
    }
}
