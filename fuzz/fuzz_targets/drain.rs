#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| container_healthcheck::properties::drain(bytes));
