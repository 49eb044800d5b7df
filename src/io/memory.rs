//! What the allocator does with memory that is free again, and what the kernel may hold for clients.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::limits;

/// Large buffers go back to the system at once, always. By itself glibc does so until the first of them is freed; from then on it
/// keeps as much as that was, and more, for the next one (`mallopt(3)`: the threshold is dynamic unless it is set).
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the standard library does not know its allocator")]
    // SAFETY: two numbers are handed over, and what they set is behind a lock of its own.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, limits::LARGE_BYTES);
    }
}

/// So much the kernel holds at the most for that client, or for each one of that TCP listener, who has it from there (`socket(7)`).
///
/// # Errors
/// Of `setsockopt`.
pub(super) fn narrow(socket: BorrowedFd<'_>) -> io::Result<()> {
    for (option, bytes) in [(libc::SO_SNDBUF, limits::KERNEL_BYTES), (libc::SO_RCVBUF, limits::KERNEL_REQUEST_BYTES)] {
        let length = libc::socklen_t::try_from(size_of_val(&bytes)).unwrap_or_default();
        #[expect(unsafe_code, reason = "the standard library does not set this")]
        // SAFETY: the pointer is to a variable that lives longer than the call, and the length is its own.
        let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const bytes).cast(), length) };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
