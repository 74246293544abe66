//! A text as words that may change and what stands between them.

use std::ops::Range;

use super::{Protection, Segmenter};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Pieces {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    text: String,
    word: bool,
    /// Where it stood in the text.
    span: Range<usize>,
}

impl Pieces {
    pub(super) fn of(text: &str, segmenter: &dyn Segmenter, protection: &Protection) -> Self {
        let locked = protection.spans(text);
        let mut start = 0;
        let piece = |segment: &str| {
            let span = start..start + segment.len();
            start = span.end;
            let free = locked.iter().all(|l| l.end <= span.start || l.start >= span.end);
            let word = free && segment.chars().any(char::is_alphanumeric);
            Piece { text: segment.to_owned(), word, span }
        };
        Self { pieces: segmenter.segments(text).into_iter().map(piece).collect() }
    }

    /// Places of the words that may change.
    pub(super) fn words(&self) -> Vec<usize> {
        (0..self.pieces.len()).filter(|&at| self.pieces[at].word).collect()
    }

    pub(super) fn word(&self, at: usize) -> &str {
        &self.pieces[at].text
    }

    pub(super) fn span(&self, at: usize) -> Range<usize> {
        self.pieces[at].span.clone()
    }

    pub(super) fn replace(&mut self, at: usize, text: String) {
        self.pieces[at].text = text;
    }

    pub(super) fn swap(&mut self, a: usize, b: usize) {
        let first = std::mem::take(&mut self.pieces[a].text);
        let second = std::mem::replace(&mut self.pieces[b].text, first);
        self.pieces[a].text = second;
    }

    /// Adds a word behind another, with a space where the text has them.
    pub(super) fn insert_after(&mut self, at: usize, text: &str) {
        let spaced = !is_han(&self.pieces[at].text) || !is_han(text);
        let word = &mut self.pieces[at].text;
        if spaced {
            word.push(' ');
        }
        word.push_str(text);
    }

    /// Removes a word, and one of the spaces around it.
    pub(super) fn remove(&mut self, at: usize) {
        self.pieces[at].text.clear();
        let blank = |p: &Piece| !p.word && p.text.trim().is_empty();
        let filled = |at: &usize| !self.pieces[*at].text.is_empty();
        let space = match (at + 1..self.pieces.len()).find(filled) {
            Some(next) => Some(next),
            // The last word takes the space before it along.
            None => (0..at).rev().find(filled),
        };
        if let Some(space) = space.filter(|&space| blank(&self.pieces[space])) {
            self.pieces[space].text.clear();
        }
    }

    pub(super) fn text(&self) -> String {
        self.pieces.iter().map(|p| p.text.as_str()).collect()
    }
}

/// Whether a word is written in Chinese characters, which have no spaces between words.
fn is_han(word: &str) -> bool {
    word.chars().all(|c| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}'))
}
