//! libnftables, loaded when first used: the same code as the `nft` command, without starting a process for each change.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

/// A context of libnftables with a netlink socket of its own. Not Send: one thread.
pub struct Nftables {
    context: *mut c_void,
    run: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    errors: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    free: unsafe extern "C" fn(*mut c_void),
}

impl Nftables {
    pub fn open() -> Result<Self, String> {
        // SAFETY: the name is a NUL-terminated string; the handle is never closed.
        let library = unsafe { libc::dlopen(c"libnftables.so.1".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return Err("libnftables.so.1 is missing: install it with: apt-get install nftables".into());
        }
        let symbol = |name: &CStr| -> Result<*mut c_void, String> {
            // SAFETY: the handle is open and the name is NUL-terminated.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            if found.is_null() { Err(format!("libnftables.so.1 has no {}", name.to_string_lossy())) } else { Ok(found) }
        };
        // SAFETY: signatures as in <nftables/libnftables.h>, unchanged since 0.9.
        let (new, buffer, run, errors, free) = unsafe {
            (
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_uint) -> *mut c_void>(symbol(
                    c"nft_ctx_new",
                )?),
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> c_int>(symbol(
                    c"nft_ctx_buffer_error",
                )?),
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int>(symbol(
                    c"nft_run_cmd_from_buffer",
                )?),
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> *const c_char>(symbol(
                    c"nft_ctx_get_error_buffer",
                )?),
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(symbol(c"nft_ctx_free")?),
            )
        };
        // SAFETY: 0 is NFT_CTX_DEFAULT.
        let context = unsafe { new(0) };
        if context.is_null() {
            return Err("nft_ctx_new failed: out of memory or not permitted to open a netlink socket".into());
        }
        // SAFETY: the context was just made.
        if unsafe { buffer(context) } != 0 {
            return Err("nft_ctx_buffer_error failed".into());
        }
        Ok(Self { context, run, errors, free })
    }

    /// Runs one transaction; the error is nft's own text, with line numbers of `text`.
    pub fn run(&mut self, text: &str) -> Result<(), String> {
        let text = CString::new(text).map_err(|_| "the text holds a NUL byte".to_string())?;
        // SAFETY: the context is open and the text is NUL-terminated.
        let status = unsafe { (self.run)(self.context, text.as_ptr()) };
        // SAFETY: the context is open; the buffer is valid until the next run, and reading it empties it.
        let errors = unsafe { (self.errors)(self.context) };
        if status == 0 {
            return Ok(());
        }
        if errors.is_null() {
            return Err("nft failed without a word".into());
        }
        // SAFETY: libnftables ends its buffer with NUL.
        Err(unsafe { CStr::from_ptr(errors) }.to_string_lossy().into_owned())
    }
}

impl Drop for Nftables {
    fn drop(&mut self) {
        // SAFETY: the context is open and not used again.
        unsafe { (self.free)(self.context) }
    }
}
