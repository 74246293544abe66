use std::fmt;

use indicatif::{ProgressBar, ProgressStyle};

/// Where long work reports how far it is.
///
/// Library functions take `&dyn Progress`; [`NoProgress`] is silent and
/// [`TerminalProgress`] draws a bar on standard error.
pub trait Progress: Send + Sync {
    /// A stage of `total` steps begins.
    fn start(&self, stage: &str, total: u64);
    /// `done` steps of the stage are finished; `message` is a short status.
    fn update(&self, done: u64, message: &str);
    /// Something was measured on a part of the data, `"train"` or `"dev"`, for displays that draw
    /// curves. Default: not shown.
    fn metric(&self, _part: &str, _name: &str, _value: f64) {}
    /// The stage is over.
    fn finish(&self, message: &str);
}

/// Reports nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&self, _stage: &str, _total: u64) {}
    fn update(&self, _done: u64, _message: &str) {}
    fn finish(&self, _message: &str) {}
}

/// A bar on standard error, silent when that is not a terminal.
pub struct TerminalProgress {
    bar: ProgressBar,
}

impl fmt::Debug for TerminalProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TerminalProgress").finish_non_exhaustive()
    }
}

impl TerminalProgress {
    /// A bar that appears when a stage starts.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        // The template is a constant, so falling back to the default style is
        // only a matter of looks.
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:>14} {bar:30} {pos}/{len} {eta} {msg}")
        {
            bar.set_style(style);
        }
        Self { bar }
    }
}

impl Default for TerminalProgress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for TerminalProgress {
    fn start(&self, stage: &str, total: u64) {
        self.bar.reset();
        self.bar.set_prefix(stage.to_owned());
        self.bar.set_length(total);
    }

    fn update(&self, done: u64, message: &str) {
        self.bar.set_position(done);
        self.bar.set_message(message.to_owned());
    }

    fn finish(&self, message: &str) {
        self.bar.finish_with_message(message.to_owned());
    }
}
