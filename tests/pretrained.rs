//! Fine-tuning a checkpoint by a recipe.

mod common;

use counterweight::encoder::{Freeze, Precision};
use counterweight::prelude::*;

type Change = fn(PretrainedConfig) -> PretrainedConfig;

#[test]
fn a_fine_tuned_model_needs_its_checkpoint_no_more() {
    let splits = common::intents();
    let device = Device::flex();
    let ways: [(&str, Change); 6] = [
        ("whole", |c| c),
        ("low rank", |c| c.with_lora(LoraConfig::new().with_rank(2))),
        ("prompt", |c| c.with_prompt(3)),
        ("prefix", |c| c.with_prefix(3)),
        ("head alone", |c| c.with_freeze(Freeze::All).with_pooling(Pooling::Mean)),
        ("biases", |c| c.with_freeze(Freeze::AllButBiases).with_max_length(12).with_dropout(0.0)),
    ];
    for (way, change) in ways {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("checkpoint");
        let mut recipe = common::pretrained(&source, &splits);
        if let EncoderConfig::Pretrained(config) = recipe.encoder {
            recipe.encoder = EncoderConfig::Pretrained(change(config));
        }
        let again = Recipe::from_toml(&recipe.to_toml().unwrap()).unwrap();
        assert_eq!(again, recipe, "{way}: a recipe survives its file");
        let trained = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
        let losses: Vec<f64> = trained.history.iter().map(|e| e.loss).collect();
        assert!(losses.last() < losses.first(), "{way}: {losses:?}");

        let dir = root.path().join("model");
        trained.model.save(&dir).unwrap();
        std::fs::remove_dir_all(&source).unwrap();
        let loaded = Model::load(&dir, &device).unwrap();
        let p = |m: &Model| m.probabilities(splits.test.texts()).unwrap();
        assert_eq!(p(&loaded), p(&trained.model), "{way}");

        let text = &splits.test.texts()[0];
        let why = loaded.explain(text, None, Attribution::GradientTimesInput).unwrap();
        assert!(why.shares.len() > 2 && why.logit.is_finite());
        let bill = loaded.explain(text, Some("bill_due"), Attribution::IntegratedGradients(2));
        assert_eq!(bill.unwrap().text, *text);
        assert!(loaded.explain(text, Some("?"), Attribution::GradientTimesInput).is_err());

        let gone = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap_err();
        assert!(gone.to_string().contains("config.json"), "{way}: {gone}");
    }
}

#[test]
fn a_model_directory_has_a_card_and_may_be_small() {
    let splits = common::intents();
    let device = Device::flex();
    let root = tempfile::tempdir().unwrap();
    let mut recipe = common::pretrained(&root.path().join("checkpoint"), &splits);
    recipe.optimizer.learning_rate = 3e-3;
    let trained = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
    let model = trained.model.with_evaluation("dev", &splits.dev).unwrap();
    let model = model.with_evaluation("test | held back", &splits.test).unwrap();
    let model = model.with_evaluation("dev", &splits.dev).unwrap();
    assert_eq!(model.evaluations().len(), 2, "of one name there is one");

    let texts = splits.test.texts();
    let exact = model.raw_probabilities(texts).unwrap();
    let mut sizes = Vec::new();
    for (precision, most) in
        [(Precision::F32, 0.0), (Precision::F16, 1e-2), (Precision::Int8, 5e-2)]
    {
        let dir = root.path().join("model");
        model.save_at(precision, &dir).unwrap();
        sizes.push(std::fs::metadata(dir.join("model.safetensors")).unwrap().len());
        let loaded = Model::load(&dir, &device).unwrap();
        let gap = (loaded.raw_probabilities(texts).unwrap() - &exact).mapv(f64::abs);
        let gap = gap.iter().fold(0.0, |m: f64, &v| m.max(v));
        assert!(gap <= most, "{precision:?}: {gap}");
        assert_eq!(loaded.evaluations(), model.evaluations());
    }
    assert!(sizes[1] < sizes[0] * 6 / 10 && sizes[2] < sizes[1], "{sizes:?}");

    let card = std::fs::read_to_string(root.path().join("model/README.md")).unwrap();
    for part in ["8 classes", "| balance |", "tail", "test \\| held back", "kind = \"pretrained\""]
    {
        assert!(card.contains(part), "{part:?} is not in\n{card}");
    }
}

#[test]
fn bad_checkpoints_are_errors_before_any_work() {
    let splits = common::intents();
    let root = tempfile::tempdir().unwrap();
    let recipe = common::pretrained(root.path(), &splits);
    let fails = |recipe: &Recipe| {
        let error = train(recipe, &splits, &Device::flex(), &TrainOptions::new()).unwrap_err();
        error.to_string()
    };
    let with = |change: Change| {
        let config = change(PretrainedConfig::new(root.path()));
        fails(&Recipe { encoder: EncoderConfig::Pretrained(config), ..recipe.clone() })
    };
    assert!(with(|c| c.with_max_length(2)).contains("max_length = 2"));
    assert!(with(|c| c.with_max_length(25)).contains("max_length = 25"));
    assert!(with(|c| c.with_dropout(1.5)).contains("dropout"));
    assert!(with(|c| c.with_lora(LoraConfig::new().with_rank(0))).contains("rank = 0"));
    assert!(with(|c| c.with_prompt(0)).contains("prompt = 0"));
    assert!(with(|c| c.with_prompt(22)).contains("prompt = 22"));
    assert!(with(|c| c.with_prefix(0)).contains("prefix = 0"));
    assert!(with(|c| c.with_prompt(11).with_prefix(11)).contains("prefix = 11"));
    assert!(with(|c| c.with_prompt(4).with_max_length(21)).contains("max_length = 21"));

    // A tokenizer with more ids than the embedding has rows.
    let texts = splits.train.texts();
    let larger = counterweight::encoder::TextTokenizer::train(texts, 400, 24).unwrap();
    std::fs::write(root.path().join("tokenizer.json"), larger.to_json().unwrap()).unwrap();
    assert!(fails(&recipe).contains("ids, but the model's embedding"));
    std::fs::write(root.path().join("tokenizer.json"), "{}").unwrap();
    assert!(fails(&recipe).contains("tokenizer.json"));
    std::fs::remove_file(root.path().join("tokenizer.json")).unwrap();
    assert!(fails(&recipe).contains("tokenizer.json"));
}
