//! Manual pages and completions, as the programs that read them take them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::Binaries;
use etmem_testkit::machine::Need;
use etmem_testkit::process::run;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// Pages have no date: it would not be kept true.
const NO_DATE: &str = "missing date";

fn main() -> ExitCode {
    run_in_turn(vec![
        trial_or_skip("pages_are_there_and_whole", &[], whole_pages),
        trial_or_skip("pages_please_mandoc", &[Need::Program("mandoc")], mandoc),
        trial_or_skip("a_page_that_cannot_be_written_is_said", &[], nowhere_to_write),
        trial_or_skip("bash_takes_the_script", &[Need::Program("bash")], || syntax("bash")),
        trial_or_skip("zsh_takes_the_script", &[Need::Program("zsh")], || syntax("zsh")),
        trial_or_skip("fish_takes_the_script", &[Need::Program("fish")], || syntax("fish")),
        trial_or_skip("bash_completes", &[Need::Program("bash")], bash_completes),
        trial_or_skip("fish_completes", &[Need::Program("fish")], fish_completes),
        trial_or_skip("other_shells_are_refused", &[], other_shells),
    ])
}

/// Every page, in a folder that goes with the first value.
fn pages() -> Result<(TempDir, Vec<PathBuf>)> {
    let binaries = Binaries::build()?;
    let folder = tempfile::tempdir()?;
    let (man1, man8) = (folder.path().join("man1"), folder.path().join("man8"));
    for (program, option, below) in [(&binaries.etmem, "man", &man1), (&binaries.etmemd, "--man", &man8)] {
        let ran = run(Command::new(program).arg(option).arg(below), LIMIT)?;
        ensure!(ran.status == 0 && ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
    }
    let mut files = Vec::new();
    for below in [man1, man8] {
        for entry in fs::read_dir(below)? {
            files.push(entry?.path());
        }
    }
    files.sort();
    Ok((folder, files))
}

fn whole_pages() -> Result<()> {
    let (_folder, files) = pages()?;
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    let objects = [
        "completions",
        "doctor",
        "engine",
        "idle",
        "ksm",
        "metrics",
        "migrate",
        "obj",
        "pressure",
        "project",
        "record",
        "reload",
        "replay",
        "report",
        "survey",
        "task",
        "top",
        "warm",
        "where",
    ]
    .map(|name| format!("etmem-{name}.1"));
    let want: Vec<&str> = objects.iter().map(String::as_str).chain(["etmem.1", "etmemd.8"]).collect();
    ensure!(names == want, "{names:?}");
    for file in &files {
        let text = fs::read_to_string(file)?;
        for part in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXAMPLES",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
            "FILES",
        ] {
            ensure!(text.contains(&format!(".SH {part}\n")), "{} has no {part}:\n{text}", file.display());
        }
        ensure!(text.contains(".SH \"SEE ALSO\"\n"), "{}:\n{text}", file.display());
    }
    let text = |name: &str| -> Result<String> {
        let file = files.iter().find(|file| file.ends_with(name)).context("no such page")?;
        Ok(fs::read_to_string(file)?.replace("\\-", "-"))
    };
    for (page, words) in [
        ("etmem.1", &["etmem obj add", "etmem migrate stop", "ETMEM_SOCKET", "186", "etmemd(8)"][..]),
        ("etmem-obj.1", &["etmem obj del -f FILE", "--file", "--strict", "--dry-run", "--socket"]),
        ("etmem-project.1", &["etmem project show", "etmem project add", "--name", "--file"]),
        ("etmem-task.1", &["etmem task show", "--name", "--task_name", "--watch", "--json"]),
        ("etmem-doctor.1", &["etmem doctor", "--json", "--sys-root", "254"]),
        ("etmem-engine.1", &["showtaskpages", "--proj_name", "--engine", "--task_name"]),
        ("etmemd.8", &["etmemd --doctor", "--socket", "--log-level", "ETMEMD_LOG", "etmem(1)"]),
    ] {
        let text = text(page)?;
        for word in words {
            ensure!(text.contains(word), "{page} does not have {word}:\n{text}");
        }
    }
    Ok(())
}

fn mandoc() -> Result<()> {
    let (_folder, files) = pages()?;
    for file in files {
        let ran = run(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&file), LIMIT)?;
        let said = ran.stdout.lines().chain(ran.stderr.lines()).filter(|line| !line.contains(NO_DATE));
        let said: Vec<&str> = said.collect();
        ensure!(said.is_empty(), "{said:#?}");
    }
    Ok(())
}

fn nowhere_to_write() -> Result<()> {
    let binaries = Binaries::build()?;
    for (program, option, status) in [(&binaries.etmem, "man", 5), (&binaries.etmemd, "--man", 1)] {
        let ran = run(Command::new(program).args([option, "/dev/null/below"]), LIMIT)?;
        ensure!(ran.status == status && ran.stderr.contains("/dev/null/below: "), "{ran:?}");
    }
    Ok(())
}

/// The script for `shell`, in a folder that goes with the first value.
fn script(shell: &str) -> Result<(TempDir, PathBuf)> {
    let ran = run(Command::new(&Binaries::build()?.etmem).args(["completions", shell]), LIMIT)?;
    ensure!(ran.status == 0 && ran.stderr.is_empty(), "{ran:?}");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(format!("etmem.{shell}"));
    fs::write(&file, ran.stdout)?;
    Ok((folder, file))
}

fn syntax(shell: &str) -> Result<()> {
    let (_folder, file) = script(shell)?;
    let ran = run(Command::new(shell).arg("-n").arg(&file), LIMIT)?;
    ensure!(ran.status == 0 && ran.stderr.is_empty(), "{ran:?}");
    Ok(())
}

/// What bash offers behind `words`, the last of which is being typed.
fn offered_by_bash(script: &Path, folder: &Path, words: &[&str]) -> Result<Vec<String>> {
    const ASK: &str = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                       _etmem etmem \"${@: -1}\" \"${@: -2:1}\" 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.current_dir(folder).args(["--norc", "-c", ASK, "bash"]).arg(script).args(words);
    let ran = run(&mut bash, LIMIT)?;
    ensure!(ran.status == 0, "{ran:?}");
    Ok(ran.stdout.lines().map(ToOwned::to_owned).collect())
}

fn bash_completes() -> Result<()> {
    let (folder, file) = script("bash")?;
    fs::write(folder.path().join("sample.conf"), "")?;
    for (words, offered) in [
        (&["etmem", "pro"][..], &["project"][..]),
        (&["etmem", "obj", ""], &["add", "del", "help"]),
        (&["etmem", "project", "st"], &["start", "stop"]),
        (&["etmem", "task", ""], &["show", "help"]),
        (&["etmem", "task", "show", "--w"], &["--watch"]),
        (&["etmem", "doc"], &["doctor"]),
        (&["etmem", "obj", "add", "--f"], &["--file"]),
        (&["etmem", "obj", "add", "-f", "sam"], &["sample.conf"]),
        (&["etmem", "obj", "add", "-s", "sock", "--file", "sam"], &["sample.conf"]),
        (&["etmem", "project", "start", "-n", "sam"], &["sam"]),
        (&["etmem", "engine", "showt"], &["showtaskpages"]),
        (&["etmem", "completions", "z"], &["zsh"]),
    ] {
        let found = offered_by_bash(&file, folder.path(), words)?;
        let all = offered.iter().all(|word| found.iter().any(|other| other == word));
        let alone = words.last() == Some(&"") || found.len() == offered.len();
        ensure!(all && alone, "{words:?}: {found:?}");
    }
    Ok(())
}

fn fish_completes() -> Result<()> {
    let (folder, file) = script("fish")?;
    for (line, word) in
        [("etmem pro", "project"), ("etmem project sto", "stop"), ("etmem obj add --fi", "--file")]
    {
        let mut fish = Command::new("fish");
        fish.env("HOME", folder.path()).args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]);
        let ran = run(fish.arg(&file).arg(line), LIMIT)?;
        ensure!(ran.status == 0, "{ran:?}");
        let offered = ran.stdout.lines().any(|line| line.split('\t').next() == Some(word));
        ensure!(offered, "{line}: {ran:?}");
    }
    Ok(())
}

fn other_shells() -> Result<()> {
    for words in [&["completions", "tcsh"][..], &["completions"]] {
        let ran = run(Command::new(&Binaries::build()?.etmem).args(words), LIMIT)?;
        ensure!(ran.status == 234 && ran.stdout.is_empty(), "{ran:?}");
    }
    Ok(())
}
