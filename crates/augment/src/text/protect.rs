use std::ops::Range;

use regex::Regex;

use crate::{Error, Result};

/// Spans of a text that no augmenter touches: what these patterns match.
#[derive(Debug, Clone, Default)]
pub struct Protection {
    patterns: Vec<Regex>,
}

impl Protection {
    /// Patterns in the syntax of the `regex` crate; a plain phrase is one, `(?i)` before it
    /// ignores case.
    ///
    /// # Errors
    /// [`Error::Pattern`] for one that cannot be read.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let compile = |pattern: &String| {
            Regex::new(pattern)
                .map_err(|e| Error::Pattern { pattern: pattern.clone(), reason: e.to_string() })
        };
        Ok(Self { patterns: patterns.iter().map(compile).collect::<Result<_>>()? })
    }

    /// The protected bytes of a text.
    pub fn spans(&self, text: &str) -> Vec<Range<usize>> {
        self.patterns.iter().flat_map(|p| p.find_iter(text).map(|m| m.range())).collect()
    }
}
