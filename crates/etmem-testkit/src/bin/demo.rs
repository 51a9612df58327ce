//! `make demo`: the whole product on a real workload, with a verdict; see `etmem_testkit::demo`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match etmem_testkit::demo::main() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
