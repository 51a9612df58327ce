//! Memory of which a stretch is touched, which can be moved about; see `etmem_testkit::hotset`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match etmem_testkit::hotset::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hotset: {error:#}");
            ExitCode::FAILURE
        }
    }
}
