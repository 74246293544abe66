use std::fmt::Debug;

use unicode_segmentation::UnicodeSegmentation;

/// Divides a text into pieces that lie behind one another and together are the text.
pub trait Segmenter: Debug + Send + Sync {
    /// The pieces, in order.
    fn segments<'t>(&self, text: &'t str) -> Vec<&'t str>;
}

/// Words by Unicode's rules (UAX 29): what stands between spaces and signs, and every Chinese
/// character.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words;

impl Segmenter for Words {
    fn segments<'t>(&self, text: &'t str) -> Vec<&'t str> {
        text.split_word_bounds().collect()
    }
}

/// Characters as a reader sees them: an emoji or a letter with its accents is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Characters;

impl Segmenter for Characters {
    fn segments<'t>(&self, text: &'t str) -> Vec<&'t str> {
        text.graphemes(true).collect()
    }
}

/// Chinese words by the dictionary and model of jieba (feature `jieba`).
#[cfg(feature = "jieba")]
pub struct Jieba(jieba_rs::Jieba);

#[cfg(feature = "jieba")]
impl Debug for Jieba {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jieba").finish_non_exhaustive()
    }
}

#[cfg(feature = "jieba")]
impl Jieba {
    /// Reads the bundled dictionary, which takes a moment.
    pub fn new() -> Self {
        Self(jieba_rs::Jieba::new())
    }
}

#[cfg(feature = "jieba")]
impl Default for Jieba {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "jieba")]
impl Segmenter for Jieba {
    fn segments<'t>(&self, text: &'t str) -> Vec<&'t str> {
        self.0.cut(text, true).into_iter().map(|token| token.word).collect()
    }
}
