//! The backends without hand-written code.

/// The default bodies serve them.
macro_rules! plain_backends {
    ($ops:ident) => {
        #[cfg(feature = "ndarray")]
        impl $ops for burn::backend::NdArray {}
        #[cfg(feature = "tch")]
        impl $ops for burn::backend::LibTorch {}
        #[cfg(feature = "capture")]
        impl $ops for burn::backend::Capture {}
        // With burn's fusion it stands inside that, which would send an operation of ours by its
        // name to a server that does not know it: so not for what is inside.
        #[cfg(feature = "remote")]
        impl $ops for burn::backend::Remote {}
    };
}
pub(crate) use plain_backends;
