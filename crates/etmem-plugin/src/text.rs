//! Strings that plugins read.

use std::ffi::c_char;

/// A string that ends in zero and stays in its place until this is dropped.
#[derive(Debug)]
pub(crate) struct Text(Vec<u8>);

impl Text {
    /// A copy of `text`, which has no zero in it, as names and values from files and from the wire have none.
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        Self(bytes)
    }

    /// Where it begins.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr().cast()
    }
}
