//! `make demo`: the whole product on a real workload, with a verdict; see `etmem_testkit::demo`.

use std::process::ExitCode;

use etmem_testkit::demo::{self, Verdict};

fn main() -> ExitCode {
    match demo::main() {
        Ok(Verdict::Holds) => ExitCode::SUCCESS,
        Ok(Verdict::Skipped(why)) => {
            println!("\nskipped: {why}.");
            ExitCode::SUCCESS
        }
        Ok(Verdict::Broken) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
