//! Bytes of one read to runs of equal pages.

use super::sizes::PageSizes;
use crate::address::{AddressRange, PAGE_SIZE};
use crate::kernel::probe::Access;

/// Sets the current address; eight bytes follow.
const SET_ADDRESS: u8 = 0xA0;

/// What a type says of its pages: how large they are, and what of them was seen.
const TYPES: [(Size, Option<Access>); 10] = [
    (Size::Base, Some(Access::READ)),
    (Size::Huge, Some(Access::READ)),
    (Size::Giant, Some(Access::READ)),
    (Size::Base, Some(Access::WRITTEN)),
    (Size::Huge, Some(Access::WRITTEN)),
    (Size::Base, Some(Access::IDLE)),
    (Size::Huge, Some(Access::IDLE)),
    (Size::TableOfBase, Some(Access::IDLE)),
    (Size::Base, None),
    (Size::Huge, None),
];

/// Pages that [`Decoder::fill`] writes after those it fills.
pub(super) const SPILL: usize = 16;

/// What each byte says of base pages, where it covers some, but fewer than a byte can: 15 are likely a part of a long
/// run.
const SHORT_RUNS: [Option<Access>; 256] = {
    let mut runs = [None; 256];
    let mut kind = 0;
    while kind < TYPES.len() {
        let mut count = 1;
        while count < 15 && matches!(TYPES[kind].0, Size::Base) {
            runs[kind << 4 | count] = match TYPES[kind].1 {
                Some(access) => Some(access),
                None => Some(Access::ABSENT),
            };
            count += 1;
        }
        kind += 1;
    }
    runs
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Base,
    Huge,
    Giant,
    /// As large as a huge page, but made of base pages.
    TableOfBase,
}

/// What lies at the addresses of a [`Run`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Base pages.
    Pages(Access),
    /// Huge pages.
    Huge {
        /// What was seen of each.
        access: Access,
        /// The size of each in bytes.
        size: u64,
    },
    /// No pages.
    Hole,
}

/// Neighbours of which the stream says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where they lie; aligned to their size.
    pub range: AddressRange,
    /// What they are.
    pub content: Content,
}

/// Why a stream cannot be read on. It says nothing about the process: what a later read gives may be whole again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Pages come before any address.
    #[error("byte {offset} of the stream ({byte:#04x}) is of pages, but no address was set before")]
    NoAddress {
        /// Where in the stream.
        offset: usize,
        /// What stands there.
        byte: u8,
    },
    /// The stream ends within an address.
    #[error("the stream ends within the address that begins at byte {offset}")]
    Truncated {
        /// Where in the stream the command stands.
        offset: usize,
    },
    /// A type that there is not.
    #[error("byte {offset} of the stream ({byte:#04x}) is of no known type")]
    UnknownType {
        /// Where in the stream.
        offset: usize,
        /// What stands there.
        byte: u8,
    },
    /// A type without pages.
    #[error("byte {offset} of the stream ({byte:#04x}) covers no page")]
    NoPages {
        /// Where in the stream.
        offset: usize,
        /// What stands there.
        byte: u8,
    },
    /// An address below those that came before.
    #[error(
        "the address {to:#x} at byte {offset} of the stream lies below {from:#x}, which was reached before"
    )]
    Backwards {
        /// Where in the stream.
        offset: usize,
        /// The address reached.
        from: u64,
        /// The address set.
        to: u64,
    },
    /// Pages after the last address there is.
    #[error("byte {offset} of the stream leads behind the last address there is")]
    BeyondMemory {
        /// Where in the stream.
        offset: usize,
    },
}

/// Reads the bytes of one read, front to back. Any bytes are safe: they give runs in ascending order, or an error.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    position: usize,
    sizes: PageSizes,
    address: Option<u64>,
    skipped: u64,
}

impl<'a> Decoder<'a> {
    /// Reads `bytes`, written by a kernel whose pages have these sizes.
    #[must_use]
    pub const fn new(bytes: &'a [u8], sizes: PageSizes) -> Self {
        Self { bytes, position: 0, sizes, address: None, skipped: 0 }
    }

    /// The address after all that was read so far; none before an address was set.
    #[must_use]
    pub const fn reached(&self) -> Option<u64> {
        self.address
    }

    /// Pages left out so far because their address is not a multiple of their size.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The sizes of the kernel that wrote the stream.
    pub(super) const fn sizes(&self) -> PageSizes {
        self.sizes
    }

    /// Whether [`Decoder::fill`] has anything to do.
    pub(super) fn has_short_run(&self) -> bool {
        self.bytes.get(self.position).is_some_and(|&byte| SHORT_RUNS[usize::from(byte)].is_some())
    }

    /// Short runs of base pages of 4 KiB, straight into `pages`, which begin at the address reached and of which
    /// `room` may be filled: as many as fit and come next. Long runs and all else are left to [`Iterator::next`].
    ///
    /// Returns how many pages it filled. Up to [`SPILL`] pages after them are made absent.
    pub(super) fn fill(&mut self, pages: &mut [Access], room: usize) -> usize {
        let mut filled = 0;
        while let Some(&byte) = self.bytes.get(self.position)
            && let Some(access) = SHORT_RUNS[usize::from(byte)]
            && let end = filled + usize::from(byte & 0xF)
            && end <= room
            && let Some(pages) = pages.get_mut(filled..filled + SPILL)
        {
            // Always as many, which is one store; those after the run are overwritten by what comes next.
            pages.fill(access);
            filled = end;
            self.position += 1;
        }
        if let Some(pages) = pages.get_mut(filled..filled + SPILL) {
            pages.fill(Access::ABSENT);
        }
        self.address = self.address.map(|address| address + filled as u64 * PAGE_SIZE);
        filled
    }

    fn set_address(&mut self) -> Result<(), StreamError> {
        let offset = self.position;
        let digits = self.bytes.get(offset + 1..offset + 9).and_then(|digits| digits.try_into().ok());
        let to = digits.map(u64::from_be_bytes).ok_or(StreamError::Truncated { offset })?;
        match self.address {
            Some(from) if to < from => return Err(StreamError::Backwards { offset, from, to }),
            Some(_) | None => self.address = Some(to),
        }
        self.position += 9;
        Ok(())
    }

    /// The run that begins with `first` at the current position; `None` if it is not aligned.
    fn run(&mut self, first: u8) -> Result<Option<Run>, StreamError> {
        let (offset, byte) = (self.position, first);
        let &(size, access) =
            TYPES.get(usize::from(first >> 4)).ok_or(StreamError::UnknownType { offset, byte })?;
        let start = self.address.ok_or(StreamError::NoAddress { offset, byte })?;
        let mut pages = u64::from(first & 0xF);
        if pages == 0 {
            return Err(StreamError::NoPages { offset, byte });
        }
        self.position += 1;
        // Bytes of the same type are one run; one without pages is left for the next call, which reports it.
        while let Some(&next) = self.bytes.get(self.position)
            && next & 0xF0 == first & 0xF0
            && next & 0xF != 0
        {
            pages += u64::from(next & 0xF);
            self.position += 1;
        }
        let bytes = match size {
            Size::Base => self.sizes.base(),
            Size::Huge | Size::TableOfBase => self.sizes.huge(),
            Size::Giant => self.sizes.giant(),
        };
        let end = pages.checked_mul(bytes).and_then(|length| start.checked_add(length));
        let end = end.ok_or(StreamError::BeyondMemory { offset })?;
        self.address = Some(end);
        let content = match (access, size) {
            (None, _) => Content::Hole,
            (Some(_), _) if !start.is_multiple_of(bytes) => {
                self.skipped += pages;
                return Ok(None);
            }
            (Some(access), Size::Base | Size::TableOfBase) => Content::Pages(access),
            (Some(access), Size::Huge | Size::Giant) => Content::Huge { access, size: bytes },
        };
        Ok(Some(Run { range: AddressRange::new(start, end), content }))
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<Run, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let &byte = self.bytes.get(self.position)?;
            let step = if byte == SET_ADDRESS { self.set_address().map(|()| None) } else { self.run(byte) };
            match step {
                Ok(None) => {}
                Ok(Some(run)) => return Some(Ok(run)),
                Err(error) => {
                    // Nothing after it can be trusted.
                    self.bytes = &[];
                    return Some(Err(error));
                }
            }
        }
    }
}
