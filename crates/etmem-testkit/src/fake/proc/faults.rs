//! What goes wrong, when it is asked to.

/// One of the two files of the modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `idle_pages`.
    IdlePages,
    /// `swap_pages`.
    SwapPages,
}

impl File {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IdlePages => "idle_pages",
            Self::SwapPages => "swap_pages",
        }
    }
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// open(2).
    Open,
    /// read(2).
    Read,
    /// write(2).
    Write,
    /// ioctl(2).
    Ioctl,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this number and does nothing.
    Errno(i32),
    /// A read walks, and a write takes, as if the buffer were only so long.
    Short(usize),
    /// A read is cut off after this number of bytes, wherever that is; what was cut off is lost.
    Torn(usize),
    /// A read gives as many bytes as ever, but chance ones of this seed.
    Garbage(u64),
    /// A read gives nothing, a write takes nothing.
    Nothing,
}

/// A fault and when it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Of which process.
    pub pid: u32,
    /// At which of its files.
    pub file: File,
    /// At which call.
    pub call: Call,
    /// How many such calls go well before.
    pub after: u64,
    /// How many fail then.
    pub times: u64,
    /// How they fail.
    pub fault: Fault,
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Planned>);

impl Faults {
    pub(super) fn plan(&mut self, fault: Planned) {
        self.0.push(fault);
    }

    /// What becomes of this call; none: it goes well.
    pub(super) fn strike(&mut self, pid: u32, file: File, call: Call) -> Option<Fault> {
        let planned = self
            .0
            .iter_mut()
            .find(|one| one.pid == pid && one.file == file && one.call == call && one.times > 0)?;
        if planned.after > 0 {
            planned.after -= 1;
            return None;
        }
        planned.times -= 1;
        let fault = planned.fault;
        self.0.retain(|one| one.times > 0);
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strikes_when_planned_and_nowhere_else() {
        let mut faults = Faults::default();
        faults.plan(Planned {
            pid: 7,
            file: File::IdlePages,
            call: Call::Read,
            after: 1,
            times: 2,
            fault: Fault::Nothing,
        });
        assert_eq!(faults.strike(8, File::IdlePages, Call::Read), None);
        assert_eq!(faults.strike(7, File::SwapPages, Call::Read), None);
        assert_eq!(faults.strike(7, File::IdlePages, Call::Open), None);
        let struck: Vec<bool> =
            (0..4).map(|_| faults.strike(7, File::IdlePages, Call::Read).is_some()).collect();
        assert_eq!(struck, [false, true, true, false]);
    }
}
