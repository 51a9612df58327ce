//! The program `fakeproc`: a scripted machine for the shell.

use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Parser;

use super::handle::{FakeProc, lacks};
use super::text;

/// Mounts a scripted machine in the place of /proc, and tells what is done to it. Ctrl-C ends it.
///
/// The script: one statement a line, see the sample that --sample prints.
#[derive(Debug, Parser)]
#[command(name = "fakeproc")]
struct Arguments {
    /// The script.
    #[arg(required_unless_present = "sample")]
    script: Option<PathBuf>,
    /// Mount here, a folder, and not in a new one below the folder for temporary files.
    #[arg(long)]
    at: Option<PathBuf>,
    /// Tell only where it is mounted.
    #[arg(long)]
    quiet: bool,
    /// Print a script to begin with.
    #[arg(long)]
    sample: bool,
}

/// A script to begin with.
const SAMPLE: &str = include_str!("sample.script");

/// Runs the program: returns only when there is nothing to mount.
///
/// # Errors
/// What is wrong with the script or with the machine.
pub fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let Some(path) = arguments.script.filter(|_| !arguments.sample) else {
        print!("{SAMPLE}");
        return Ok(());
    };
    let said = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (script, faults) = text::parse(&said).with_context(|| path.display().to_string())?;
    if let Some(reason) = lacks() {
        bail!(reason);
    }
    let quiet = arguments.quiet;
    let fake = FakeProc::mount_observed(
        script,
        arguments.at.as_deref(),
        Box::new(move |line| {
            if !quiet {
                println!("{line}");
            }
        }),
    )?;
    faults.into_iter().for_each(|fault| fake.plan(fault));
    println!("mounted at {}", fake.root().display());
    // A signal takes the mount away and ends the program.
    loop {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_can_be_read() {
        assert_eq!(text::parse(SAMPLE).unwrap().0.processes.len(), 2);
    }
}
