//! The guide in `docs/src`, compiled.
