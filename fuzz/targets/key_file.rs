//! Texts that a configuration file may hold: see `etmem_fuzz::key_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etmem_fuzz::key_file::check(bytes));
