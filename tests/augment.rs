//! Augmentation inside recipes, and words from a language model.

mod common;

use std::sync::Arc;

use counterweight::MaskedSubstitutes;
use counterweight::encoder::{MaskedLm, TextTokenizer};
use counterweight::prelude::*;

fn recipe(augment: &str) -> Recipe {
    let own = Recipe::from_toml(&format!("augment = {augment}")).unwrap();
    Recipe { augment: own.augment, epochs: 3, ..common::small("ngram") }
}

#[test]
fn every_kind_trains_changes_the_run_and_repeats_it() {
    let splits = common::intents();
    let device = Device::flex();
    let run = |recipe: &Recipe| train(recipe, &splits, &device, &TrainOptions::new()).unwrap();
    let plain = run(&recipe("{ kind = \"none\" }"));
    for kind in [
        "{ kind = \"mixup\" }",
        "{ kind = \"remix\" }",
        "{ kind = \"balanced_mixup\", alpha = 1.0, beta = 0.2 }",
        "{ kind = \"token_dropout\", rate = 0.3, protect_first = false }",
        "{ kind = \"eda\", deletions = 0.3, strength = { by = \"rarity\", power = 0.5 } }",
        "{ kind = \"character_noise\", rate = 0.5 }",
    ] {
        let recipe = recipe(kind);
        let (once, again) = (run(&recipe), run(&recipe));
        assert_eq!(once.history, again.history, "{kind}");
        assert_ne!(once.history, plain.history, "{kind}");
        // Only clean epochs are as if there were no augmenter.
        let clean = run(&Recipe { clean_epochs: 3, ..recipe.clone() });
        assert_eq!(clean.history, plain.history, "{kind}");
        let last = run(&Recipe { clean_epochs: 1, ..recipe });
        assert_eq!(last.history[..2], once.history[..2], "{kind}");
        assert_ne!(last.history[2], once.history[2], "{kind}");
    }
}

#[test]
fn a_run_with_changed_texts_resumes_exactly() {
    let splits = common::intents();
    let device = Device::flex();
    let root = tempfile::tempdir().unwrap();
    for kind in ["{ kind = \"eda\" }", "{ kind = \"balanced_mixup\" }"] {
        let recipe = Recipe { clean_epochs: 1, ..recipe(kind) };
        let whole = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
        let dir = root.path().join(kind.replace(' ', ""));
        let options = TrainOptions::new().with_checkpoint(&dir);
        let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stop = common::StopAt::new(3, flag.clone());
        let cut = options.clone().with_progress(stop).with_stop_flag(flag);
        train(&recipe, &splits, &device, &cut).unwrap_err();
        let resumed = train(&recipe, &splits, &device, &options.with_resume(true)).unwrap();
        assert_eq!(resumed.history, whole.history, "{kind}");
    }
}

#[test]
fn an_augmenter_of_images_is_refused_by_a_recipe() {
    for kind in ["cut_mix", "images"] {
        let text = format!("augment = {{ kind = \"{kind}\" }}");
        let error = Recipe::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(kind) && error.contains("texts"), "{error}");
    }
}

#[test]
fn a_masked_language_model_gives_words_of_its_vocabulary() {
    let splits = common::intents();
    let tokenizer = TextTokenizer::train(splits.train.texts(), 300, 24).unwrap();
    let config = TransformerConfig {
        vocab_size: tokenizer.vocabulary(),
        hidden_size: 16,
        intermediate_size: 32,
        num_attention_heads: 2,
        max_position_embeddings: 24,
        ..TransformerConfig::default()
    };
    let device = Device::flex();
    let model = seeded(MaskedLm::new(&config, &device).unwrap(), 0.3, 1);
    let words = MaskedSubstitutes::new(model, tokenizer.clone(), &device).with_most(40);
    let protect = vec!["(?i)balance".to_owned()];
    let augmenter = Substitution::new().with_rate(0.5).with_protect(protect);
    let augmenter = augmenter.init(Arc::new(words)).unwrap();
    let text = "what is my balance today please";
    let changed = augmenter.augment(text, 1.0, 3).unwrap();
    assert_eq!(changed, augmenter.augment(text, 1.0, 3).unwrap());
    assert!(changed.contains("balance") && changed != text, "{changed}");
    for word in changed.split(' ').filter(|word| !text.contains(*word)) {
        assert!(tokenizer.id(word).is_some(), "{word:?} in {changed:?}");
    }
}

#[test]
fn a_coded_table_keeps_its_categories_in_one_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, "area,price,class\nwest,1.5,a\neast,2,b\nwest,3,a\n").unwrap();
    let table = Table::read_csv_coded(&path, "class").unwrap();
    assert_eq!(table.columns(), ["area", "price"]);
    assert_eq!(table.kinds(), [Column::Category, Column::Number]);
    assert_eq!(table.features().column(0).to_vec(), [1.0, 0.0, 1.0]);
    assert_eq!(table.select(&[1]).labels(), [1]);
    std::fs::write(&path, "area,price,class\n,1.5,a\n").unwrap();
    let error = Table::read_csv_coded(&path, "class").unwrap_err().to_string();
    assert!(error.contains("row 1, column \"area\""), "{error}");
}
