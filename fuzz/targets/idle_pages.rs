//! Bytes that a kernel's module may write: see `etmem_fuzz::idle_pages`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etmem_fuzz::idle_pages::check(bytes));
