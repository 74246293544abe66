//! Learning WordPiece and BPE vocabularies, reproducibly.
//!
//! The trainer of the `tokenizers` crate breaks ties by the order of a randomly seeded
//! hash map, so two runs on one corpus give different vocabularies; this one orders
//! everything.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// A pair of adjacent symbols.
type Pair = (u32, u32);

/// Pieces in the order of their ids, and the merges that made them.
pub(super) struct Learnt {
    pub(super) pieces: Vec<String>,
    pub(super) merges: Vec<(String, String)>,
}

/// Special tokens, then the characters of the words and of the alphabet (later ones in a word
/// after `prefix`, WordPiece's `##`), then merges of the most frequent adjacent pair (Sennrich et
/// al., ACL 2016, as Hugging Face trains BPE and WordPiece), ties to the pair whose symbols were
/// made first; at most `size` pieces (but always all characters), and no merge seen only once.
pub(super) fn learn(
    words: &BTreeMap<String, u64>,
    special: &[&str],
    alphabet: impl IntoIterator<Item = char>,
    prefix: &str,
    size: usize,
) -> Learnt {
    let mut pieces: Vec<String> = special.iter().map(|&t| t.to_owned()).collect();
    let mut merges = Vec::new();
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    let mut all: BTreeSet<String> = alphabet.into_iter().map(String::from).collect();
    all.extend(words.keys().flat_map(|word| symbols(word, prefix)));
    for symbol in all {
        ids.insert(symbol.clone(), pieces.len() as u32);
        pieces.push(symbol);
    }
    let mut spelled: Vec<(Vec<u32>, u64)> =
        words.iter().map(|(w, &n)| (symbols_of(w, prefix, &ids), n)).collect();

    let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
    let mut places: BTreeMap<Pair, BTreeSet<usize>> = BTreeMap::new();
    for (at, (word, n)) in spelled.iter().enumerate() {
        for pair in pairs(word) {
            *counts.entry(pair).or_default() += n;
            places.entry(pair).or_default().insert(at);
        }
    }
    let entry = |(&(a, b), &n): (&Pair, &u64)| (n, std::cmp::Reverse((a, b)));
    let mut heap: BinaryHeap<_> = counts.iter().map(entry).collect();
    while pieces.len() < size {
        let Some((n, std::cmp::Reverse(pair))) = heap.pop() else { break };
        let current = counts.get(&pair).copied().unwrap_or(0);
        if n != current {
            // The pair has lost occurrences to other merges since it was queued.
            if current > 1 {
                heap.push((current, std::cmp::Reverse(pair)));
            }
            continue;
        }
        if n < 2 {
            break;
        }
        let [left, right] = [pair.0, pair.1].map(|id| pieces[id as usize].clone());
        let merged = format!("{left}{}", right.strip_prefix(prefix).unwrap_or(&right));
        merges.push((left, right));
        let id = *ids.entry(merged.clone()).or_insert_with(|| {
            pieces.push(merged);
            pieces.len() as u32 - 1
        });
        let mut touched = BTreeSet::new();
        for at in places.remove(&pair).unwrap_or_default() {
            let (word, n) = &mut spelled[at];
            for old in pairs(word) {
                if let Some(count) = counts.get_mut(&old) {
                    *count -= *n;
                }
            }
            merge(word, pair, id);
            for new in pairs(word) {
                *counts.entry(new).or_default() += *n;
                places.entry(new).or_default().insert(at);
                touched.insert(new);
            }
        }
        for pair in touched {
            let n = counts.get(&pair).copied().unwrap_or(0);
            heap.push((n, std::cmp::Reverse(pair)));
        }
    }
    Learnt { pieces, merges }
}

fn symbols(word: &str, prefix: &str) -> impl Iterator<Item = String> {
    let later = move |c: char| format!("{prefix}{c}");
    word.chars().enumerate().map(move |(i, c)| if i == 0 { c.to_string() } else { later(c) })
}

fn symbols_of(word: &str, prefix: &str, ids: &BTreeMap<String, u32>) -> Vec<u32> {
    symbols(word, prefix).filter_map(|s| ids.get(&s).copied()).collect()
}

fn pairs(word: &[u32]) -> impl Iterator<Item = Pair> {
    word.windows(2).map(|w| (w[0], w[1]))
}

fn merge(word: &mut Vec<u32>, pair: Pair, id: u32) {
    let mut out = Vec::with_capacity(word.len());
    let mut i = 0;
    while i < word.len() {
        if i + 1 < word.len() && (word[i], word[i + 1]) == pair {
            out.push(id);
            i += 2;
        } else {
            out.push(word[i]);
            i += 1;
        }
    }
    *word = out;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_merges_by_frequency_and_keeps_every_character() {
        let words = [("hug", 10), ("pug", 5), ("pun", 12), ("bun", 4), ("hugs", 5)];
        let words = words.map(|(w, n)| (w.to_owned(), n)).into();
        // The worked example of Hugging Face's course: "ug" (20), then "un" (16), then "hug".
        let wordpiece = |size| learn(&words, &["[UNK]"], [], "##", size).pieces;
        let pieces = wordpiece(12);
        let expected =
            ["[UNK]", "##g", "##n", "##s", "##u", "b", "h", "p", "##ug", "##un", "hug", "pun"];
        assert_eq!(pieces, expected);
        assert_eq!(wordpiece(3).len(), 8, "characters are never dropped");
        // And BPE, with a character that no word has.
        let bpe = learn(&words, &["<unk>"], ['z'], "", 12);
        let expected = ["<unk>", "b", "g", "h", "n", "p", "s", "u", "z", "ug", "un", "hug"];
        assert_eq!(bpe.pieces, expected);
        let merges = [("u", "g"), ("u", "n"), ("h", "ug")];
        assert_eq!(bpe.merges, merges.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
