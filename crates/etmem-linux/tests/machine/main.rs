//! The ports over the machine that runs the tests: real processes, real page tables, real swap.
//!
//! What this machine or this user cannot do is listed as ignored, with the reason in its name.

#![expect(clippy::unwrap_used, reason = "a target that does not obey ends its trial")]

mod moving;
mod processes;
mod seeing;
mod swap;
mod target;

use etmem_linux::mover::madvise::Madvise;
use etmem_linux::probe::bpf::Bpf;
use etmem_linux::root::{ProcRoot, SysRoot};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::Arc;

/// How a trial ends.
type Outcome = Result<(), Failed>;

/// A trial called `name`, or, where `needs` says why not, an ignored one.
fn trial(name: &str, needs: &Result<(), String>, run: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    match needs {
        Ok(()) => Trial::test(name, run),
        Err(reason) => Trial::test(format!("{name} [skipped: {reason}]"), || Ok(())).with_ignored_flag(true),
    }
}

fn main() -> ExitCode {
    if target::is_target() {
        return target::play();
    }
    let arguments = Arguments::from_args();
    let bpf = Bpf::detect(&ProcRoot::default(), &SysRoot::default());
    let can_see = bpf.as_ref().map(drop).map_err(ToString::to_string);
    let can_move = Madvise::detect(&ProcRoot::default()).map(drop).map_err(|reason| reason.to_string());
    let mut trials = processes::trials();
    if let Ok(bpf) = bpf {
        trials.extend(seeing::trials(&Arc::new(bpf)));
    } else {
        trials.push(trial("everything seen through BPF", &can_see, || Ok(())));
    }
    trials.extend(moving::trials(&can_move));
    libtest_mimic::run(&arguments, trials).exit_code()
}
