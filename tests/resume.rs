//! An interrupted training continues to the same result. Alone in its binary: dropout
//! layers draw from the device's generator, which other tests would disturb.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use counterweight::Error;
use counterweight::prelude::*;

#[test]
fn an_interrupted_run_resumes_to_the_uninterrupted_result() {
    let splits = common::intents();
    let device = Device::flex();
    // The last one has a loss that learns while training.
    let learning = Recipe { loss: LossKind::EqualizationV2.config(), ..common::small("ngram") };
    let root = tempfile::tempdir().unwrap();
    let mut adapted = common::pretrained(root.path(), &splits);
    if let EncoderConfig::Pretrained(config) = &mut adapted.encoder {
        config.lora = Some(LoraConfig::new().with_rank(2).with_dropout(0.1));
    }
    for recipe in [common::small("ngram"), common::small("transformer"), learning, adapted] {
        let kind = recipe.loss.kind();
        let whole = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
        for stop_at in [1, 3, 4] {
            let root = tempfile::tempdir().unwrap();
            let dir = root.path().join("checkpoint");
            let flag = Arc::new(AtomicBool::new(false));
            let stop = common::StopAt::new(stop_at, flag.clone());
            let options = TrainOptions::new().with_checkpoint(&dir);
            let cut = options.clone().with_progress(stop).with_stop_flag(flag);
            let interrupted = train(&recipe, &splits, &device, &cut).unwrap_err();
            assert!(matches!(interrupted, Error::Interrupted { .. }), "{interrupted}");
            let resumed = train(&recipe, &splits, &device, &options.with_resume(true)).unwrap();
            assert_eq!(resumed.history, whole.history, "{kind} cut at report {stop_at}");
            let p = |m: &Model| m.probabilities(splits.test.texts()).unwrap();
            assert_eq!(p(&resumed.model), p(&whole.model));
        }
    }

    // A checkpoint of another recipe is refused, not silently continued.
    let root = tempfile::tempdir().unwrap();
    let options = TrainOptions::new().with_checkpoint(root.path().join("c")).with_resume(true);
    let recipe = Recipe { epochs: 1, ..common::small("ngram") };
    train(&recipe, &splits, &device, &options).unwrap();
    let other = Recipe { epochs: 2, ..recipe };
    let refused = train(&other, &splits, &device, &options).unwrap_err();
    assert!(matches!(refused, Error::Checkpoint { what: "recipe", .. }), "{refused}");
}
