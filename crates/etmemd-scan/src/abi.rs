//! The structures of `include/etmemd_scan_exp.h`, and nothing else: they are converted where they come in and go out.

use std::ffi::{c_char, c_int};

/// `enum page_type`: a base page.
pub(crate) const PTE_TYPE: u32 = 0;
/// A page of 2 MiB.
pub(crate) const PMD_TYPE: u32 = 1;
/// A page of 1 GiB.
pub(crate) const PUD_TYPE: u32 = 2;

/// Room of `vma.path`, with the byte of zero at its end.
pub(crate) const PATH_BYTES: usize = 256;
/// Room of `vma.major` and `vma.minor`.
pub(crate) const DEVICE_BYTES: usize = 8;

/// `struct page_refs`.
#[repr(C)]
#[derive(Debug)]
pub struct PageRefs {
    pub(crate) addr: u64,
    pub(crate) count: c_int,
    pub(crate) kind: u32,
    pub(crate) next: *mut PageRefs,
}

/// `struct vma`.
#[repr(C)]
#[derive(Debug)]
pub struct Vma {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) stat: [bool; 4],
    pub(crate) offset: u64,
    pub(crate) inode: u64,
    pub(crate) path: [c_char; PATH_BYTES],
    pub(crate) major: [c_char; DEVICE_BYTES],
    pub(crate) minor: [c_char; DEVICE_BYTES],
    pub(crate) next: *mut Vma,
}

/// `struct vmas`.
#[repr(C)]
#[derive(Debug)]
pub struct Vmas {
    pub(crate) vma_cnt: u64,
    pub(crate) vma_list: *mut Vma,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    /// The same table that the headers are compared with.
    const LAYOUT: &str = include_str!("../../../tests/scan_library/layout.txt");

    #[test]
    fn as_the_table_says() {
        let mirror = [
            ("page_refs", "", size_of::<PageRefs>()),
            ("page_refs", "addr", offset_of!(PageRefs, addr)),
            ("page_refs", "count", offset_of!(PageRefs, count)),
            ("page_refs", "type", offset_of!(PageRefs, kind)),
            ("page_refs", "next", offset_of!(PageRefs, next)),
            ("vma", "", size_of::<Vma>()),
            ("vma", "start", offset_of!(Vma, start)),
            ("vma", "end", offset_of!(Vma, end)),
            ("vma", "stat", offset_of!(Vma, stat)),
            ("vma", "offset", offset_of!(Vma, offset)),
            ("vma", "inode", offset_of!(Vma, inode)),
            ("vma", "path", offset_of!(Vma, path)),
            ("vma", "major", offset_of!(Vma, major)),
            ("vma", "minor", offset_of!(Vma, minor)),
            ("vma", "next", offset_of!(Vma, next)),
            ("vmas", "", size_of::<Vmas>()),
            ("vmas", "vma_cnt", offset_of!(Vmas, vma_cnt)),
            ("vmas", "vma_list", offset_of!(Vmas, vma_list)),
        ];
        let table: Vec<(&str, &str, usize)> = LAYOUT
            .lines()
            .filter_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words[..] {
                    ["size", name, bytes] => Some((name, "", bytes.parse().unwrap())),
                    ["offset", name, field, bytes, ..] => Some((name, field, bytes.parse().unwrap())),
                    _ => None,
                }
            })
            .filter(|(name, ..)| ["page_refs", "vma", "vmas"].contains(name))
            .collect();
        assert_eq!(table, mirror);
    }
}
