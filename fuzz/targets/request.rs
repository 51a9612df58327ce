//! Bytes that a client may send: see `etmem_fuzz::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etmem_fuzz::request::check(bytes));
