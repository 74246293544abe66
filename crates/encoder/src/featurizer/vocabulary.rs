//! Learning WordPiece vocabularies, reproducibly.
//!
//! The trainer of the `tokenizers` crate breaks ties by the order of a randomly seeded
//! hash map, so two runs on one corpus give different vocabularies; this one orders
//! everything.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// A pair of adjacent symbols.
type Pair = (u32, u32);

/// Special tokens, then the characters of the words (later ones in a word with `##`), then
/// merges of the most frequent adjacent pair (Sennrich et al., ACL 2016, as Hugging Face
/// trains WordPiece), ties to the pair whose symbols were made first; at most `size` pieces
/// (but always all characters), and no merge seen only once.
pub(super) fn learn(words: &BTreeMap<String, u64>, special: &[&str], size: usize) -> Vec<String> {
    let mut pieces: Vec<String> = special.iter().map(|&t| t.to_owned()).collect();
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    let symbols: BTreeSet<String> = words.keys().flat_map(|word| symbols(word)).collect();
    for symbol in symbols {
        ids.insert(symbol.clone(), pieces.len() as u32);
        pieces.push(symbol);
    }
    let mut spelled: Vec<(Vec<u32>, u64)> =
        words.iter().map(|(w, &n)| (symbols_of(w, &ids), n)).collect();

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
        let left = &pieces[pair.0 as usize];
        let merged = format!("{left}{}", pieces[pair.1 as usize].trim_start_matches("##"));
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
    pieces
}

fn symbols(word: &str) -> impl Iterator<Item = String> {
    word.chars().enumerate().map(|(i, c)| if i == 0 { c.to_string() } else { format!("##{c}") })
}

fn symbols_of(word: &str, ids: &BTreeMap<String, u32>) -> Vec<u32> {
    symbols(word).filter_map(|s| ids.get(&s).copied()).collect()
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
        let pieces = learn(&words, &["[UNK]"], 12);
        let expected =
            ["[UNK]", "##g", "##n", "##s", "##u", "b", "h", "p", "##ug", "##un", "hug", "pun"];
        assert_eq!(pieces, expected);
        assert_eq!(learn(&words, &["[UNK]"], 3).len(), 8, "characters are never dropped");
    }
}
