//! A scripted machine in the place of /proc, for the shell; see `etmem_testkit::fake::proc`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match etmem_testkit::fake::proc::program::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fakeproc: {error:#}");
            ExitCode::FAILURE
        }
    }
}
