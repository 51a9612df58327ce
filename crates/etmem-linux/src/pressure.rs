//! `/proc/pressure/memory`: how much programs wait for memory.

use crate::root::ProcRoot;
use crate::small_file::KeptFile;
use etmem_core::kernel::pressure::{MemoryPressure, Pressure, Share};
use etmem_core::kernel::process::ProcessError;
use std::io::ErrorKind;

/// The pressure on the machine's memory.
#[derive(Debug, Clone)]
pub struct MachinePressure(KeptFile);

impl MachinePressure {
    /// That of the machine whose procfs is mounted at `proc`.
    #[must_use]
    pub fn new(proc: &ProcRoot) -> Self {
        Self(KeptFile::new(proc.machine("pressure/memory")))
    }
}

impl MemoryPressure for MachinePressure {
    fn pressure(&self) -> Result<Option<Pressure>, ProcessError> {
        let refused =
            |reason: String| ProcessError::Refused { call: self.0.path().display().to_string(), reason };
        let text = match self.0.read_to_string() {
            Ok(text) => text,
            // Not built in, or booted with psi=0: then the file is there and may not be read.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(None),
            Err(error) => return Err(refused(error.to_string())),
        };
        parse(&text).map(Some).ok_or_else(|| refused("is not as the kernel's manual describes PSI".into()))
    }
}

/// Reads lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn parse(text: &str) -> Option<Pressure> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let figure = |line: &str, name: &str| {
        let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        let (whole, hundredths) = value.split_once('.')?;
        let digits = hundredths.len() == 2 && hundredths.bytes().all(|byte| byte.is_ascii_digit());
        let hundredths: u32 = hundredths.parse().ok().filter(|_| digits)?;
        whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths).map(Share::of_hundredths)
    };
    let some = line("some")?;
    Some(Pressure {
        some_avg10: figure(some, "avg10")?,
        some_avg60: figure(some, "avg60")?,
        full_avg10: figure(line("full")?, "avg10")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "some avg10=12.03 avg60=1.25 avg300=0.00 total=4711\n\
                        full avg10=3.40 avg60=0.00 avg300=0.00 total=9\n";

    #[test]
    fn reads_a_machine() {
        let tree = tempfile::tempdir().unwrap();
        let machine = MachinePressure::new(&ProcRoot::new(tree.path()));
        assert_eq!(machine.pressure(), Ok(None));
        std::fs::create_dir(tree.path().join("pressure")).unwrap();
        let file = tree.path().join("pressure/memory");
        std::fs::write(&file, TEXT).unwrap();
        let want = Pressure {
            some_avg10: Share::of_hundredths(1203),
            some_avg60: Share::of_hundredths(125),
            full_avg10: Share::of_hundredths(340),
        };
        assert_eq!(machine.pressure(), Ok(Some(want)));
        for bad in ["", "some avg10=1.2 avg60=1.25\n", "some avg10=x.00 avg60=0.00", "full avg10=0.00\n"] {
            std::fs::write(&file, bad).unwrap();
            let error = machine.pressure().unwrap_err().to_string();
            assert!(error.contains("pressure/memory"), "{error}");
        }
    }

    #[test]
    fn reads_this_machine() {
        if let Some(pressure) = MachinePressure::new(&ProcRoot::default()).pressure().unwrap() {
            assert!(pressure.some_avg10 <= Share::of_percent(100));
        }
    }
}
