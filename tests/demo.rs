//! `make demo` where it cannot be had for real: an ordinary user, and root without the powers over the kernel. And
//! `demo --harm`, which must not pass.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::Binaries;
use etmem_testkit::daemon::binaries::for_everybody;
use etmem_testkit::machine::Need;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use tempfile::TempDir;

/// To become an ordinary user, or to give up powers, one must have them.
const NEEDS: [Need; 2] = [Need::Root, Need::Program("setpriv")];
/// What the demo needs for real.
const REAL: [Need; 3] = [Need::Root, Need::Bpf, Need::Swap(1280 << 20)];

const ORDINARY: [&str; 5] = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
const ORDINARY_LACKS: &str = "not root but user 65534: run it with sudo";

fn main() -> ExitCode {
    run_in_turn(vec![
        trial_or_skip("an_ordinary_user_sees_it_simulated", &NEEDS, || {
            holds_simulated(&ORDINARY, ORDINARY_LACKS)
        }),
        trial_or_skip("root_without_power_over_the_kernel_sees_it_simulated", &NEEDS, || {
            const LESS: &str = "-bpf,-perfmon,-sys_admin";
            holds_simulated(
                &["--bounding-set", LESS, "--inh-caps", LESS],
                "root without CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF: run it outside of the container",
            )
        }),
        trial_or_skip("simulated_harm_does_not_pass", &NEEDS, || {
            let (text, _) = simulated(&ORDINARY, ORDINARY_LACKS, &["--harm"], 1)?;
            ensure!(text.ends_with("NOT all of it holds; nothing real was moved.\n"), "{text}");
            hot_claim_is_broken(&text)
        }),
        trial_or_skip("harm_to_real_memory_does_not_pass", &REAL, || {
            let demo = Binaries::build()?.hotcold.with_file_name("demo");
            let (text, error) = ended_with(1, &Command::new(demo).arg("--harm").output()?)?;
            ensure!(text.contains("; NOT all of it holds."), "{text}\n{error}");
            ensure!(text.contains("all 1024 MiB       holds"), "content survives harm:\n{text}");
            hot_claim_is_broken(&text)
        }),
    ])
}

fn hot_claim_is_broken(text: &str) -> Result<()> {
    let claims = ["hot pages that left", "pages fetched back by a fault"];
    let mut lines = text.lines().filter(|line| claims.iter().any(|claim| line.contains(claim)));
    ensure!(lines.any(|line| line.ends_with("does not hold")), "{text}");
    Ok(())
}

/// All of it holds, and 128 MiB of 1 GiB stay.
fn holds_simulated(how: &[&str], missing: &str) -> Result<()> {
    let (text, _) = simulated(how, missing, &[], 0)?;
    ensure!(text.contains("swapped   896 MiB   hot resident 100.00 %"), "{text}");
    ensure!(text.ends_with("All of it holds; nothing real was moved.\n"), "{text}");
    Ok(())
}

/// Run by setpriv with `how`, the demo says first that `missing` is why, marks each line, and ends with `status`: what
/// it printed and complained of.
fn simulated(how: &[&str], missing: &str, options: &[&str], status: i32) -> Result<(String, String)> {
    let folder = TempDir::new()?;
    let demo = copy_for_everybody(folder.path())?;
    let words = how.iter().map(OsStr::new).chain([OsStr::new("--"), demo.as_os_str()]);
    let output = Command::new("setpriv").args(words).args(options).output().context("run setpriv")?;
    let (text, error) = ended_with(status, &output)?;
    let first = text.lines().next().unwrap_or_default();
    ensure!(
        first == format!("simulated | This machine or user cannot have the demo for real: {missing}."),
        "{first}"
    );
    ensure!(text.lines().all(|line| line.starts_with("simulated | ")), "every line is marked:\n{text}");
    Ok((text, error))
}

fn copy_for_everybody(folder: &Path) -> Result<PathBuf> {
    let built = Binaries::build()?;
    for program in [&built.etmemd, &built.etmem, &built.hotcold] {
        for_everybody(folder, program)?;
    }
    for_everybody(folder, &built.hotcold.with_file_name("demo"))
}

fn ended_with(status: i32, output: &Output) -> Result<(String, String)> {
    let [text, error] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into());
    ensure!(output.status.code() == Some(status), "{} instead of {status}:\n{text}\n{error}", output.status);
    Ok((text, error))
}
