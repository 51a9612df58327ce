//! A page, and its way into a file.

use crate::after_help::{Body, TextSection, sections};
use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::{self, Write};
use std::path::Path;

/// The part of the manual that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// 1: commands that anybody may try.
    Commands,
    /// 8: what runs the machine.
    Administration,
}

impl Section {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::Commands => "1",
            Self::Administration => "8",
        }
    }
}

/// A manual page.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// What it is about, built ([`Command::build`]) together with the program that it is a command of.
    pub command: &'a Command,
    /// Where it belongs.
    pub section: Section,
    /// Text in the form of a command's `after_help` from which sections are taken that the command's own lacks.
    pub shared: &'a str,
    /// Names of environment variables, and what they are for.
    pub environment: &'a [(&'a str, &'a str)],
    /// Paths, and what is there.
    pub files: &'a [(&'a str, &'a str)],
    /// The pages that belong together, such as `etmemd(8)`; this one may be among them.
    pub see_also: &'a [String],
}

impl Page<'_> {
    /// Its name, such as `etmem-obj`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.command.get_display_name().unwrap_or_else(|| self.command.get_name())
    }

    /// The page as text for `man`.
    ///
    /// # Errors
    /// Never: it is only memory that is written to.
    pub fn roff(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let version = self.command.get_version().unwrap_or(env!("CARGO_PKG_VERSION"));
        // No date: nobody would keep it true. And no hyphens that would make other words of command lines.
        let (title, section) = (self.name().to_uppercase(), self.section.number());
        write!(out, ".TH {title} {section} \"\" \"etmem {version}\" \"etmem\"\n.nh\n")?;
        let man = Man::new(with_options_of_verbs(self.command));
        man.render_name_section(&mut out)?;
        synopsis(self.command).to_writer(&mut out)?;
        man.render_description_section(&mut out)?;
        commands(self.command).to_writer(&mut out)?;
        man.render_options_section(&mut out)?;

        let mut texts =
            self.command.get_after_help().map_or_else(Vec::new, |text| sections(&text.to_string()));
        let shared = sections(self.shared).into_iter();
        let lacking: Vec<_> =
            shared.filter(|section| texts.iter().all(|own| own.title != section.title)).collect();
        texts.extend(lacking);
        for (title, entries) in [("ENVIRONMENT", self.environment), ("FILES", self.files)] {
            let list = entries.iter().map(|(word, meaning)| ((*word).to_owned(), (*meaning).to_owned()));
            texts.push(TextSection { title: title.to_owned(), body: Body::List(list.collect()) });
        }
        let itself = format!("{}({})", self.name(), self.section.number());
        let others: Vec<&str> =
            self.see_also.iter().map(String::as_str).filter(|page| *page != itself).collect();
        texts.push(TextSection { title: "SEE ALSO".to_owned(), body: Body::Text(others.join(", ")) });
        // Whatever their place in the help: pages end with these.
        let last = ["NOTES", "SEE ALSO"];
        texts.sort_by_key(|section| {
            last.iter().position(|title| section.title == *title).map(|place| place + 1)
        });
        texts.iter().try_for_each(|section| text(section).to_writer(&mut out))?;
        Ok(out)
    }
}

/// Writes each page into `folder`, which is made if it is not there, as `NAME.SECTION`.
///
/// # Errors
/// Says which file or folder cannot be written.
pub fn write_pages(folder: &Path, pages: &[Page<'_>]) -> io::Result<()> {
    let named =
        |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    for page in pages {
        let path = folder.join(format!("{}.{}", page.name(), page.section.number()));
        let write = || std::fs::File::create(&path)?.write_all(&page.roff()?);
        write().map_err(|error| named(&path, error))?;
    }
    Ok(())
}

/// The commands of `command` that people are told of.
fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

/// The options that `verb` alone has.
fn own_options<'a>(command: &'a Command, verb: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let of_both = |option: &Arg| command.get_arguments().any(|known| known.get_id() == option.get_id());
    verb.get_arguments().filter(move |option| !option.is_hide_set() && !of_both(option))
}

/// `command` with the options that only some of its verbs have: they have no pages of their own. A program's objects
/// have, so their options are not listed again.
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

/// A line for each way to say it.
fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    lines(&mut roff, &usages(command));
    roff
}

fn usages(command: &Command) -> Vec<String> {
    if command.has_subcommands() && verbs(command).next().is_some() {
        return verbs(command).flat_map(usages).collect();
    }
    let usage = command.clone().render_usage().to_string();
    let forms = usage.trim_start_matches("Usage:").lines().map(|form| form.trim().to_owned());
    forms.filter(|form| !form.is_empty()).collect()
}

fn commands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    for (number, verb) in verbs(command).enumerate() {
        if number == 0 {
            roff.control("SH", ["COMMANDS"]);
        }
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let page = if is_object(command) {
            String::new()
        } else {
            format!("; see {}(1)", verb.get_display_name().unwrap_or_else(|| verb.get_name()))
        };
        roff.control("TP", []).text([bold(verb.get_name())]).text([roman(about + &page)]);
    }
    roff
}

fn text(section: &TextSection) -> Roff {
    let mut roff = Roff::new();
    match &section.body {
        Body::List(list) if list.is_empty() => return roff,
        Body::Text(text) if text.is_empty() => return roff,
        Body::Lines(_) | Body::List(_) | Body::Text(_) => {}
    }
    roff.control("SH", [section.title.as_str()]);
    match &section.body {
        Body::Lines(shown) => lines(&mut roff, shown),
        Body::List(list) => {
            for (word, meaning) in list {
                roff.control("TP", []).text([bold(word)]).text([roman(meaning)]);
            }
        }
        Body::Text(text) => {
            roff.text([roman(text)]);
        }
    }
    roff
}

/// Lines that are not filled.
fn lines(roff: &mut Roff, shown: &[String]) {
    roff.control("nf", []);
    for line in shown {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let add = Command::new("add").about("Add it").arg(Arg::new("dry").long("dry").help("Only look"));
        let add = add.override_usage("prog obj add [--dry]");
        let del = Command::new("del").about("Delete it").override_usage("prog obj del");
        let hidden = Command::new("secret").hide(true);
        let obj = Command::new("obj")
            .about("All of it")
            .subcommands([add, del])
            .after_help("Example:\n  prog obj add");
        let mut program = Command::new("prog").about("Does it").version("1.2").subcommands([obj, hidden]);
        program.build();
        program
    }

    fn shown(command: &Command) -> String {
        let page = Page {
            command,
            section: Section::Administration,
            shared: "Examples:\n  prog\n\nExit status:\n  0 done, 1 not",
            environment: &[("PROG", "where")],
            files: &[],
            see_also: &["other(8)".to_owned(), "third(1)".to_owned()],
        };
        String::from_utf8(page.roff().unwrap()).unwrap().replace("\\-", "-")
    }

    #[test]
    fn a_page_of_the_program() {
        let text = shown(&program());
        for part in [
            ".TH PROG 8 \"\" \"etmem 1.2\" \"etmem\"\n",
            ".SH NAME\nprog - Does it\n",
            ".SH SYNOPSIS\n.nf\nprog obj add [--dry]\nprog obj del\n.fi\n",
            ".TP\n\\fBobj\\fR\nAll of it; see prog-obj(1)\n",
            ".SH EXAMPLES\n.nf\nprog\n.fi\n",
            ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\ndone\n.TP\n\\fB1\\fR\nnot\n",
            ".SH ENVIRONMENT\n.TP\n\\fBPROG\\fR\nwhere\n",
            ".SH \"SEE ALSO\"\nother(8), third(1)\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        assert!(!text.contains("FILES") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn a_page_of_an_object() {
        let program = program();
        let text = shown(program.find_subcommand("obj").unwrap());
        for part in [
            ".SH SYNOPSIS\n.nf\nprog obj add [--dry]\nprog obj del\n.fi\n",
            ".TP\n\\fBadd\\fR\nAdd it\n",
            "add: Only look",
            ".SH EXAMPLES\n.nf\nprog obj add\n.fi\n",
            ".SH \"EXIT STATUS\"",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[test]
    fn files_are_named_as_man_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let program = program();
        let page = |command| Page {
            command,
            section: Section::Commands,
            shared: "",
            environment: &[],
            files: &[],
            see_also: &[],
        };
        let pages = [page(&program), page(program.find_subcommand("obj").unwrap())];
        let man1 = folder.path().join("man/man1");
        write_pages(&man1, &pages).unwrap();
        assert!(man1.join("prog.1").is_file() && man1.join("prog-obj.1").is_file());
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = write_pages(&folder.path().join("file/below"), &pages).unwrap_err();
        assert!(error.to_string().contains("file/below: "), "{error}");
    }
}
