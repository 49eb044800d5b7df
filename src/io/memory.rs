//! What the allocator does with memory that is free again.

/// Large buffers go back to the system at once, always. By itself glibc does so until the first of them is freed; from then on it
/// keeps as much as that was, and more, for the next one (`mallopt(3)`: the threshold is dynamic unless it is set).
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the standard library does not know its allocator")]
    // SAFETY: two numbers are handed over, and what they set is behind a lock of its own.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, crate::limits::LARGE_BYTES);
    }
}
