//! Reads memory of scripted processes, which brings back what is in swap.

use super::machine::FakeMachine;
use crate::workload::content::Random;
use etmem_core::address::{AddressRange, PAGE_SIZE};
use etmem_core::kernel::mover::Residence;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::reader::{MemoryReader, MemoryReaders};

#[derive(Debug)]
struct FakeReader {
    machine: FakeMachine,
    process: ProcessId,
}

impl MemoryReaders for FakeMachine {
    fn attach(&self, process: ProcessId) -> Result<Box<dyn MemoryReader>, ProcessError> {
        self.with(process, |_| Ok(()))?;
        Ok(Box::new(FakeReader { machine: self.clone(), process }))
    }
}

impl FakeMachine {
    /// What was touched by readers so far, in order.
    #[must_use]
    pub fn touched(&self) -> Vec<AddressRange> {
        self.lock().touched.clone()
    }
}

/// The pages of `range`, by number.
fn pages(range: AddressRange, of: AddressRange) -> impl Iterator<Item = usize> {
    let inside = range.intersection(of);
    let first = inside.start.saturating_sub(of.start) / PAGE_SIZE;
    (first..first + inside.bytes() / PAGE_SIZE).filter_map(|page| usize::try_from(page).ok())
}

impl MemoryReader for FakeReader {
    fn touch(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        self.machine.with(self.process, |process| {
            for range in ranges {
                pages(*range, process.mapping.range).for_each(|page| process.swapped[page] = false);
            }
            Ok(())
        })?;
        let mut machine = self.machine.lock();
        machine.touched.extend(ranges);
        // What was in the swap cache as well is mapped.
        let bytes: u64 = ranges.iter().map(AddressRange::bytes).sum();
        machine.memory.swap_cached = machine.memory.swap_cached.saturating_sub(bytes);
        Ok(())
    }

    fn read(&mut self, address: u64, page: &mut [u8]) -> Result<bool, ProcessError> {
        let mut random = Random::new(address);
        self.machine.with(self.process, |process| {
            page.fill_with(|| if process.noise { random.next().to_ne_bytes()[7] } else { 0 });
            let range = AddressRange::new(address, address + PAGE_SIZE);
            Ok(pages(range, process.mapping.range).next().is_some())
        })
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<(), ProcessError> {
        assert!(ranges.is_sorted_by(|one, other| one.end <= other.start), "{ranges:?}");
        out.clear();
        self.machine.with(self.process, |process| {
            for range in ranges {
                out.extend(pages(*range, process.mapping.range).map(|page| process.residence(page)));
            }
            Ok(())
        })
    }
}
