//! The measures that the project holds itself to, each with its bound: `make bench`.
//!
//! Words behind `cargo bench --package etmem-tests --bench measures --` choose some of them by name.
//!
//! They run the real parts against real memory of another process, as root. What cannot run here says why.

mod client;
mod daemon;
mod idle_pages;
mod mover;
mod probe;
mod report;
mod slide;
mod target;

use report::Report;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = Report::only(std::env::args().skip(1));
    report.run("bpf probe", probe::measure);
    report.run("idle_pages", idle_pages::measure);
    report.run("slide", slide::measure);
    report.run("mover", mover::measure);
    report.run("client", client::measure);
    report.run("daemon, scanning", daemon::scanning);
    report.run("daemon, idle", daemon::idle);
    report.print()
}
