//! Lists of `struct page_refs`: made while a scan runs, then merged into the one that the caller holds.

use etmem_abi::{PMD_TYPE, PTE_TYPE, PUD_TYPE, PageRefs};
use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE};
use etmem_core::kernel::probe::{Access, AccessSink, Block};
use std::ptr;

/// The smallest page above those of a PMD: 1 GiB, and more where base pages are larger.
const PUD_BYTES: u64 = 1 << 30;

/// A list in ascending order of address, each page once. It frees its nodes when it is dropped, unless it was merged.
#[derive(Debug)]
pub(crate) struct Chain {
    first: *mut PageRefs,
    last: *mut PageRefs,
    /// Memory ran out, so the list is incomplete.
    pub(crate) is_cut_short: bool,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self { first: ptr::null_mut(), last: ptr::null_mut(), is_cut_short: false }
    }

    fn push(&mut self, addr: u64, kind: u32, access: Access) {
        // SAFETY: `last` is null or a node of this list, to which no other pointer exists.
        let repeats = unsafe { self.last.as_ref() }.is_some_and(|last| last.addr >= addr);
        if self.is_cut_short || !access.is_present() || repeats {
            return;
        }
        // SAFETY: any size is allowed.
        let node = unsafe { libc::malloc(size_of::<PageRefs>()) }.cast::<PageRefs>();
        if node.is_null() {
            self.is_cut_short = true;
            return;
        }
        let count = access.weight().into();
        // SAFETY: `node` is new memory of this size, which malloc(3) aligns for every type.
        unsafe { node.write(PageRefs { addr, count, kind, next: ptr::null_mut() }) };
        // SAFETY: as above.
        match unsafe { self.last.as_mut() } {
            Some(last) => last.next = node,
            None => self.first = node,
        }
        self.last = node;
    }

    /// Merges this into the list at `into`, in order of address; the counts of a page that is in both are summed.
    ///
    /// # Safety
    /// `into` points to null or to a list of nodes of malloc(3) that ends in null and that no other thread uses meanwhile.
    pub(crate) unsafe fn merge_into(mut self, into: &mut *mut PageRefs) {
        let mut node = std::mem::replace(&mut self.first, ptr::null_mut());
        let mut place: *mut *mut PageRefs = into;
        while !node.is_null() {
            // SAFETY: `place` is `into` or the `next` of a node of the list, `node` one that is not in it yet; both live.
            unsafe {
                let next = (*node).next;
                while let Some(old) = (*place).as_mut().filter(|old| old.addr < (*node).addr) {
                    place = &raw mut old.next;
                }
                match (*place).as_mut().filter(|old| old.addr == (*node).addr) {
                    Some(old) => {
                        old.count = old.count.saturating_add((*node).count);
                        old.kind = (*node).kind;
                        libc::free(node.cast());
                    }
                    None => {
                        (*node).next = *place;
                        *place = node;
                    }
                }
                node = next;
            }
        }
    }
}

/// Frees a list.
///
/// # Safety
/// `first` is null or the first node of a list of malloc(3) that ends in null and is not used again.
pub(crate) unsafe fn free(mut first: *mut PageRefs) {
    while !first.is_null() {
        // SAFETY: a node of the list, read before it is freed.
        let next = unsafe { (*first).next };
        // SAFETY: it came from malloc(3) and is not used again.
        unsafe { libc::free(first.cast()) };
        first = next;
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: made here, with no other pointer to it; null if it was merged.
        unsafe { free(self.first) };
    }
}

impl AccessSink for Chain {
    fn block(&mut self, start: u64, block: Block<'_>) {
        match block {
            Block::Huge(access) => self.push(start, PMD_TYPE, access),
            Block::Pages(pages) => {
                for (access, number) in pages.iter().zip(0..) {
                    self.push(start + number * PAGE_SIZE, PTE_TYPE, *access);
                }
            }
        }
    }

    fn equal_huge_pages(&mut self, start: u64, pages: u64, size: u64, access: Access) {
        debug_assert!(size.is_multiple_of(BLOCK_SIZE));
        let kind = if size >= PUD_BYTES { PUD_TYPE } else { PMD_TYPE };
        for number in 0..pages {
            self.push(start + number * size, kind, access);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn chain(pages: &BTreeMap<u64, u8>) -> Chain {
        let mut chain = Chain::new();
        for (&page, &weight) in pages {
            let access = [Access::IDLE, Access::READ, Access::WRITTEN][usize::from(weight)];
            chain.push(page * PAGE_SIZE, PTE_TYPE, access);
        }
        chain
    }

    fn read(mut first: *const PageRefs) -> Vec<(u64, i32)> {
        let mut out = Vec::new();
        // SAFETY: lists of these tests, which end in null.
        while let Some(node) = unsafe { first.as_ref() } {
            out.push((node.addr / PAGE_SIZE, node.count));
            first = node.next;
        }
        out
    }

    proptest! {
        #[test]
        fn counts_are_summed_in_order_of_address(
            scans in proptest::collection::vec(proptest::collection::btree_map(0u64..60, 0u8..3, 0..40), 0..5),
        ) {
            let mut list = ptr::null_mut();
            let mut want = BTreeMap::<u64, i32>::new();
            for scan in &scans {
                for (&page, &kind) in scan {
                    *want.entry(page).or_default() += [0, 1, 3][usize::from(kind)];
                }
                // SAFETY: a list of this test alone.
                unsafe { chain(scan).merge_into(&mut list) };
            }
            let got = read(list);
            // SAFETY: as above; not used again.
            unsafe { free(list) };
            prop_assert_eq!(got, want.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn blocks_become_pages() {
        let mut chain = Chain::new();
        let mut pages = [Access::ABSENT; 512];
        (pages[3], pages[511]) = (Access::IDLE, Access::WRITTEN);
        chain.block(0, Block::Pages(&pages));
        // A block that two ranges share comes twice.
        chain.block(0, Block::Pages(&pages));
        chain.block(BLOCK_SIZE, Block::Huge(Access::READ));
        chain.block(BLOCK_SIZE, Block::Huge(Access::READ));
        chain.equal_huge_pages(2 * BLOCK_SIZE, 2, BLOCK_SIZE, Access::IDLE);
        chain.equal_huge_pages(PUD_BYTES, 1, PUD_BYTES, Access::READ);
        assert_eq!(read(chain.first), [(3, 0), (511, 3), (512, 1), (1024, 0), (1536, 0), (1 << 18, 1)]);
        // SAFETY: a node of this list.
        assert_eq!(unsafe { (*chain.last).kind }, PUD_TYPE);
    }

    #[test]
    fn counts_do_not_wrap() {
        let (one, mut list) = (BTreeMap::from([(7, 2)]), ptr::null_mut());
        // SAFETY: a list of this test alone.
        unsafe {
            chain(&one).merge_into(&mut list);
            (*list).count = i32::MAX - 1;
            chain(&one).merge_into(&mut list);
        }
        assert_eq!(read(list), [(7, i32::MAX)]);
        // SAFETY: as above; not used again.
        unsafe { free(list) };
    }
}
