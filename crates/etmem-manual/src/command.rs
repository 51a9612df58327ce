//! The page of a command.

use crate::help::{ExitStatus, Help};
use crate::page::{Page, Section};
use clap::{Arg, Command};
use clap_mangen::Man;
use std::io;

/// What the page of a command says.
#[derive(Debug, Clone, Copy)]
pub struct CommandPage<'a> {
    /// The command, built ([`Command::build`]) together with the program that it belongs to.
    pub command: &'a Command,
    /// Where the page belongs.
    pub section: Section,
    /// The command's help.
    pub help: &'a Help,
    /// Names of environment variables, and what they are for.
    pub environment: &'a [(&'a str, &'a str)],
    /// Paths, and what is there.
    pub files: &'a [(&'a str, &'a str)],
    /// The pages that belong together, such as `etmemd(8)`; this one may be among them.
    pub see_also: &'a [String],
}

/// The page of a command.
///
/// # Errors
/// Never: only memory is written to.
pub fn command_page(about: &CommandPage<'_>) -> io::Result<Page> {
    let CommandPage { command, section, help, .. } = about;
    let name = name(command);
    let man = Man::new(with_options_of_verbs(command));
    let itself = format!("{name}({})", section.number());
    let others: Vec<&str> =
        about.see_also.iter().map(String::as_str).filter(|page| *page != itself).collect();
    let statuses = help.exit_statuses.iter();
    let statuses = statuses.map(|ExitStatus(number, meaning)| (number.to_string(), (*meaning).to_owned()));
    Ok(Page::new(name, *section, &short_help(command))
        .lines("SYNOPSIS", usages(command))
        .written(|mut out| man.render_description_section(&mut out))?
        .list("COMMANDS", commands(command))
        .written(|mut out| man.render_options_section(&mut out))?
        .lines("EXAMPLES", help.examples)
        .list("EXIT STATUS", statuses)
        .list("ENVIRONMENT", about.environment.iter().copied())
        .list("FILES", about.files.iter().copied())
        .text("NOTES", &help.notes.replace('\n', " "))
        .text("SEE ALSO", &others.join(", ")))
}

/// The name of its page, such as `etmem-obj`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn short_help(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// The commands of `command` that its help shows.
fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

/// The options that `verb` has and `command` has not.
fn own_options<'a>(command: &'a Command, verb: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let of_both = |option: &Arg| command.get_arguments().any(|known| known.get_id() == option.get_id());
    verb.get_arguments().filter(move |option| !option.is_hide_set() && !of_both(option))
}

/// `command` with the options that only some of its verbs have: verbs have no pages of their own. The objects of a program
/// have pages, so their options are not listed again.
fn with_options_of_verbs(command: &Command) -> Command {
    let mut whole = command.clone();
    for verb in verbs(command).filter(|verb| !verb.has_subcommands() && is_object(command)) {
        for option in own_options(command, verb) {
            let known = whole.get_arguments().any(|known| known.get_id() == option.get_id());
            if !known && !option.is_positional() {
                let help = option.get_help().map(ToString::to_string).unwrap_or_default();
                whole =
                    whole.arg(option.clone().required(false).help(format!("{}: {help}", verb.get_name())));
            }
        }
    }
    whole
}

/// Whether `command` is a word of a program's command line, not the program.
fn is_object(command: &Command) -> bool {
    command.get_display_name().is_some_and(|name| name != command.get_name())
}

/// A line for each form of the command.
fn usages(command: &Command) -> Vec<String> {
    if verbs(command).next().is_some() {
        return verbs(command).flat_map(usages).collect();
    }
    let usage = command.clone().render_usage().to_string();
    let forms = usage.trim_start_matches("Usage:").lines().map(|form| form.trim().to_owned());
    forms.filter(|form| !form.is_empty()).collect()
}

/// The commands of `command`, and what each does.
fn commands(command: &Command) -> impl Iterator<Item = (String, String)> {
    let page = |verb| if is_object(command) { String::new() } else { format!("; see {}(1)", name(verb)) };
    verbs(command).map(move |verb| (verb.get_name().to_owned(), short_help(verb) + &page(verb)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let add = Command::new("add").about("Add it").arg(Arg::new("dry").long("dry").help("Only look"));
        let add = add.override_usage("prog obj add [--dry]");
        let del = Command::new("del").about("Delete it").override_usage("prog obj del");
        let hidden = Command::new("secret").hide(true);
        let obj = Command::new("obj").about("All of it").subcommands([add, del]);
        let mut program = Command::new("prog").about("Does it").subcommands([obj, hidden]);
        program.build();
        program
    }

    fn shown(command: &Command) -> String {
        let statuses = &[ExitStatus(0, "done"), ExitStatus(1, "not")];
        let page = command_page(&CommandPage {
            command,
            section: Section::Administration,
            help: &Help { examples: &["prog", "prog  # again"], exit_statuses: statuses, notes: "Mind\nit." },
            environment: &[("PROG", "where")],
            files: &[],
            see_also: &["prog(8)".to_owned(), "other(8)".to_owned(), "third(1)".to_owned()],
        });
        page.unwrap().roff()
    }

    #[test]
    fn page_of_a_program_lists_its_objects() {
        let text = shown(&program());
        let head = format!(".TH PROG 8 \"\" \"etmem {}\" \"etmem\"\n", env!("CARGO_PKG_VERSION"));
        for part in [
            head.as_str(),
            ".SH NAME\nprog - Does it\n",
            ".SH SYNOPSIS\n.nf\nprog obj add [--dry]\nprog obj del\n.fi\n",
            ".TP\n\\fBobj\\fR\nAll of it; see prog-obj(1)\n",
            ".SH EXAMPLES\n.nf\nprog\nprog  # again\n.fi\n",
            ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\ndone\n.TP\n\\fB1\\fR\nnot\n",
            ".SH ENVIRONMENT\n.TP\n\\fBPROG\\fR\nwhere\n",
            ".SH NOTES\nMind it.\n.SH \"SEE ALSO\"\nother(8), third(1)\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        assert!(!text.contains("FILES") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn page_of_an_object_lists_the_options_of_its_verbs() {
        let program = program();
        let text = shown(program.find_subcommand("obj").unwrap());
        for part in [
            ".SH SYNOPSIS\n.nf\nprog obj add [--dry]\nprog obj del\n.fi\n",
            ".TP\n\\fBadd\\fR\nAdd it\n",
            "add: Only look",
            "prog(8), other(8)",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }
}
