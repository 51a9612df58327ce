//! Stories that a test program tells elsewhere, in a virtual machine or a namespace: it runs itself there, with the programs
//! under test.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::Trial;
use nix::mount::{MsFlags, mount, umount};

use crate::daemon::Binaries;
use crate::laboratory::{Commands, Machine, SharedBoot, indented, quoted, trial};
use crate::undo::Undo;

/// The first argument of a program that runs elsewhere.
const INSIDE: &str = "--inside";

/// Tells the story that this program was started for, if it runs elsewhere.
pub fn story(tell: impl FnOnce(&str, &Binaries) -> Result<()>) -> Option<ExitCode> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [word, name, etmemd, etmem, hotcold] = arguments.as_slice() else { return None };
    if word != INSIDE {
        return None;
    }
    let [etmemd, etmem, hotcold] = [etmemd, etmem, hotcold].map(PathBuf::from);
    Some(exit_code(tell(&name.to_string_lossy(), &Binaries { etmemd, etmem, hotcold })))
}

/// The status that a program ends with, having said what went wrong.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The command, word by word, by which this program tells the story `name`.
///
/// # Errors
/// The programs do not build.
pub fn words(name: &str) -> Result<[PathBuf; 6]> {
    let Binaries { etmemd, etmem, hotcold } = Binaries::build()?.clone();
    Ok([env::current_exe()?, INSIDE.into(), name.into(), etmemd, etmem, hotcold])
}

/// The same as a line for the shell.
///
/// # Errors
/// As [`words`], or a path cannot be quoted.
pub fn line(name: &str) -> Result<String> {
    let quoted: Vec<String> = words(name)?.iter().map(|word| quoted(word)).collect::<Result<_>>()?;
    Ok(quoted.join(" "))
}

/// The programs that such a command needs.
///
/// # Errors
/// As [`words`].
pub fn files() -> Result<Vec<PathBuf>> {
    let [own, _, _, etmemd, etmem, hotcold] = words("")?;
    Ok(vec![own, etmemd, etmem, hotcold])
}

/// A story: its name, and what happens inside.
pub type Story<Inside> = (&'static str, fn(&Inside) -> Result<()>);

/// Tells the one of `stories` called `name`.
///
/// # Errors
/// What went wrong in it, or there is none.
pub fn tell<'a, Inside: 'a>(
    stories: impl IntoIterator<Item = &'a Story<Inside>>,
    name: &str,
    inside: impl FnOnce() -> Result<Inside>,
) -> Result<()> {
    let story = stories.into_iter().find(|story| story.0 == name);
    let (_, story) = story.with_context(|| format!("there is no story {name}"))?;
    story(&inside()?)
}

/// The commands that tell `stories` in one machine, with these files beside those of [`files`].
///
/// # Errors
/// As [`words`].
pub fn commands<Inside>(stories: &[Story<Inside>], beside: Vec<PathBuf>) -> Result<Commands> {
    let commands = stories.iter().map(|(name, _)| Ok((String::from(*name), line(name)?)));
    Ok(([files()?, beside].concat(), commands.collect::<Result<_>>()?))
}

/// A test for each of `stories`, all told in one boot of `machine` by what `commands` makes of them; each is called what `name` makes of
/// its story's name, and skipped for what is `missing`.
pub fn trials<Inside>(
    machine: Machine,
    stories: &'static [Story<Inside>],
    commands: fn(&[Story<Inside>]) -> Result<Commands>,
    missing: Option<&str>,
    name: impl Fn(&str) -> String,
) -> Vec<Trial> {
    let boot = Arc::new(SharedBoot::new(machine, move || commands(stories)));
    stories.iter().map(|story| trial(&name(story.0), missing, told(&boot, story.0))).collect()
}

/// The test that shows what the story `name` printed in `boot`.
pub fn told(boot: &Arc<SharedBoot>, name: &'static str) -> impl FnOnce() -> Result<()> + Send + use<> {
    let boot = Arc::clone(boot);
    move || {
        println!("{}", indented(&boot.of(name)?));
        Ok(())
    }
}

/// Where debugfs is mounted.
pub const DEBUGFS: &str = "/sys/kernel/debug";

/// Mounts debugfs there, as systemd does. What ends with the machine needs no more; else it is unmounted when the guard is dropped.
///
/// # Errors
/// It cannot be mounted.
pub fn debugfs() -> Result<Undo> {
    mount(None::<&str>, DEBUGFS, Some("debugfs"), MsFlags::empty(), None::<&str>).context(DEBUGFS)?;
    Ok(Undo::with(|| {
        // Where it is busy, it goes with the machine.
        let _ = umount(DEBUGFS);
    }))
}

/// Tells the story `name` in `machine`, and shows what it printed.
///
/// # Errors
/// As [`Machine::run`].
pub fn boot(machine: Machine, name: &str) -> Result<()> {
    boot_below(machine, "", name)
}

/// The same, below the command `above`, such as `unshare -p -f --`.
///
/// # Errors
/// As [`Machine::run`].
pub fn boot_below(machine: Machine, above: &str, name: &str) -> Result<()> {
    let files = files()?;
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let said = machine.run(&files, &format!("{above} {}", line(name)?))?;
    print!("{}", indented(&said));
    Ok(())
}
