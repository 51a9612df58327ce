//! A file that may be a record: see `etmem_fuzz::record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etmem_fuzz::record::check(bytes));
