//! Random numbers that nobody can guess (getrandom(2)).

/// Fills all of it. Blocks only before the kernel has gathered its first randomness, at boot.
pub fn fill(octets: &mut [u8]) {
    let mut filled = 0;
    while filled < octets.len() {
        let rest = &mut octets[filled..];
        // SAFETY: the kernel writes at most `rest.len()` octets to `rest`, which is borrowed during the call.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        // It fails only when a signal interrupts it, and then nothing was written.
        filled += usize::try_from(got).unwrap_or(0);
    }
}
