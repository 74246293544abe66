//! The story on a small real corpus: train, search, decide, compare, save, load.

mod common;

use counterweight::losses::Input;
use counterweight::prelude::*;
use counterweight::tuner::State;

#[test]
fn a_treatment_lifts_the_tail_and_its_model_survives_a_directory() {
    let splits = common::intents();
    let device = Device::flex();
    let recipe = common::small("ngram");
    let plain = Recipe {
        loss: LossConfig::default(),
        sampler: SamplerConfig::Uniform,
        augment: AugmentConfig::None,
        ..recipe.clone()
    };
    let options = TrainOptions::new();
    let before = train(&plain, &splits, &device, &options).unwrap();
    let after = train(&recipe, &splits, &device, &options).unwrap();
    let judge = |m: &Model| m.evaluate(&splits.test).unwrap();
    let report = compare(&judge(&before.model), &judge(&after.model), &splits.profile).unwrap();
    let tail = report.metric(Metric::TailRecall).unwrap();
    assert!(tail.difference.value > 0.1, "{report}");
    let html = report.html("a < b", &splits.profile, &[]).unwrap();
    assert!(html.contains("a &lt; b") && html.contains("<svg"));

    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("model");
    let decision = Decision::logit_adjustment(&splits.profile, 0.3).unwrap();
    let model = after.model.with_decision(decision);
    model.save(&dir).unwrap();
    model.save(&dir).unwrap();
    let loaded = Model::load(&dir, &device).unwrap();
    let texts = splits.test.texts();
    assert_eq!(loaded.probabilities(texts).unwrap(), model.probabilities(texts).unwrap());
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn the_same_seed_gives_the_same_model_at_any_thread_count() {
    let splits = common::intents();
    let run = || {
        let recipe = common::small("ngram");
        let trained = train(&recipe, &splits, &Device::flex(), &TrainOptions::new()).unwrap();
        trained.model.probabilities(splits.test.texts()).unwrap()
    };
    let first = run();
    assert_eq!(first, run());
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(first, one.install(run));
}

#[test]
fn a_search_resumes_from_its_journal_with_the_same_trials() {
    let splits = common::intents();
    let root = tempfile::tempdir().unwrap();
    let base = Recipe { epochs: 1, ..common::small("ngram") };
    let run = |trials, journal: &str| {
        let tuning = TuneOptions::new()
            .with_trials(trials)
            .with_startup(3)
            .with_journal(root.path().join(journal));
        let space = RecipeSpace::text_default();
        tune(&space, &base, &splits, &Device::flex(), &tuning, &TrainOptions::new()).unwrap()
    };
    let whole = run(5, "a");
    run(2, "b");
    let told = |tuned: &counterweight::Tuned| -> Vec<_> {
        tuned.trials.iter().map(|t| (t.number, t.params.clone(), t.values.clone())).collect()
    };
    assert_eq!(told(&run(5, "b")), told(&whole));
    assert!(whole.trials.iter().all(|t| t.state == State::Complete));
    assert!(whole.best.is_some());
}

#[test]
fn every_loss_of_a_classifier_trains_from_its_name() {
    let splits = common::intents();
    let device = Device::flex();
    let mut trained = 0;
    for kind in LossKind::ALL {
        let mut text = format!("epochs = 2\nbatch_size = 32\nloss = {{ kind = \"{kind}\" }}\n");
        let mut fits = matches!(kind.config().input(), Input::Logits | Input::Binary);
        if kind.config().input() == Input::Cosines {
            assert!(Recipe::from_toml(&text).is_err(), "{kind}: not of a linear head");
            text += "head = { kind = \"cosine\", scale = 1.0 }";
            fits = true;
        }
        let recipe = Recipe::from_toml(&text);
        if !fits {
            let refused = recipe.unwrap_err().to_string();
            assert!(refused.contains("not one of the outputs of a"), "{kind}: {refused}");
            continue;
        }
        let recipe = Recipe { encoder: common::small("ngram").encoder, ..recipe.unwrap() };
        let outcome = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
        let finite = outcome.history.iter().all(|epoch| epoch.loss.is_finite());
        assert!(finite, "{kind}: {:?}", outcome.history);
        trained += 1;
    }
    // A schedule is refused for either of its losses.
    for (first, then) in [("sup_con", "focal"), ("focal", "sup_con")] {
        let loss =
            format!("{{ kind = \"deferred\", first.kind = \"{first}\", then.kind = \"{then}\" }}");
        let refused = Recipe::from_toml(&format!("loss = {loss}")).unwrap_err().to_string();
        assert!(refused.contains("not one of the outputs of a"), "{refused}");
    }
    assert!(trained >= 30, "{trained}");
}
