//! Bad input gives an error that names the value and what is allowed, and leaves nothing
//! half done.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};

use counterweight::Error;
use counterweight::prelude::*;

fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    path
}

#[test]
fn files_columns_and_cells_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| file(dir.path(), name, bytes);
    let text = |path: PathBuf| TextReader::new(path, "label").text("text").read().unwrap_err();

    let missing = text(dir.path().join("missing.csv"));
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("missing.csv"));
    let column = text(at("a.csv", b"text,class\nx,y\n"));
    assert!(column.to_string().contains("no column \"label\"; it has: text, class"), "{column}");
    let utf8 = text(at("b.csv", b"text,label\nfine,a\n\xff\xfe,b\n"));
    assert!(utf8.to_string().ends_with("b.csv, row 2: not UTF-8 in field 1"), "{utf8}");
    let empty = text(at("c.csv", b"text,label\n  !?,a\n"));
    assert!(empty.to_string().ends_with("row 1: no text"), "{empty}");
    let unlabelled = text(at("d.csv", b"text,label\nword,\n"));
    assert!(unlabelled.to_string().ends_with("row 1: no label"), "{unlabelled}");
    let nothing = text(at("e.csv", b"text,label\n"));
    assert!(nothing.to_string().contains("texts is empty"), "{nothing}");
    let gzip = text(at("f.csv.gz", b"text,label\nword,a\n"));
    assert!(gzip.to_string().contains("f.csv.gz"), "{gzip}");

    let table = |path: PathBuf| Table::read_csv(path, "y").unwrap_err().to_string();
    let nan = table(at("g.csv", b"x,y\n1.5,a\nNaN,b\n"));
    assert!(nan.ends_with("row 2, column \"x\": \"NaN\" is not a finite number"), "{nan}");
    let gap = table(at("h.csv", b"x,y\n,a\n"));
    assert!(gap.ends_with("row 1, column \"x\": \"\" is not a finite number"), "{gap}");
    let ragged = table(at("i.csv", b"x,y\n1,a\n1,2,3\n"));
    assert!(ragged.contains("i.csv, row 2"), "{ragged}");
}

#[test]
fn an_unseen_class_and_an_empty_text_are_errors() {
    let known = TextData::new(vec!["a b".into(), "c d".into()], &["x", "y"]).unwrap();
    let unseen = TextData::with_encoder(vec!["e".into()], &["z"], known.encoder().clone());
    assert_eq!(unseen.unwrap_err().to_string(), "unknown class \"z\"; known classes: x, y");
    let empty = TextData::new(vec!["a".into(), " - ".into()], &["x", "y"]).unwrap_err();
    assert!(matches!(empty, Error::EmptyText { row: 1 }));

    let splits = common::intents();
    let recipe = Recipe { epochs: 1, ..common::small("ngram") };
    let model = train(&recipe, &splits, &Device::flex(), &TrainOptions::new()).unwrap().model;
    let error = model.classify(&["what is my balance", "…"]).unwrap_err();
    assert!(matches!(error, Error::EmptyText { row: 1 }), "{error}");
    // Words never seen are no error.
    assert_eq!(model.classify(&["zzzz"]).unwrap().len(), 1);

    // A model that cannot be saved leaves nothing behind.
    let dir = tempfile::tempdir().unwrap();
    let blocker = file(dir.path(), "file", b"not a directory");
    assert!(model.save(blocker.join("model")).is_err());
    assert_eq!(std::fs::read(&blocker).unwrap(), b"not a directory");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

    // A damaged model is refused with the file's name.
    let target = dir.path().join("model");
    model.save(&target).unwrap();
    std::fs::write(target.join("model.safetensors"), b"short").unwrap();
    let error = Model::load(&target, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
    std::fs::remove_file(target.join("labels.json")).unwrap();
    let error = Model::load(&target, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("labels.json"), "{error}");
}

#[test]
fn recipes_name_what_is_wrong_and_what_is_allowed() {
    let error = |text: &str| Recipe::from_toml(text).unwrap_err().to_string();
    let cases = [
        ("loss = { kind = \"vocal\" }", "unknown variant `vocal`, expected one of `cross_entropy`"),
        ("loss = { kind = \"focal\", gamma = -1.0 }", "gamma = -1 is outside [0, inf)"),
        ("loss = { kind = \"focal\", gama = 1.0 }", "unknown field `gama`, expected `gamma`"),
        ("epochs = 0", "epochs = 0 is outside [1, inf)"),
        ("epoch = 3", "unknown field `epoch`, expected one of"),
        ("dropout = 1.0", "dropout = 1 is outside [0, 1)"),
        ("optimizer = { learning_rate = 0.0 }", "learning_rate = 0 is outside (0, inf)"),
        ("optimizer = { schedule = { warmup = 1.0 } }", "warmup = 1 is outside [0, 1)"),
        ("sampler = { kind = \"power\", power = 7.0 }", "power = 7 is outside [0, 1]"),
        ("augment = { kind = \"mixup\", alpha = 0.0 }", "alpha = 0 is outside (0, inf)"),
        ("augment = { kind = \"token_dropout\", rate = 1.0 }", "rate = 1 is outside [0, 1)"),
        ("encoder = { kind = \"ngram\", dim = 0 }", "dim = 0 is outside [1, inf)"),
        (
            "encoder = { kind = \"transformer\", num_attention_heads = 3 }",
            "divisors of hidden_size",
        ),
        ("decision = { kind = \"coin\" }", "unknown variant `coin`"),
        ("seed = \"x\"", "invalid type: string \"x\", expected u64"),
    ];
    for (text, expected) in cases {
        assert!(error(text).contains(expected), "{text}\n{}", error(text));
    }
}

#[test]
fn a_diverging_training_is_an_error() {
    let splits = common::intents();
    let recipe = Recipe {
        optimizer: OptimizerConfig { learning_rate: 1e30, clip_norm: 1e30, ..Default::default() },
        ..common::small("ngram")
    };
    let error = train(&recipe, &splits, &Device::flex(), &TrainOptions::new()).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("optimizer.learning_rate (now 1000000000000000000000"));
}

#[test]
fn search_spaces_name_wrong_paths() {
    let space = Space::new().float("optimiser.rate", 0.1..=1.0).unwrap();
    let space = RecipeSpace::new(space).unwrap();
    let params = [("optimiser.rate".to_owned(), counterweight::tuner::Value::Float(0.5))].into();
    let error = space.recipe(&Recipe::default(), &params).unwrap_err();
    assert!(matches!(error, Error::SpacePath { .. }), "{error}");
    assert!(Space::new().float("x", 1.0..=0.0).is_err());
    assert!(Space::new().log_float("x", 0.0..=1.0).is_err());
    assert!(Space::new().categorical("x", Vec::<String>::new()).is_err());
}
