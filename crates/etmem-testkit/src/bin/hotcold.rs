//! A program with a hot and a cold part of memory; see `etmem_testkit::workload`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match etmem_testkit::workload::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hotcold: {error:#}");
            ExitCode::FAILURE
        }
    }
}
