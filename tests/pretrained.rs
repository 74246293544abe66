//! Fine-tuning a checkpoint by a recipe.

mod common;

use counterweight::encoder::Freeze;
use counterweight::prelude::*;

type Change = fn(PretrainedConfig) -> PretrainedConfig;

#[test]
fn a_fine_tuned_model_needs_its_checkpoint_no_more() {
    let splits = common::intents();
    let device = Device::flex();
    let ways: [(&str, Change); 5] = [
        ("whole", |c| c),
        ("low rank", |c| c.with_lora(LoraConfig::new().with_rank(2))),
        ("prompt", |c| c.with_prompt(3)),
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
