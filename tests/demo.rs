//! `make demo` for those who cannot have it for real: an ordinary user, and root without the powers over the kernel.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::Binaries;
use etmem_testkit::daemon::binaries::for_everybody;
use etmem_testkit::machine::Need;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use tempfile::TempDir;

/// Who becomes an ordinary user, or gives up powers, had them before.
const NEEDS: [Need; 2] = [Need::Root, Need::Program("setpriv")];

fn main() -> ExitCode {
    run_in_turn(vec![
        trial_or_skip("an_ordinary_user_sees_it_simulated", &NEEDS, || {
            simulated(
                &["--reuid", "65534", "--regid", "65534", "--clear-groups"],
                "not root but user 65534: run it with sudo",
            )
        }),
        trial_or_skip("root_without_power_over_the_kernel_sees_it_simulated", &NEEDS, || {
            const LESS: &str = "-bpf,-perfmon,-sys_admin";
            simulated(
                &["--bounding-set", LESS, "--inh-caps", LESS],
                "root without CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF: run it outside of the container",
            )
        }),
    ])
}

/// Run by setpriv with `how`, it says first that `missing` is why, tells the story, and all of it holds.
fn simulated(how: &[&str], missing: &str) -> Result<()> {
    let folder = TempDir::new()?;
    let built = Binaries::build()?;
    let demo = built.hotcold.with_file_name("demo");
    let copy = |program: &PathBuf| for_everybody(folder.path(), program);
    for program in [&built.etmemd, &built.etmem, &built.hotcold] {
        copy(program)?;
    }
    let demo = copy(&demo)?;
    let output = Command::new("setpriv").args(how).arg("--").arg(demo).output().context("run setpriv")?;
    let text = String::from_utf8(output.stdout)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{text}\n{error}", output.status);
    let first = text.lines().next().unwrap_or_default();
    ensure!(
        first == format!("simulated | This machine or user cannot have the demo for real: {missing}."),
        "{first}"
    );
    ensure!(text.lines().all(|line| line.starts_with("simulated | ")), "every line is marked:\n{text}");
    ensure!(text.contains("swapped   896 MiB   hot resident 100.00 %"), "{text}");
    ensure!(text.ends_with("All of it holds; nothing real was moved.\n"), "{text}");
    Ok(())
}
