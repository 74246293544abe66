//! Invariants of the augmenters of texts.

use std::ops::Range;
use std::sync::Arc;

use counterweight_augment::{
    BackTranslation, CharacterNoise, Characters, Eda, Error, Lexicon, Result, Substitutes,
    Substitution, TextAugmenter, Translator, Words,
};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

/// `<word>` for any word, so that every replacement is seen.
#[derive(Debug)]
struct Brackets;

impl Substitutes for Brackets {
    fn candidates(&self, text: &str, word: Range<usize>) -> Result<Vec<String>> {
        Ok(vec![format!("<{}>", &text[word])])
    }
}

#[derive(Debug)]
struct Shout;

impl Translator for Shout {
    fn translate(&self, text: &str, _: &str, to: &str) -> std::result::Result<String, String> {
        match to {
            "none" => Err("no such language".to_owned()),
            "lossy" => Ok(text.replace("ACME", "")),
            _ => Ok(text.to_uppercase()),
        }
    }
}

fn augmenters(protect: &[&str]) -> Vec<Box<dyn TextAugmenter>> {
    let protect: Vec<String> = protect.iter().map(|p| (*p).to_owned()).collect();
    let eda = |f: fn(Eda) -> Eda| -> Box<dyn TextAugmenter> {
        let none = Eda::new()
            .with_synonyms(0.0)
            .with_insertions(0.0)
            .with_swaps(0.0)
            .with_deletions(0.0)
            .with_protect(protect.clone());
        Box::new(f(none).init().unwrap())
    };
    let noise = CharacterNoise::new().with_rate(0.8).with_protect(protect.clone());
    let brackets = Substitution::new().with_rate(0.5).with_protect(protect.clone());
    vec![
        eda(|e| e.with_synonyms(0.5)),
        eda(|e| e.with_insertions(0.5)),
        eda(|e| e.with_swaps(0.5)),
        eda(|e| e.with_deletions(0.5)),
        Box::new(noise.init().unwrap()),
        Box::new(brackets.init(Arc::new(Brackets)).unwrap()),
    ]
}

/// Letters, accents that combine, emoji of several code points, Chinese, spaces.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "help",
        "Order",
        "BIG",
        " ",
        "  ",
        ", ",
        "e\u{301}te\u{301}",
        "👩‍👩‍👧",
        "🇩🇪",
        "订单",
        "发货",
        "3 kg",
        "don't",
        "\n",
        "\u{200b}",
        "ﷺ",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..20).prop_map(|p| p.concat())
}

proptest! {
    #[test]
    fn nothing_is_torn_apart(text in any_text(), seed in any::<u64>()) {
        let whole: Vec<&str> = text.graphemes(true).collect();
        for augmenter in augmenters(&[]) {
            let changed = augmenter.augment(&text, 1.0, seed).unwrap();
            prop_assert_eq!(&changed, &augmenter.augment(&text, 1.0, seed).unwrap());
            prop_assert_eq!(&text, &augmenter.augment(&text, 0.0, seed).unwrap());
            // Emoji and accents are where they were or gone, never parts of themselves.
            for part in changed.graphemes(true).filter(|g| g.chars().count() > 1) {
                prop_assert!(whole.contains(&part), "{:?} in {:?}", part, text);
            }
        }
    }

    #[test]
    fn protected_spans_stay(text in any_text(), seed in any::<u64>()) {
        for augmenter in augmenters(&["(?i)order", "\\d+ kg", "订单"]) {
            let changed = augmenter.augment(&text, 1.0, seed).unwrap();
            for span in ["Order", "3 kg", "订单"] {
                let count = |text: &str| text.matches(span).count();
                prop_assert!(count(&changed) >= count(&text), "{span} in {changed:?} of {text:?}");
            }
        }
        for augmenter in augmenters(&["(?s).+"]) {
            prop_assert_eq!(&text, &augmenter.augment(&text, 1.0, seed).unwrap());
        }
    }
}

#[test]
fn rates_are_shares_of_the_words() {
    let text = "one two three four five six seven eight nine ten";
    let brackets = Substitution::new().with_rate(0.3).init(Arc::new(Brackets)).unwrap();
    for seed in 0..20 {
        let changed = brackets.augment(text, 1.0, seed).unwrap();
        assert_eq!(changed.matches('<').count(), 3, "{changed}");
        assert_eq!(brackets.augment(text, 0.4, seed).unwrap().matches('<').count(), 1);
    }
    let deletion = Eda::new().with_synonyms(0.0).with_insertions(0.0).with_swaps(0.0);
    let deletion = deletion.with_deletions(0.3).init().unwrap();
    let words: usize =
        (0..2000).map(|seed| deletion.augment(text, 1.0, seed).unwrap().split(' ').count()).sum();
    // One word always stays.
    assert!((words as f64 / 20_000.0 - 0.73).abs() < 0.01, "{words}");
    for seed in 0..50 {
        let changed = deletion.augment(text, 1.0, seed).unwrap();
        assert!(!changed.contains("  ") && !changed.ends_with(' '), "{changed:?}");
    }
}

#[test]
fn synonyms_keep_the_case_of_the_word() {
    let eda = Eda::new().with_insertions(0.0).with_swaps(0.0).with_deletions(0.0);
    let lexicon = Lexicon::from_groups([["help", "aid"]]);
    let eda = eda.with_synonyms(1.0).init_with(Arc::new(lexicon), Arc::new(Words)).unwrap();
    assert_eq!(eda.augment("Help HELP help, unhelped", 1.0, 1).unwrap(), "Aid AID aid, unhelped");
}

#[test]
fn chinese_goes_by_characters_and_by_words() {
    let lexicon = Arc::new(Lexicon::from_groups([["发货", "寄出"], ["快", "速"]]));
    let eda = Eda::new().with_insertions(0.0).with_swaps(0.0).with_deletions(0.0);
    let eda = eda.with_synonyms(1.0);
    let text = "请快发货";
    for segmenter in
        [Arc::new(Words) as Arc<dyn counterweight_augment::Segmenter>, Arc::new(Characters)]
    {
        let characters = eda.init_with(lexicon.clone(), segmenter).unwrap();
        assert_eq!(characters.augment(text, 1.0, 1).unwrap(), "请速发货");
    }
    #[cfg(feature = "jieba")]
    {
        let jieba = Arc::new(counterweight_augment::Jieba::new());
        let words = eda.init_with(lexicon, jieba).unwrap();
        assert_eq!(words.augment(text, 1.0, 1).unwrap(), "请速寄出");
    }
}

#[test]
fn a_translation_that_loses_a_protected_span_is_not_taken() {
    let back = |pivot: &str| {
        let config = BackTranslation::new("en", pivot).with_protect(vec!["ACME".to_owned()]);
        config.init(Arc::new(Shout)).unwrap()
    };
    assert_eq!(back("de").augment("by ACME", 1.0, 0).unwrap(), "BY ACME");
    assert_eq!(back("lossy").augment("by ACME", 1.0, 0).unwrap(), "by ACME");
    assert_eq!(back("de").augment("", 1.0, 0).unwrap(), "");
    let error = back("none").augment("by ACME", 1.0, 0).unwrap_err();
    assert_eq!(error.to_string(), "translation: no such language");
}

#[test]
fn a_whole_set_goes_by_the_strength_of_its_classes() {
    let brackets = Substitution::new().with_rate(1.0).init(Arc::new(Brackets)).unwrap();
    let texts = vec!["a b c d".to_owned(); 3];
    let changed = brackets.augment_all(&texts, &[0, 1, 2], &[0.0, 0.5, 1.0], 3).unwrap();
    let counts: Vec<usize> = changed.iter().map(|t| t.matches('<').count()).collect();
    assert_eq!(counts, [0, 2, 4]);
    let error = brackets.augment_all(&texts, &[0, 3, 0], &[1.0; 3], 3).unwrap_err().to_string();
    assert!(error.contains("class id 3") && error.contains("row 1"), "{error}");
    assert!(brackets.augment_all(&texts, &[0], &[1.0], 3).is_err());
}

#[test]
fn bad_patterns_rates_and_lexicons_are_named() {
    let error = Eda::new().with_protect(vec!["(".to_owned()]).init().unwrap_err();
    assert!(error.to_string().starts_with("pattern \"(\""), "{error}");
    let error = Eda::new().with_deletions(1.0).init().unwrap_err().to_string();
    assert_eq!(error, "deletions = 1 is outside [0, 1)");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("words.tsv");
    std::fs::write(&path, "# own words\n\norder\tpurchase\nalone\n").unwrap();
    let error = Lexicon::read(&path).unwrap_err().to_string();
    assert!(error.contains("line 4"), "{error}");
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert!(matches!(Lexicon::read(&path).unwrap_err(), Error::Core(_)));
}
