//! Names for processes and threads that share a storage.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random name in the form of a UUID of version 4.
pub(crate) fn unique() -> String {
    // The standard library's hasher keys are the operating system's randomness.
    let bits = || RandomState::new().build_hasher().finish();
    let (a, b) = (bits(), bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        (b >> 48) & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    )
}
